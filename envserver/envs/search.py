"""Search: questions over a corpus that is reached by a search engine alone, in the manner of BrowseComp-Plus.

A key such as `h2-d1/train/0042` names how many pages lead to the answer, how they are told of, a split and a number;
the task's seed draws another question under the same key. The corpus is generated: invented people, places,
organisations, events and works, with relations between them and namesakes beside them. A server's own pages and
questions (NQ, HotpotQA) are played as `questions/train/7`. BrowseComp-Plus (arXiv 2508.06600) has the tools; the
corpus, the levels and the rewards are ours.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from envserver.arguments import refusal
from envserver.catalogue import BadOption
from envserver.core import Env, EnvConfig, Making, cut, going, lost, won
from envserver.envs._search.files import own_questions
from envserver.envs._search.grading import exact, f1
from envserver.envs._search.keys import HOPS, LEVELS, SIZES, GeneratedKey, OwnKey, parse
from envserver.envs._search.questions import Leg, Question, drawn, named
from envserver.envs._search.shelf import default_root
from envserver.numbered import NumberedKeys
from envserver.schema import Action, StepResult, Task, ToolSpec

if TYPE_CHECKING:
    from envserver.envs._search.corpus import Corpus, Wanted
    from envserver.envs._search.files import Page
elif importlib.util.find_spec("bm25s") is None:
    raise ModuleNotFoundError("No module named 'bm25s'", name="bm25s")

__all__ = ["Search"]

MAX_TOPK = 20
MAX_QUERY_CHARS = 1000
OWN_STEPS = 20
"""Calls for a question of the server's own, whose pages are not known."""


class SearchConfig(EnvConfig):
    """Options of search."""

    servers_own: ClassVar[tuple[str, ...]] = ("corpus_seed", "pages", "corpus", "questions", "encoder", "cache_dir")

    source: Literal["generated", "files"] = "generated"
    """What is listed: questions about the generated corpus, or those in `questions`."""
    hops: int = Field(default=2, ge=HOPS[0], le=HOPS[1])
    """Pages that lead to the answer one after the other, in the tasks that are listed."""
    difficulty: int = Field(default=1, ge=1, le=LEVELS)
    """How the first page is told of, in the tasks that are listed: 1 by its name, 2 by two facts, 3 by two facts one of
    which takes another page."""
    retriever: Literal["bm25", "vector"] = "bm25"
    """How pages are ranked: by BM25, or by vectors of hashed words and parts of words, or of `encoder`."""
    topk: int = Field(default=5, ge=1, le=MAX_TOPK)
    """Pages that a search shows where the call does not say."""
    snippet_chars: int = Field(default=160, ge=0, le=1000)
    """Of a page's beginning, in what a search shows."""
    page_chars: int = Field(default=4000, ge=200, le=10_000)
    """Of a page, in what is shown at a time; longer ones have parts."""
    max_steps: int | None = Field(default=None, ge=1, le=10_000)
    """Calls after which the episode is cut. None: twice the gold plan's, at least 10; 20 for questions in files."""
    reward: Literal["binary", "dense", "f1"] = "binary"
    """`binary`: 1 for the right answer. `dense`: the pages that lead there share one half when they are first opened,
    the right answer brings the sum to 1. `f1`: of the answer's words, as NQ and HotpotQA report it; success is an exact
    match."""
    corpus_seed: int = Field(default=0, ge=0, lt=1 << 31)
    """Draws another corpus. Only the server may set it."""
    pages: int = Field(default=8000, ge=3000, le=1_000_000)
    """Of the generated corpus. Only the server may set it."""
    corpus: Path | None = None
    """A .jsonl with a page a line. Only the server may set it."""
    questions: Path | None = Field(default=None, validate_default=True)
    """A .jsonl with a question a line, split by content, or a directory with train, valid (or dev) and test.jsonl. Only
    the server may set it."""
    encoder: Path | None = None
    """A sentence-transformers model's directory, for `vector`. Only the server may set it."""
    cache_dir: Path | None = None
    """Where corpora and indexes are kept. None: `$TURNHALLE_CACHE/search`, else `turnhalle/search` in the user's cache
    directory. Only the server may set it."""

    @field_validator("questions")
    @classmethod
    def _are_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("source") == "files" and None in (value, info.data.get("corpus")):
            raise ValueError("source 'files' needs the server's corpus and questions")
        return value


SEARCH = ToolSpec(
    name="search",
    description="Find pages; shows the id, title and beginning of each.",
    parameters={
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "words"},
            "topk": {"type": "integer", "minimum": 1, "maximum": MAX_TOPK, "description": "how many pages"},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
)
OPEN_PAGE = ToolSpec(
    name="open_page",
    description="Read a page, or a further part of a long one.",
    parameters={
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "as search shows it"},
            "part": {"type": "integer", "minimum": 1, "description": "of a long page; 1 where it is left out"},
        },
        "required": ["id"],
        "additionalProperties": False,
    },
)
FINISH = ToolSpec(
    name="finish",
    description="Answer the question; this ends the episode.",
    parameters={
        "type": "object",
        "properties": {"answer": {"type": "string", "description": "a name or a year, no sentence"}},
        "required": ["answer"],
        "additionalProperties": False,
    },
)


class Search(Env):
    """Answer a question by searching a corpus and reading its pages."""

    Config: ClassVar[type[EnvConfig]] = SearchConfig
    config: SearchConfig
    instructions: ClassVar[str] = (
        "Answer the question out of the pages of a corpus. search finds pages, open_page reads one, finish answers "
        "with a name, a year or a few words and ends the episode. Call one tool at a time."
    )
    tools: ClassVar[tuple[ToolSpec, ...]] = (SEARCH, OPEN_PAGE, FINISH)

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        assert isinstance(config, SearchConfig)
        from envserver.envs._search.corpus import open_corpus
        from envserver.envs._search.graph import graph

        wanted = _wanted(config)
        if config.source == "generated":
            graph(config.corpus_seed, config.pages)
        # A user's files are read when the server starts: what is wrong with them is said then.
        if config.source == "files" or wanted.there():
            open_corpus(wanted)

    @classmethod
    def making(cls, config: EnvConfig, task: Task) -> Making | None:
        assert isinstance(config, SearchConfig)
        wanted = _wanted(config, parse(task.key))
        return None if wanted.there() else Making(wanted.names[1], wanted.make)

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, SearchConfig)
        if split not in SIZES:
            raise KeyError(f"search has no split '{split[:40]}'; there are: {', '.join(SIZES)}")
        if config.source == "generated":
            return NumberedKeys(f"h{config.hops}-d{config.difficulty}/{split}", SIZES[split])
        assert config.questions is not None
        try:
            count = len(own_questions(config.questions)[split])
        except ValueError as error:
            raise BadOption(str(error)) from error
        return [f"questions/{split}/{number}" for number in range(count)]

    def reset(self, task: Task) -> StepResult:
        from envserver.envs._search.corpus import open_corpus

        key = parse(task.key)
        self.question = _question(key, task.seed, self.config)
        self.corpus: Corpus = open_corpus(_wanted(self.config, key))
        gold = 2 * len(self.question.legs) + 1
        self.max_steps = self.config.max_steps or (OWN_STEPS if isinstance(key, OwnKey) else max(10, 2 * gold))
        self.steps = 0
        self.searched = False
        self.shown: dict[str, str] = {}
        """Titles that searches have shown, each with its page's id."""
        self.opened: set[str] = set()
        """Titles of the pages that have been read."""
        return going(self.question.text)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        wrong = self._refused(action)
        if not wrong and action.tool == FINISH.name:
            return self._graded(str(action.arguments["answer"]))
        before = self._earned()
        said = wrong or (self._found if action.tool == SEARCH.name else self._read)(**action.arguments)  # type: ignore[arg-type]
        reward = self._earned() - before
        if self.steps >= self.max_steps:
            return cut(f"{said}\nNo call is left.", reward=reward)
        return going(said, reward=reward)

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        twin.shown, twin.opened = self.shown.copy(), self.opened.copy()
        return twin

    def expert(self) -> Action | None:
        for leg in self.question.legs:
            if leg.title not in self.opened and (action := self._towards(leg)):
                return action
        if not self.question.legs and not self.searched:
            return Action(tool=SEARCH.name, arguments={"query": self.question.text[:MAX_QUERY_CHARS]})
        return Action(tool=FINISH.name, arguments={"answer": self.question.answers[0]})

    def _towards(self, leg: Leg) -> Action | None:
        """The call that brings a page nearer; None where no query finds it."""
        if leg.title in self.shown:
            return Action(tool=OPEN_PAGE.name, arguments={"id": self.shown[leg.title]})
        tries = [(query, topk) for topk in (self.config.topk, MAX_TOPK) for query in leg.queries]
        for query, topk in [*tries, (leg.title, MAX_TOPK)]:
            if any(page.title == leg.title for page in self.corpus.search(query, topk)):
                few = topk == self.config.topk
                arguments: dict[str, Any] = {"query": query} if few else {"query": query, "topk": topk}
                return Action(tool=SEARCH.name, arguments=arguments)
        return None

    def _refused(self, action: Action) -> str:
        """Why there is nothing to call, in a sentence; empty where there is."""
        if action.tool is None:
            return "Call a tool: search, open_page, finish."
        tool = next((tool for tool in self.tools if tool.name == action.tool), None)
        if tool is None:
            return f"There is no tool {action.tool[:40]!r}; there are: search, open_page, finish."
        return refusal(tool, action.arguments)

    def _found(self, query: str, topk: int | None = None) -> str:
        """What a search shows."""
        topk = self.config.topk if topk is None else topk
        if not 1 <= topk <= MAX_TOPK:
            return f"topk of search is 1 to {MAX_TOPK}, not {topk}."
        if not query.strip():
            return "The query is empty."
        if len(query) > MAX_QUERY_CHARS:
            return f"A query has at most {MAX_QUERY_CHARS} characters."
        self.searched = True
        found = self.corpus.search(query, topk)
        for page in found:
            self.shown.setdefault(page.title, page.id)
        return "\n".join(map(self._line, found)) or "No page has any of these words."

    def _line(self, page: Page) -> str:
        beginning = " ".join(page.text[: 2 * self.config.snippet_chars].split())
        limit = self.config.snippet_chars
        short = (
            beginning if len(beginning) <= limit else f"{beginning[:limit].rpartition(' ')[0] or beginning[:limit]} ..."
        )
        return f"[{page.id}] {page.title}: {short}" if limit else f"[{page.id}] {page.title}"

    def _read(self, id: str, part: int = 1) -> str:
        """What a page says."""
        page = self.corpus.find(id)
        if page is None:
            return f"There is no page {id[:80]!r}; search shows ids in brackets."
        size = self.config.page_chars
        parts = max(1, -(-len(page.text) // size))
        if not 1 <= part <= parts:
            return f"Page {id!r} has {parts} part{'s' * (parts > 1)}; there is no part {part}."
        self.opened.add(page.title)
        told = f"{page.title}\n{page.text[(part - 1) * size : part * size]}"
        return f"{told}\n(part {part} of {parts})" if parts > 1 else told

    def _graded(self, answer: str) -> StepResult:
        answers = self.question.answers
        if exact(answer, answers):
            return won("Right.", reward=1.0 - self._earned())
        return lost("Wrong.", reward=f1(answer, answers) if self.config.reward == "f1" else 0.0)

    def _earned(self) -> float:
        """Reward for the way so far."""
        legs = self.question.legs
        if self.config.reward != "dense" or not legs:
            return 0.0
        return 0.5 * sum(leg.title in self.opened for leg in legs) / len(legs)


def _question(key: GeneratedKey | OwnKey, seed: int, config: SearchConfig) -> Question:
    """The question of a key. Raises KeyError where there is none."""
    if isinstance(key, GeneratedKey):
        return drawn(key, seed, config.corpus_seed, config.pages)
    if config.questions is None or config.corpus is None:
        raise KeyError("this server has no questions of its own; serve search with corpus and questions set")
    listed = own_questions(config.questions)[key.split]
    if key.number >= len(listed):
        raise KeyError(f"the {key.split} split has {len(listed)} questions; there is no number {key.number}")
    own = listed[key.number]
    return Question(own.text, own.answers, tuple(map(named, own.titles)))


def _wanted(config: SearchConfig, key: GeneratedKey | OwnKey | None = None) -> Wanted:
    """The corpus of a key, or of what is listed."""
    from envserver.envs._search.corpus import FileSource, GeneratedSource, Wanted

    files = config.source == "files" if key is None else isinstance(key, OwnKey)
    if files and config.corpus is None:
        raise KeyError("this server has no corpus of its own; serve search with corpus and questions set")
    source = FileSource(config.corpus) if files and config.corpus else GeneratedSource(config.corpus_seed, config.pages)
    return Wanted(source, config.retriever, config.encoder, config.cache_dir or default_root())

"""search: each question has one answer, the gold plan is rewarded in full, and nothing hostile does harm."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from itertools import permutations

import pytest

from envserver import Action, Task
from envserver.catalogue import BadOption, configured

pytest.importorskip("bm25s", reason="needs the extra [search]")

from envserver.check import check
from envserver.envs._search.corpus import GeneratedSource
from envserver.envs._search.keys import SIZES, parse
from envserver.envs._search.questions import drawn
from envserver.envs._search.relations import KINDS, RELATIONS
from envserver.envs.search import Search

PAGES = 3000
SPLITS = ("train", "valid", "test")


def begun(key: str, seed: int = 0, **options):
    world = Search(Search.Config(**{"pages": PAGES, **options}))
    return world, world.reset(Task(env="search", key=key, seed=seed))


def call(tool: str, **arguments) -> Action:
    return Action(tool=tool, arguments=arguments)


def gold(world):
    """The expert's calls, played on a copy, and the results."""
    twin, calls, results = world.copy(), [], []
    while not results or not results[-1].over:
        calls.append(twin.expert())
        results.append(twin.step(calls[-1]))
    return calls, results


@cache
def shape(says: str, kind: str) -> re.Pattern[str]:
    """A sentence of a page, with its object as a group."""
    said = r"(\d{4})" if kind == "year" else r"((?!\d)[^.]+)"
    return re.compile(rf"(?:^|(?<=\. )){re.escape(says)}(?= |$)".replace(re.escape("{o}"), said))


class Reader:
    """What the pages say, read back out of their text alone, and what a question's words mean by it."""

    def __init__(self, pages) -> None:
        self.facts: dict[tuple[str, str], str] = {}
        """Label and relation -> object's label."""
        self.sorts: dict[str, str] = {}
        for page in pages:
            name, sort = re.fullmatch(r"(.*?)(?: \(([a-z ]+)\))?", page.title).groups()
            lead = f"{page.text.split('. ')[0]} "
            found = next(one for kind in KINDS.values() for one in kind if re.search(rf" {one}[.,; ]", lead))
            kind = next(kind for kind, sorts in KINDS.items() if (sort or found) in sorts)
            label = f"the {sort} {name}" if sort else name
            self.sorts[label] = sort or found
            for relation in RELATIONS:
                if relation.subject == kind:
                    told = {said for says in relation.says for said in self._matches(says, relation, page.text)}
                    assert len(told) == 1, (page.title, relation.name, told)
                    self.facts[label, relation.name] = told.pop()

    @staticmethod
    def _matches(says: str, relation, text: str) -> list[str]:
        found = shape(says, relation.object).findall(text)
        return [f"t{said[1:]}" if said.startswith("The ") and f"t{said[1:]}" in text else said for said in found]

    def meant(self, phrase: str) -> set[str]:
        """Labels of all that the words may mean."""
        if phrase in self.sorts:
            return {phrase}
        found = set()
        for relation in RELATIONS:
            head = f"the {relation.noun} of "
            if phrase.startswith(head):
                subjects = self.meant(phrase.removeprefix(head))
                found |= {
                    self.facts[label, relation.name] for label in subjects if (label, relation.name) in self.facts
                }
        for kind, sorts in KINDS.items():
            for sort in sorts:
                if phrase.startswith(f"the {sort} "):
                    found |= self._described(kind, sort, phrase.removeprefix(f"the {sort} "))
        return found

    def _described(self, kind: str, sort: str, rest: str) -> set[str]:
        found = set()
        for first, second in permutations([relation for relation in RELATIONS if relation.subject == kind], 2):
            shapes = [re.escape(one.clause).replace(r"\{o\}", "(.+)") for one in (first, second)]
            for match in filter(None, (re.fullmatch(joint.join(shapes), rest) for joint in (" and ", " "))):
                wanted = [{said} | self.meant(said) for said in match.groups()]
                for label, own in self.sorts.items():
                    says = [self.facts.get((label, one.name)) for one in (first, second)]
                    if own == sort and says[0] in wanted[0] and says[1] in wanted[1]:
                        found.add(label)
        return found


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(GeneratedSource(0, PAGES).pages())


def test_a_question_has_one_answer_by_what_the_pages_say(reader):
    for level in (1, 2, 3):
        for number in range(30):
            key = f"h{number % 3 + 1}-d{level}/{SPLITS[number % 3]}/{number:04d}"
            question = drawn(parse(key), 0, 0, PAGES)
            words = re.fullmatch(r"(?:Who|What) is (.*)\?", question.text)[1]
            assert reader.meant(words) == {question.answers[0]}, (key, question.text)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_gold_is_rewarded_in_full_and_doing_nothing_is_not(level):
    for number in range(30):
        hops = (1, 2, 3, 5, 8)[number % 5]
        key = f"h{hops}-d{level}/{SPLITS[number % 3]}/{number:04d}"
        world, _ = begun(key)
        idle = world.copy()
        calls, results = gold(world)
        assert (results[-1].success, sum(result.reward for result in results)) == (True, 1.0), key
        tools = [action.tool for action in calls]
        assert (tools.count("open_page"), tools.index("finish")) == (hops + (level == 3), len(tools) - 1), key
        assert len(tools) <= 2 * tools.count("open_page") + 1, "now and then a page was shown before it is looked for"
        answer = calls[-1].arguments["answer"]
        assert answer in results[-2].observation.text, "the last page says it"
        assert answer not in world.question.text
        while not (result := idle.step(Action())).over:
            assert result.reward == 0
        assert (result.truncated, result.success, result.reward) == (True, False, 0.0)


def test_what_is_read_leads_to_what_is_searched_for_next():
    for number in range(20):
        world, first = begun(f"h4-d3/train/{number:04d}")
        calls, results = gold(world)
        known = first.observation.text
        for action, result in zip(calls, results, strict=True):
            for said in (value for value in action.arguments.values() if isinstance(value, str)):
                assert all(word in known for word in said.split()), (number, action)
            known += result.observation.text


def test_splits_ask_for_no_fact_of_another():
    asked: dict[tuple[str, str], str] = {}
    for hops in (1, 2, 4):
        for split in SPLITS:
            for number in range(200):
                question = drawn(parse(f"h{hops}-d1/{split}/{number:04d}"), number % 2, 0, PAGES)
                words = question.text.partition(" is the ")[2]
                noun = max((one.noun for one in RELATIONS if words.startswith(f"{one.noun} of ")), key=len)
                assert asked.setdefault((question.legs[-1].title, noun), split) == split


def test_a_splits_thousand_questions_are_all_different():
    for split in ("valid", "test"):
        texts = {drawn(parse(f"h1-d1/{split}/{number:04d}"), 0, 0, PAGES).text for number in range(1000)}
        assert len(texts) == 1000
    for hops in (4, 8):
        for level in (1, 2, 3):
            texts = {drawn(parse(f"h{hops}-d{level}/test/{number:04d}"), 0, 0, PAGES).text for number in range(300)}
            assert len(texts) == 300
    assert len({drawn(parse("h2-d2/train/0007"), seed, 0, PAGES).text for seed in range(20)}) == 20
    assert len({drawn(parse("h2-d2/train/0007"), 0, seed, PAGES).text for seed in range(2)}) == 2


def test_listings_are_lazy_and_complete():
    for split, size in SIZES.items():
        keys = Search.tasks(Search.Config(hops=3, difficulty=2), split)
        assert len(keys) == size
        assert keys[-1] == f"h3-d2/{split}/{size - 1:04d}"


@pytest.mark.parametrize("retriever", ["bm25", "vector"])
def test_both_retrievers_lead_the_expert_from_wherever_a_player_has_come_to(retriever):
    for number in range(12):
        world, _ = begun(f"h3-d{number % 3 + 1}/valid/{number:04d}", retriever=retriever, max_steps=100)
        calls, _ = gold(world)
        for action in (calls[2], calls[0], call("open_page", id="p00000"), calls[0]):
            world.step(action)
        assert gold(world)[1][-1].success


def test_vectors_find_most_names_that_are_misspelt():
    found = {"bm25": 0, "vector": 0}
    for retriever in found:
        world, _ = begun("h1-d1/test/0000", retriever=retriever)
        for page in map(world.corpus.page, range(0, PAGES, 60)):
            misspelt = " ".join(word[:-2] + word[-1] if len(word) > 4 else word for word in page.title.split())
            found[retriever] += page.title in [hit.title for hit in world.corpus.search(misspelt, 20)]
    assert found["bm25"] + 10 < found["vector"] > 30, found


def test_namesakes_are_told_apart_by_what_they_are():
    world, _ = begun("h1-d1/train/0000")
    titles = [world.corpus.page(row).title for row in range(len(world.corpus))]
    assert len(set(titles)) == PAGES
    name = next(title for title in titles if title.endswith("(poet)")).removesuffix(" (poet)")
    others = [title for title in titles if title.startswith(f"{name} (")]
    assert len(others) > 1
    assert set(others) <= {page.title for page in world.corpus.search(name, 20)}


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "keys look like"),
        ("h2-d1/train/42", "keys look like"),
        ("h02-d1/train/0042", "keys look like"),
        ("h2-d1/train/0042\n", "keys look like"),
        ("h2-d1/train/٠٠٤٢", "keys look like"),
        ("h9-d1/train/0042", "h is 1 to 8 and d is 1 to 3, not h9-d1"),
        ("h2-d4/train/0042", "not h2-d4"),
        ("h2-d1/dev/0042", "no split 'dev'"),
        ("h2-d1/test/1000", "0000 to 0999"),
        ("questions/train/0", "no questions of its own"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_the_reason(key, says):
    with pytest.raises(KeyError, match=says):
        begun(key)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hops": 0}, "greater than or equal to 1"),
        ({"difficulty": 4}, "less than or equal to 3"),
        ({"pages": 10}, "greater than or equal to 3000"),
        ({"topk": 0}, "greater than or equal to 1"),
        ({"retriever": "google"}, "'bm25' or 'vector'"),
        ({"source": "files"}, "needs the server's corpus and questions"),
        ({"hop": 2}, "did you mean 'hops'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_reason(options, says):
    with pytest.raises(BadOption, match=says):
        configured(Search, options)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action(text="search Ada"), "Call a tool: search, open_page, finish."),
        (Action(text="x" * (1 << 20)), "Call a tool: search, open_page, finish."),
        (call("google", query="x"), "There is no tool 'google'; there are: search, open_page, finish."),
        (call("_read", id="p00000"), "There is no tool '_read'; there are: search, open_page, finish."),
        (call("search"), "search needs query, a string."),
        (call("search", query=""), "The query is empty."),
        (call("search", query=" \t\n\u2003"), "The query is empty."),
        (call("search", query="x" * 1_000_000), "A query has at most 1000 characters."),
        (call("search", query="?!, - ..."), "No page has any of these words."),
        (call("search", query="zzzzqqq 开门 🚪"), "No page has any of these words."),
        (call("search", query=7), "query of search must be a string, not an integer."),
        (call("search", query=["a"]), "query of search must be a string, not a list."),
        (call("search", query="a", topk=0), "topk of search is 1 to 20, not 0."),
        (call("search", query="a", topk=-1), "topk of search is 1 to 20, not -1."),
        (call("search", query="a", topk=10**9), "topk of search is 1 to 20, not 1000000000."),
        (call("search", query="a", topk=10**5000), "topk of search is too large."),
        (call("search", query="a", topk="5"), "topk of search must be an integer, not a string."),
        (call("search", query="a", topk=5.0), "topk of search must be an integer, not a number."),
        (call("search", query="a", topk=True), "topk of search must be an integer, not a boolean."),
        (call("search", query="a", topk=None), "topk of search must be an integer, not null."),
        (call("search", query="a", k=3), "search takes no 'k'; it takes query, topk."),
        (call("search", **{"query": "a", "": 1}), "search takes no ''; it takes query, topk."),
        (call("open_page"), "open_page needs id, a string."),
        (call("open_page", id="p99999"), "There is no page 'p99999'; search shows ids in brackets."),
        (call("open_page", id="../pages.jsonl"), "There is no page '../pages.jsonl'; search shows ids in brackets."),
        (call("open_page", id="p00000", part=2), "Page 'p00000' has 1 part; there is no part 2."),
        (call("open_page", id="p00000", part=-1), "Page 'p00000' has 1 part; there is no part -1."),
        (call("finish"), "finish needs answer, a string."),
        (call("finish", answer=None), "answer of finish must be a string, not null."),
    ],
)
def test_a_hostile_call_is_answered_in_a_sentence_and_costs_a_step(action, says):
    world, _ = begun("h1-d1/train/0000")
    result = world.step(action)
    assert result.observation.text == says
    assert (result.over, result.reward, world.steps) == (False, 0.0, 1)
    assert gold(world)[1][-1].success


def test_a_wrong_answer_ends_the_episode_without_reward():
    for answer in ("", "?", "the", "x" * (1 << 20), "no idea"):
        world, _ = begun("h2-d1/train/0001", reward="dense")
        result = world.step(call("finish", answer=answer))
        assert (result.terminated, result.success, result.reward) == (True, False, 0.0)


def test_an_answer_is_taken_as_it_may_be_written():
    number = next(n for n in range(50) if drawn(parse(f"h2-d1/train/{n:04d}"), 0, 0, PAGES).text.startswith("Who"))
    key = f"h2-d1/train/{number:04d}"
    name, with_sort, in_brackets = begun(key)[0].question.answers
    for written in (name, name.upper(), f" the {with_sort}. ", in_brackets, f"{name}!"):
        assert begun(key)[0].step(call("finish", answer=written)).success, written


def test_dense_reward_pays_half_for_the_way_and_nothing_twice():
    world, _ = begun("h2-d1/train/0003", reward="dense")
    calls, results = gold(world)
    assert [result.reward for result in results] == [0.0, 0.25, 0.0, 0.25, 0.5]
    rewards = [world.step(action).reward for action in (calls[1], calls[1], calls[3], calls[3])]
    assert rewards == [0.25, 0.0, 0.25, 0.0]
    assert world.step(call("finish", answer="no idea")).reward == 0.0


def test_results_are_bounded_by_options():
    world, _ = begun("h1-d1/train/0000", topk=3, snippet_chars=20, page_chars=200)
    shown = world.step(call("search", query="conservatory", topk=20)).observation.text.splitlines()
    assert len(shown) == 20
    assert all(len(line.partition(": ")[2]) <= 24 for line in shown)
    assert len(world.step(call("search", query="conservatory")).observation.text.splitlines()) == 3
    page = world.corpus.page(0)
    parts = -(-len(page.text) // 200)
    told = [world.step(call("open_page", id=page.id, part=part)).observation.text for part in range(1, parts + 1)]
    assert "".join(one.split("\n")[1] for one in told) == page.text
    assert told[1].endswith(f"\n(part 2 of {parts})")


def test_a_fork_goes_its_own_way():
    world, _ = begun("h3-d2/train/0005", reward="dense")
    calls, _ = gold(world)
    for action in calls[:3]:
        world.step(action)
    before = repr((world.shown, world.opened, world.steps))
    assert gold(world.copy())[1][-1].success
    assert repr((world.shown, world.opened, world.steps)) == before


def test_no_result_tells_more_than_the_corpus_says():
    world, first = begun("h2-d2/train/0000")
    assert all(result.info == {} and result.observation.choices == [] for result in [first, *gold(world)[1]])


def test_another_process_with_another_hash_seed_writes_the_same_corpus_and_questions():
    code = (
        "import hashlib\nfrom envserver.envs._search.corpus import GeneratedSource\n"
        "from envserver.envs._search.keys import parse\nfrom envserver.envs._search.questions import drawn\n"
        "digest = hashlib.sha256(repr(list(GeneratedSource(1, 3000).pages())).encode())\n"
        "digest.update(repr([drawn(parse(f'h2-d{d}/test/0007'), 3, 1, 3000) for d in (1, 2, 3)]).encode())\n"
        "print(digest.hexdigest())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


@pytest.mark.parametrize("retriever", ["bm25", "vector"])
def test_it_keeps_the_rules(retriever):
    config = Search.Config(pages=PAGES, hops=2, difficulty=3, reward="dense", retriever=retriever)
    findings = check(Search, config, tasks_per_split=1, steps=8)
    assert not findings, findings

"""PRS: Progressive Reward Shaping (arXiv 2512.07478).

    R = w_parse p + [p >= u] w_valid v + [v >= u] (w_answer R_world + [solved] w_quality q)        sum of w = 1

    p   share of the turns whose answer could be read as a call
    v   share of the turns whose call the world took: a tool it has, arguments of its schema, not refused
    q   quality of the answer: `short`: BLEU that knows the reference's length; `long`: a language model's grade

The paper's, as far as it is known: dense rewards by stages, first for calls that can be parsed and are well formed,
then for factual correctness and the quality of the answer; BLEU aware of length for short answers, a judge for long.
Ours: all of the formula. A stage counts where the share `unlock` (u) of the turns has passed the one before, so that no
stage is earned around another; weights are shares, so R is 1 at best; without a `form` there is no fourth stage. A turn
has its own part of p and v, and its own reward of the world; q is on the last one. A summary is no call.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jsonschema import Draft202012Validator, SchemaError
from pydantic import Field, model_validator

from agents.conduct import REFUSALS, accepted, shown
from agents.types import Episode
from envserver.schema import Action, ToolSpec
from trainers.bleu import nearness
from trainers.completions import CompletionsConfig
from trainers.grader import Endpoint, Grader
from trainers.references import answered, read_references
from trainers.shapers.base import Shaper, ShaperConfig

__all__ = ["Prs"]


class PrsConfig(ShaperConfig):
    """Settings of progressive rewards."""

    name: str = "prs"
    """The shaper's registry name."""
    parse: float = Field(0.1, ge=0)
    """Weight of calls that could be read; the weights are put over their sum."""
    valid: float = Field(0.1, ge=0)
    """Weight of calls that the world took."""
    answer: float = Field(0.8, gt=0)
    """Weight of the world's own reward."""
    quality: float = Field(0.2, ge=0)
    """Weight of the answer's quality; there is none without a `form`."""
    unlock: float = Field(0.5, ge=0, le=1)
    """Share of an episode's turns that must have passed a stage for the next one to count; 0 locks none."""
    form: Literal["none", "short", "long"] = "none"
    """Of the answers: `short` ones are compared with `references`, `long` ones graded by `judge`."""
    quality_after: Literal["success", "answer"] = "success"
    """What opens the last stage: that the task is solved, or that there is an answer: a near miss then earns some."""
    references: Path | None = None
    """JSONL with a `{"key": ..., "answers": [...]}` a line, by task key; needed where `form` is `short`."""
    judge: CompletionsConfig = CompletionsConfig()
    """Who grades where `form` is `long`."""
    refusals: tuple[str, ...] = (*REFUSALS, "Call a tool:")
    """How an answer begins that refuses a call which its schema allows."""

    @model_validator(mode="after")
    def _can_compare(self) -> PrsConfig:
        if self.form == "short" and self.references is None:
            raise ValueError("form = 'short' compares with right answers; give references = a JSONL file of them")
        return self


class Prs(Shaper):
    """Pays for each stage once the one before is passed."""

    Config: ClassVar[type[ShaperConfig]] = PrsConfig
    config: PrsConfig

    def __init__(self, config: PrsConfig, grader: Grader | None = None) -> None:
        """`grader` takes the place of the endpoint in the config. Raises BadConfig for references that are none."""
        super().__init__(config)
        self.grader = grader or Endpoint(self.config.judge, "[shapers] judge.url")
        self._references = read_references(self.config.references) if self.config.references else {}

    def shape(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): what each turn earned, quality apart where a judge has to be asked for it."""
        calls = _Calls.of(episode, self.config.refusals)
        graded = self.config.form == "short" and self._opens_quality(episode, calls)
        quality = nearness(answered(episode), self._right(episode)) if graded else 0.0
        return self._staged(calls, rewards, quality)

    async def shaped(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): what each turn earned. Raises Unanswered where the judge cannot be asked."""
        if self.config.form != "long":
            return self.shape(episode, rewards)
        calls, quality = _Calls.of(episode, self.config.refusals), 0.0
        if self._opens_quality(episode, calls):
            question = episode.opened.result.observation.text if episode.opened else ""
            right = self._references.get(episode.task.key, [])
            quality = await self.grader.grade(question, answered(episode), right)
        return self._staged(calls, rewards, quality)

    def _opens_quality(self, episode: Episode, calls: _Calls) -> bool:
        """Whether the answer's quality counts: nobody is asked about one whose quality does not."""
        if calls.valid_share < self.config.unlock or not answered(episode):
            return False
        return episode.success or self.config.quality_after == "answer"

    def _right(self, episode: Episode) -> list[str]:
        try:
            return self._references[episode.task.key]
        except KeyError:
            file = self.config.references
            raise ValueError(f"'{file}' has no answer to task '{episode.task.key}'; add a line with that key") from None

    def _staged(self, calls: _Calls, rewards: list[float], quality: float) -> list[float]:
        config = self.config
        weights = (config.parse, config.valid, config.answer, config.quality if config.form != "none" else 0.0)
        parse, valid, answer, last = (weight / sum(weights) for weight in weights)
        valid *= calls.parsed_share >= config.unlock
        answer *= calls.valid_share >= config.unlock
        found = [
            (parse * parsed + valid * took) / calls.acts + answer * reward
            for parsed, took, reward in zip(calls.parsed, calls.valid, rewards, strict=True)
        ]
        return [*found[:-1], found[-1] + last * quality] if found else []


@dataclass(frozen=True, slots=True)
class _Calls:
    """Of each turn, whether its answer could be read as a call, and whether the world took that."""

    parsed: list[bool]
    valid: list[bool]
    acts: int
    """Turns that are no summaries, 1 where there are none."""

    @classmethod
    def of(cls, episode: Episode, refusals: tuple[str, ...]) -> _Calls:
        tools = {tool.name: tool for tool in episode.opened.tools} if episode.opened else {}
        actions = [turn.reply.action if turn.prompt.kind == "act" else None for turn in episode.turns]
        valid = [
            action is not None and _fits(action, tools) and accepted(turn, before, refusals)
            for action, turn, before in zip(actions, episode.turns, shown(episode), strict=True)
        ]
        acts = sum(turn.prompt.kind == "act" for turn in episode.turns)
        return cls([action is not None for action in actions], valid, max(acts, 1))

    @property
    def parsed_share(self) -> float:
        """p"""
        return sum(self.parsed) / self.acts

    @property
    def valid_share(self) -> float:
        """v"""
        return sum(self.valid) / self.acts


def _fits(action: Action, tools: dict[str, ToolSpec]) -> bool:
    """Whether a call names a tool and keeps its schema; where there are no tools any command may."""
    if action.tool is None:
        return not tools
    tool = tools.get(action.tool)
    return tool is not None and bool(_validator(json.dumps(tool.parameters)).is_valid(action.arguments))


@functools.lru_cache(maxsize=1024)
def _validator(schema: str) -> Draft202012Validator:
    found = json.loads(schema)
    try:
        Draft202012Validator.check_schema(found)
    except SchemaError:
        found = {}  # what is no schema excludes nothing
    return Draft202012Validator(found)

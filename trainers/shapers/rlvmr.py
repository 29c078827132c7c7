"""Rewards for reasoning that can be verified: RLVMR (arXiv 2507.22844), section 3.4.1.

    planning     r_planning   on every planning turn of an episode that succeeds
    explore      r_explore    on an explore turn whose action is new
    reflection   r_reflection on a reflection turn that mends a failure
    no tag       -format_penalty: the answer is not <tag>...</tag><action>...</action>

monitor earns nothing of its own. Each is added to the raw reward of its turn, so the algorithm `rlvmr`, which knows the
raw rewards from the episode, can take the two apart; under any other algorithm they are process rewards.

`reading = "paper"`: *new* is an action that names an object or a place which no action before it named; *mends* is an
action that is accepted and differs from the last one, after `failures` or more turns in a row that were not accepted.
The paper leaves open what names an object, what a failure is, and how many make a sequence. Ours: names are the words
between the verb and the little words of a command; one by the compass is new where what it leads to was never shown;
only what the world accepted counts, as new or as named before; a failure is what `agents.conduct.accepted` is not.
`reading = "code"`: *new* is an action whose text no accepted action before it had, accepted itself or not; *mends* is
an action text other than the last one's where the last turn was not accepted, or there was none.
The paper does not say how large the positive rewards are; its code has 1.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from agents.conduct import REFUSALS, accepted, headings, said, shown, targets
from agents.types import Episode
from trainers.shapers.base import Shaper, ShaperConfig

__all__ = ["Rlvmr"]


class RlvmrConfig(ShaperConfig):
    """Settings of the meta-reasoning rewards."""

    name: str = "rlvmr"
    """The shaper's registry name."""
    reading: Literal["paper", "code"] = "paper"
    """How exploration and reflection are decided: as the paper says, or as its released code does."""
    planning: float = Field(1.0, ge=0)
    """Reward of a planning turn in an episode that succeeds."""
    explore: float = Field(1.0, ge=0)
    """Reward of an explore turn with a new action."""
    reflection: float = Field(1.0, ge=0)
    """Reward of a reflection turn that mends a failure."""
    format_penalty: float = Field(0.1, ge=0)
    """Taken off where the answer does not keep the format."""
    failures: int = Field(1, ge=1)
    """Turns in a row that were not accepted before a reflection earns its reward; the paper's reading only."""
    refusals: tuple[str, ...] = REFUSALS
    """How an answer begins that refuses an action, for worlds that show no commands."""


class Rlvmr(Shaper):
    """Adds a turn's meta-reasoning reward to it."""

    Config: ClassVar[type[ShaperConfig]] = RlvmrConfig
    config: RlvmrConfig

    def shape(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): each turn's reward with what its reasoning earned."""
        taken = self._taken(episode)
        earned = {
            "planning": [self.config.planning * episode.success] * len(taken),
            "explore": [self.config.explore * new for new in self._new(episode, taken)],
            "reflection": [self.config.reflection * mends for mends in self._mends(episode, taken)],
        }
        found = []
        for index, (turn, reward) in enumerate(zip(episode.turns, rewards, strict=True)):
            tag = turn.reply.tag
            if tag:
                reward += earned[tag][index] if tag in earned else 0.0
            elif turn.prompt.kind == "act":
                reward -= self.config.format_penalty
            found.append(reward)
        return found

    def _taken(self, episode: Episode) -> list[bool]:
        """(T,) whether each turn's action was accepted."""
        pairs = zip(episode.turns, shown(episode), strict=True)
        return [accepted(turn, before, self.config.refusals) for turn, before in pairs]

    def _new(self, episode: Episode, taken: list[bool]) -> list[bool]:
        """(T,) whether each turn's action is new."""
        named: set[str] = set()
        seen = {before.text for before in shown(episode)[:1]}
        found = []
        for turn, took in zip(episode.turns, taken, strict=True):
            action = said(turn)
            if self.config.reading == "code":
                found.append(bool(action) and action not in named)
                named |= {action} if took else set()
                continue
            came = turn.result.observation.text if turn.result else ""
            elsewhere = headings(action) and came not in seen
            found.append(took and (elsewhere or not targets(action) <= named))
            named |= targets(action) if took else set()
            seen.add(came)
        return found

    def _mends(self, episode: Episode, taken: list[bool]) -> list[bool]:
        """(T,) whether each turn's action mends the failure before it."""
        code, failed, before = self.config.reading == "code", 0, ""
        found: list[bool] = []
        for turn, took in zip(episode.turns, taken, strict=True):
            action = said(turn)
            if code:
                found.append((failed > 0 or not found) and bool(action) and action != before)
            else:
                found.append(took and failed >= self.config.failures and action != before)
            failed = 0 if took else failed + 1
            before = action
        return found

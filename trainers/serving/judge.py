"""A process reward model: how good a turn was, said by a model that has seen what the user said next.

MetaClaw (arXiv 2603.17187): votes of -1, 0 or +1 at temperature 0.6, the majority of 3, ties are 0; a turn with 0 or
without a next message carries no gradient. Rule: nobody waits for a judge who wants an answer, and one that cannot be
asked leaves the turn without a reward.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence

from agents.types import Message
from trainers.completions import Unanswered, completions
from trainers.serving.config import JudgeConfig

__all__ = ["Judge", "majority"]

_SYSTEM = (
    "You judge one answer of an assistant by what the user said next. Decide whether the answer was helpful (+1), "
    "unhelpful (-1), or whether that is unclear (0). Think briefly, then end with one line: Score: 1, Score: -1 or "
    "Score: 0."
)
_SCORE = re.compile(r"score\s*:?\s*\**\s*([+-]?[01])(?!\.?\d)", re.IGNORECASE)
_MOST_CHARS = 6000
"""Of each text that is shown to it."""


class Judge:
    """One endpoint; counts what it has said."""

    def __init__(self, config: JudgeConfig) -> None:
        self.config = config
        self.counts: Counter[str] = Counter()
        """`good`, `bad`, `unclear` and `failed` turns."""
        self.error = ""
        """Of the last turn that failed."""

    async def reward(self, question: str, answer: str, after: str) -> float | None:
        """-1 or 1; None where it is unclear or the endpoint cannot be asked."""
        messages: list[Message] = [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": _case(question, answer, after)},
        ]
        heat = self.config.temperature
        try:
            async with completions(self.config, "serving.judge.url") as model:
                asked = [model.answer(messages, temperature=heat) for _ in range(self.config.votes)]
                votes = [_vote(text) for text in await asyncio.gather(*asked)]
        except Unanswered as error:
            self.counts["failed"] += 1
            self.error = str(error)
            return None
        score = majority(votes)
        self.counts[{1: "good", -1: "bad", 0: "unclear"}[score]] += 1
        return float(score) if score else None


def majority(votes: Sequence[int]) -> int:
    """What more than half of the votes say, else 0."""
    for score in (1, -1):
        if 2 * sum(vote == score for vote in votes) > len(votes):
            return score
    return 0


def _vote(text: str) -> int:
    """The last score in a text; one without any is unclear."""
    found = _SCORE.findall(text.replace("−", "-"))
    return int(found[-1]) if found else 0


def _case(question: str, answer: str, after: str) -> str:
    parts = {"The user asked": question, "The assistant answered": answer, "The user said next": after}
    return "\n\n".join(f"{title}:\n{text[-_MOST_CHARS:]}" for title, text in parts.items())

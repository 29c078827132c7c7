"""What a demonstration writes where a summary is asked for, by rules from what was in sight. All of it is ours.

    lines      the summary before, then a line for each answer: `answer -> what came of it`, none of them twice
    greatest   the last thing that came back, its first number raised to the greatest first number of all, the summary
               before included: for questions about the greatest of what is read, as in tooluse's `pages`
    leader     `answer -> number`, the answer that brought the greatest first number of all, the first of equals, and on
               a line of its own the last answer: for questions about which is greatest, as in tooluse's `inventory`
    latest     of each word that answers end with a number for, the word and its latest number, by name, and the last
               thing that came back, a line each: for what is carried on from call to call, as in tooluse's `cashbook`
    last       the last thing that came back: for those who forget all else

None says anything that could not be read in the prompt it is an answer to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from agents.types import History, Prompt, Turn

__all__ = ["Rule", "recap"]

Rule = Literal["lines", "greatest", "leader", "latest", "last"]
NUMBER = re.compile(r"-?\d+")
ARROW = " -> "
NAMED = re.compile(r"([A-Za-z]+) (-?\d+)\Z")


def recap(rule: Rule, prompt: Prompt, history: History) -> str:
    """The answer to a prompt of kind "summary"; tagged where the prompt asks for tags."""
    seen = history.turns[:-1] if prompt.drops_last else history.turns
    last = max((index for index, turn in enumerate(seen) if turn.prompt.kind == "summary"), default=-1)
    before = seen[last].move.text.replace("<summary>", "").replace("</summary>", "").strip() if last >= 0 else ""
    text = RULES[rule](before, seen[last + 1 :])
    return f"<summary>{text}</summary>" if "<summary>" in prompt.messages[-1]["content"] else text


def _lines(before: str, turns: list[Turn]) -> str:
    return "\n".join(dict.fromkeys(_told(before, turns)))


def _greatest(before: str, turns: list[Turn]) -> str:
    told = [text for text in (before, *map(_came, turns)) if text]
    numbers = [int(found[0]) for text in told if (found := NUMBER.search(text))]
    return NUMBER.sub(str(max(numbers)), told[-1], count=1) if numbers else "".join(told[-1:])


def _leader(before: str, turns: list[Turn]) -> str:
    told = [line.partition(ARROW) for line in _told(before, turns)]
    brought = [(answer, int(found[0])) for answer, _, came in told if (found := NUMBER.search(came))]
    leader = [f"{answer}{ARROW}{number}" for answer, number in sorted(brought, key=lambda one: -one[1])[:1]]
    return "\n".join([*leader, *(answer for answer, _, _ in told[-1:])])


def _latest(before: str, turns: list[Turn]) -> str:
    *known, came = before.splitlines() or [""]
    told = [*known, *(_flat(turn.move.text) for turn in turns)]
    latest = {found[1]: found[2] for text in told if (found := NAMED.search(text))}
    last = _came(turns[-1]) if turns else came
    return "\n".join([*(f"{name} {number}" for name, number in sorted(latest.items())), last])


def _last(before: str, turns: list[Turn]) -> str:
    return _came(turns[-1]) if turns else before


RULES: dict[Rule, Callable[[str, list[Turn]], str]] = {
    "lines": _lines,
    "greatest": _greatest,
    "leader": _leader,
    "latest": _latest,
    "last": _last,
}


def _told(before: str, turns: list[Turn]) -> list[str]:
    """The lines of the summary before, then one for each answer."""
    return [*before.splitlines(), *(f"{_flat(turn.move.text)}{ARROW}{_came(turn)}" for turn in turns)]


def _came(turn: Turn) -> str:
    return _flat(turn.reply.complaint if turn.result is None else turn.result.observation.text)


def _flat(text: str) -> str:
    return " ".join(text.split())

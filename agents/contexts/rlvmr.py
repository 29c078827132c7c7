"""Each prompt afresh: the task, the plan in force, what was done, the last answers, and what the world shows now.

RLVMR (arXiv 2507.22844), appendix C and its code: the task, the number of steps taken, every action so far, the last
three answers in full with what came of them, the words of the last planning tag, and the current observation.
Ours: the order and the wording; the task is the first observation's text; the plan is the one in force (in the code's
cold-start data it lags by a turn). Every turn is a segment of its own, so an episode costs as many prompts as it has
turns; `full` shows a tag's words as well and is cheaper where episodes fit the model's context.
"""

from __future__ import annotations

from pydantic import Field

from agents.contexts.base import Context, ContextConfig
from agents.formats.base import spoken
from agents.formats.rlvmr import thought
from agents.types import History, Prompt, Turn

__all__ = ["Rlvmr"]


class RlvmrConfig(ContextConfig):
    """What is told of the past."""

    outputs: int = Field(default=3, ge=0)
    """Last answers told in full, each with what came of it."""
    actions: bool = True
    """Whether every earlier action is told too, one line each."""
    plan: bool = True
    """Whether the words of the last plan are told apart."""


class Rlvmr(Context):
    """System, then one message with all that is to be known."""

    Config = RlvmrConfig
    config: RlvmrConfig

    async def prompt(self, history: History) -> Prompt:
        """One message about this moment."""
        opening, turns = history.opened.result.observation, history.turns
        told = max(len(turns) - self.config.outputs, 0)
        # Commands of the first moment may not be accepted by now; only its text is worth keeping.
        parts = [opening.text.rstrip()] if turns else []
        if turns:
            parts.append(f"Steps taken: {len(turns)}")
        if self.config.actions and told:
            parts.append("\n".join(_did(turn) for turn in turns[:told]))
        # What came of the last answer stands below, as what the world shows now.
        parts += [
            f"You answered: {turn.move.text.strip()}" + ("" if turn is turns[-1] else f"\n{_came(turn)}")
            for turn in turns[told:]
        ]
        if turns and turns[-1].result is None:
            parts.append(_came(turns[-1]))
        if self.config.plan and (plan := plan_in_force(turns)):
            parts.append(f"Your plan: {plan}")
        parts.append(self.format.show(history.observation))
        return Prompt(
            [
                {"role": "system", "content": self.format.system(history.opened)},
                {"role": "user", "content": "\n\n".join(parts)},
            ]
        )


def plan_in_force(turns: list[Turn]) -> str:
    """The words of the last planning tag; "" where there was none."""
    return next((thought(turn.move.text, "planning") for turn in reversed(turns) if turn.reply.tag == "planning"), "")


def _did(turn: Turn) -> str:
    return "You gave no valid answer." if turn.reply.action is None else f"You did: {spoken(turn.reply.action)}"


def _came(turn: Turn) -> str:
    return turn.reply.complaint if turn.result is None else turn.result.observation.text.rstrip()

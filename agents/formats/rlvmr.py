"""One tag of reasoning, then the action: RLVMR, Reinforcement Learning with Verifiable Meta-Reasoning Rewards for
Robust Long-Horizon Agents (arXiv 2507.22844), section 3.2.

    <planning|explore|reflection|monitor>one sentence</...>
    <action>one command</action>

The paper's: the four tags and what they are for, one of them a turn; from its code: exactly one reasoning tag with
something in it before exactly one action tag. An answer that breaks this is a complaint and has no tag; one that keeps
it and whose command cannot be read keeps its tag.
Ours: the words of the definitions; what follows the action is not read; `compact`, for a model from random weights: one
line a tag in the system message, and only a plan must say something; `action = "choice"`, where the action is a number.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from agents.conduct import accepted
from agents.formats.base import Format, FormatConfig
from agents.formats.choice import Choice
from agents.formats.plain import Plain
from agents.types import History, Reply
from envserver.schema import Action, Observation

__all__ = ["TAGS", "Rlvmr", "Tag", "thought"]

Tag = Literal["planning", "explore", "reflection", "monitor"]
TAGS: tuple[Tag, ...] = get_args(Tag)

OPENING = re.compile(rf"<({'|'.join(TAGS)})>")
MARKUP = re.compile(rf"</?(?:{'|'.join(TAGS)}|action)>")

MEANINGS = {
    "planning": "break the task into numbered steps; at the start, or when the plan you have turns out wrong",
    "explore": "when something is unexpected or not known: name places, things or actions that are worth a try",
    "reflection": "when your last actions led nowhere: say what went wrong and what to do instead",
    "monitor": "when all goes as planned: name the step of the plan you are at and what to do next",
}
WRITTEN = {
    "planning": "I do the task step by step.",
    "explore": "I look around.",
    "reflection": "That did not work; I try something else.",
    "monitor": "I go on with the plan.",
}


class RlvmrConfig(FormatConfig):
    """How much is said."""

    compact: bool = False
    """For a small model from random weights: a short system message, and only a plan must say something."""
    action: Literal["plain", "choice"] = "plain"
    """How the action is written: the command, or as in the format `choice` the number of a shown command."""


class Rlvmr(Format):
    """Reason in one tag, act in another."""

    Config = RlvmrConfig
    config: RlvmrConfig

    def __init__(self, config: RlvmrConfig | None = None) -> None:
        super().__init__(config)
        self._inner: Format = Choice() if self.config.action == "choice" else Plain()
        what = "the number of a command" if self.config.action == "choice" else "one command"
        if self.config.compact:
            self.rule = f"Answer with <tag>thought</tag><action>{what}</action>; tags: {', '.join(TAGS)}."
            return
        meanings = "\n".join(f"<{tag}>...</{tag}>: {meaning}." for tag, meaning in MEANINGS.items())
        self.rule = (
            "First reason in one short sentence, inside exactly one of these four tags:\n"
            f"{meanings}\n"
            f"Then act, with {what} between <action> and </action>. For example:\n"
            f"<monitor>I go on with step 2 of my plan.</monitor>\n<action>{what}</action>"
        )

    def show(self, observation: Observation) -> str:
        """As the format of the action shows it."""
        return self._inner.show(observation)

    def parse(self, text: str, history: History) -> Reply:
        """The tag, and the action between the action tags."""
        tags = OPENING.findall(text)
        if len(tags) != 1:
            return _broken(f"The answer has {len(tags) or 'no'} reasoning tags")
        tag = tags[0]
        before, opened, rest = text.partition("<action>")
        inside, closed, _ = rest.partition("</action>")
        if not opened or not closed or "<action>" in rest:
            return _broken("The answer does not hold exactly one <action>...</action>")
        words = before.partition(f"<{tag}>")[2].partition(f"</{tag}>")
        if not words[1]:
            return _broken(f"<{tag}> is not closed before the action")
        if not words[0].strip() and (tag == "planning" or not self.config.compact):
            return _broken(f"<{tag}> is empty")
        if not inside.strip():
            return _broken("<action> is empty")
        reply = self._inner.parse(inside, history)
        return Reply(reply.action, tag, reply.complaint)

    def write(self, action: Action, history: History) -> str:
        """A plan at first, a reflection after what was not accepted, and else the next step of the plan."""
        tag: Tag = "monitor"
        if not history.turns:
            tag = "planning"
        else:
            last = History(history.task, history.opened, history.turns[:-1])
            if not accepted(history.turns[-1], last.observation):
                tag = "reflection"
        return self.tell(tag, WRITTEN[tag], action, history)

    def tell(self, tag: Tag, words: str, action: Action, history: History) -> str:
        """The answer with this tag, these words and this action; where `compact`, only a plan keeps its words.

        Raises ValueError for words that hold a tag or are empty, and for an action the format has no words for.
        """
        words = " ".join(words.split())
        if not words or MARKUP.search(words):
            raise ValueError(f"<{tag}> must hold words and no tags, not {words[:80]!r}")
        kept = "" if self.config.compact and tag != "planning" else words
        between = "" if self.config.compact else "\n"
        said = self._inner.write(action, history)
        if MARKUP.search(said):
            raise ValueError(
                f"this format cannot write the action {said[:80]!r}: it holds one of the format's own tags"
            )
        return f"<{tag}>{kept}</{tag}>{between}<action>{said}</action>"


def thought(text: str, tag: str) -> str:
    """The words inside a tag of an answer; "" where it has none."""
    return " ".join(text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].split())


def _broken(what: str) -> Reply:
    return Reply(
        None, complaint=f"{what}. Answer with one of <{'>, <'.join(TAGS)}>, then <action>one command</action>."
    )

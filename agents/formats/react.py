"""A line of thought, then a line with the command: "Thought: ..." and "Action: ...".

The first line that begins with "Action:" counts: what a model dreams up after it (an observation, a next action) is not
read. The thought may be missing, and `write` gives none: an expert has no thoughts to show. ReAct, arXiv 2210.03629.
"""

from __future__ import annotations

import re

from agents.formats.base import Format, read_command, write_command
from agents.types import History, Reply
from envserver.schema import Action

__all__ = ["React"]

ACTION = re.compile(r"^[ \t]*Action[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


class React(Format):
    """Think in one line, act in the next."""

    rule = "Answer in two lines:\nThought: what you think\nAction: one command"

    def parse(self, text: str, history: History) -> Reply:
        """The command of the first "Action:" line."""
        found = ACTION.search(text)
        if found is None:
            return Reply(None, complaint='No line begins with "Action:". Answer with a line "Action: one command".')
        return read_command(found[1], history)

    def write(self, action: Action, history: History) -> str:
        """The action line."""
        return f"Action: {write_command(action, history)}"

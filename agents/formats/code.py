"""The answer holds one block of code between fences; what stands around it is thought and not played.

The world gets the block alone, with its fences, so that its language is seen. None and two are complaints: which of two
is meant cannot be told, and the turn is spent. A block that is never closed, as one cut at the token limit, is none.
"""

from __future__ import annotations

from pydantic import ValidationError

from agents.formats.base import Format
from agents.types import History, Reply
from envserver.schema import Action

__all__ = ["Code"]

FENCE = "```"


class Code(Format):
    """Answer with one block of code."""

    rule = f"Think first if you like. Then answer with one code block between {FENCE}python and {FENCE}."

    def parse(self, text: str, history: History) -> Reply:
        """The one block in the answer."""
        blocks, closed = _blocks(text)
        if not closed:
            return Reply(None, complaint=f"A code block is never closed. Keep it shorter, and end it with {FENCE}.")
        if len(blocks) != 1:
            found = f"{len(blocks)} code blocks" if blocks else "no code block"
            return Reply(None, complaint=f"The answer holds {found}. Answer with exactly one, between {FENCE} lines.")
        language, lines = blocks[0]
        if not any(line.strip() for line in lines):
            return Reply(None, complaint="The code block is empty.")
        try:
            return Reply(Action(text="\n".join([FENCE + language, *lines, FENCE])))
        except ValidationError as error:
            return Reply(None, complaint=f"The code block cannot be read: {error.errors()[0]['msg']}.")

    def write(self, action: Action, history: History) -> str:
        """The block itself."""
        if self.parse(action.text, history).action != action:
            what = f"the call of {action.tool[:80]!r}" if action.tool is not None else f"{action.text[:80]!r}"
            raise ValueError(f"this format cannot write {what}: an action is one code block between {FENCE} lines")
        return action.text


def _blocks(text: str) -> tuple[list[tuple[str, list[str]]], bool]:
    """Language and lines of each block, and whether the last one is closed."""
    blocks: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.replace("\r\n", "\n").split("\n"):
        mark = line.strip()
        if inside and mark == FENCE:
            inside = False
        elif inside:
            blocks[-1][1].append(line)
        elif mark.startswith(FENCE) and "`" not in mark.removeprefix(FENCE):
            blocks.append((mark.removeprefix(FENCE).strip(), []))
            inside = True
    return blocks, not inside

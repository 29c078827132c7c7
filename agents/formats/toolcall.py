"""The answer is one tool call: JSON, or in the style `compact` a line such as `look 3`.

What can be said as a call is the world's to judge: an argument that is missing or of another type reaches it. Only what
is no call at all, or in `compact` names no tool that could say what its values mean, is a complaint. Where the world
has no tools the answer is the command itself, as in `plain`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from agents.formats.base import Format, FormatConfig, first_line, read_command, write_command
from agents.types import History, Reply
from envserver.calls import read_json, read_line, signature, write_json, write_line
from envserver.schema import Action, Opened

__all__ = ["Toolcall"]

RULES = {
    "json": 'Answer with one tool call as JSON and nothing else: {"tool": "name", "arguments": {}}',
    "compact": "Answer with one tool call in one line: its name, then its values in this order.",
}
PLAIN = "Answer with one command and nothing else."


class ToolcallConfig(FormatConfig):
    """How a call is written."""

    style: Literal["json", "compact"] = "json"
    """`json`: `{"tool": "look", "arguments": {"bin": 3}}`. `compact`: `look 3`, for small models."""


class Toolcall(Format):
    """Call one tool."""

    Config = ToolcallConfig
    config: ToolcallConfig

    def __init__(self, config: ToolcallConfig | None = None) -> None:
        super().__init__(config)
        self.rule = RULES[self.config.style]

    def system(self, opened: Opened) -> str:
        """What can be done here, the tools one a line, and how to call one."""
        if not opened.tools:
            return "\n\n".join(part for part in (opened.instructions.strip(), PLAIN) if part)
        compact = self.config.style == "compact"
        tools = "\n".join(signature(tool) if compact else tool.model_dump_json() for tool in opened.tools)
        return "\n\n".join(part for part in (opened.instructions.strip(), f"Tools:\n{tools}", self.rule) if part)

    def parse(self, text: str, history: History) -> Reply:
        """The call in the answer: its first line, or the whole of it where it is JSON over several lines."""
        line = first_line(text)
        if not history.opened.tools:
            return read_command(line, history)
        if not line:
            return Reply(None, complaint=f"The answer is empty. {self.rule}")
        try:
            if self.config.style == "json":
                return Reply(read_json(_object(text)))
            return Reply(read_line(_object(text) if line.startswith("{") else line, history.opened.tools))
        except ValidationError as error:
            return Reply(None, complaint=f"The tool call cannot be read: {error.errors()[0]['msg']}.")
        except (ValueError, RecursionError) as error:
            return Reply(None, complaint=f"The tool call cannot be read: {error}.")

    def write(self, action: Action, history: History) -> str:
        """The call as `parse` reads it."""
        if not history.opened.tools:
            return write_command(action, history)
        if action.tool is None or action.text:
            raise ValueError(f"this format can only call tools, not say {action.text[:80]!r}")
        compact = self.config.style == "compact"
        line = write_line(action, history.opened.tools) if compact else write_json(action)
        if self.parse(line, history).action != action:
            raise ValueError(f"this format cannot write the call of {action.tool[:80]!r}")
        return line


def _object(text: str) -> str:
    """The text from its first brace to its last: models put fences and words around JSON."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text.strip()

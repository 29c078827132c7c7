"""An answer format: how the policy is asked to answer, and how its answer is read.

Only here do tags and numbers of an answer exist: a world gets an Action and nothing else. `write` is the inverse of
`parse`: what an expert or a random player does is said in the same words that a model must find.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.types import History, Reply
from envserver.calls import read_json, write_json
from envserver.schema import Action, Observation, Opened

__all__ = ["Format", "FormatConfig", "first_line", "read_command", "spoken", "write_command"]


class FormatConfig(BaseModel):
    """Options of a format."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Format(ABC):
    """Between what a policy says and what a world understands."""

    Config: ClassVar[type[FormatConfig]] = FormatConfig
    rule: str
    """How to answer, in the words the policy reads."""

    def __init__(self, config: FormatConfig | None = None) -> None:
        self.config = config or self.Config()

    def system(self, opened: Opened) -> str:
        """The system message: what can be done here, the tools, and how to answer."""
        parts = [opened.instructions.strip()]
        if opened.tools:
            tools = "\n".join(tool.model_dump_json() for tool in opened.tools)
            parts.append(
                "Tools, one JSON schema a line. A call is one line of JSON in place of the command: "
                f'{{"tool": "name", "arguments": {{}}}}\n{tools}'
            )
        parts.append(self.rule)
        return "\n\n".join(part for part in parts if part)

    def show(self, observation: Observation) -> str:
        """An observation as the policy reads it."""
        if not observation.choices:
            return observation.text
        choices = "\n".join(f"- {choice}" for choice in observation.choices)
        return f"{observation.text.rstrip()}\n\nCommands:\n{choices}"

    @abstractmethod
    def parse(self, text: str, history: History) -> Reply:
        """What the answer says; never raises: what cannot be read comes back as a complaint."""

    @abstractmethod
    def write(self, action: Action, history: History) -> str:
        """The answer that `parse` reads as this action. Raises ValueError where the format has no words for it."""


def spoken(action: Action) -> str:
    """An action in one line: its text, or its tool call as JSON."""
    if action.tool is None:
        return action.text
    return write_json(action)


def first_line(text: str) -> str:
    """The first line that is not empty, stripped; "" where there is none."""
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def read_command(command: str, history: History) -> Reply:
    """The reply of one line that is a command, or a JSON tool call where the world has tools."""
    command = command.strip()
    if not command:
        return Reply(None, complaint="The answer holds no command. Answer with one command.")
    try:
        if history.opened.tools and command.startswith("{") and command not in history.observation.choices:
            return Reply(read_json(command))
        return Reply(Action(text=command))
    except ValidationError as error:
        return Reply(None, complaint=f"The command cannot be read: {error.errors()[0]['msg']}.")
    except (ValueError, RecursionError) as error:
        return Reply(None, complaint=f"The tool call cannot be read: {error}.")


def write_command(action: Action, history: History) -> str:
    """The line that `read_command` reads as this action; ValueError where no line does."""
    line = spoken(action)
    if "\n" in line or read_command(line, history).action != action:
        raise ValueError(
            f"this format cannot write the action {line[:80]!r}: a command is one line without outer spaces"
        )
    return line

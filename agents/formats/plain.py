"""The whole answer is the command: its first line that is not empty."""

from __future__ import annotations

from agents.formats.base import Format, first_line, read_command, write_command
from agents.types import History, Reply
from envserver.schema import Action

__all__ = ["Plain"]


class Plain(Format):
    """Answer with one command and nothing else."""

    rule = "Answer with one command and nothing else."

    def parse(self, text: str, history: History) -> Reply:
        """The first line that is not empty."""
        return read_command(first_line(text), history)

    def write(self, action: Action, history: History) -> str:
        """The command itself."""
        return write_command(action, history)

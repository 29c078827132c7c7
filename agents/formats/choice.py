"""The answer is the number of one of the shown commands.

Where the world shows no commands, the answer is the command itself, as in `plain`: a free-form world stays playable.
"""

from __future__ import annotations

import re

from agents.formats.base import Format, first_line, read_command, write_command
from agents.types import History, Reply
from envserver.schema import Action, Observation

__all__ = ["Choice"]

NUMBER = re.compile(r"[\[(#]?([0-9]{1,9})(?![0-9])")
"""A number at the start of the line, perhaps in brackets; what follows it is not read."""


class Choice(Format):
    """Pick one of the shown commands by its number."""

    rule = "Answer with the number of one command. Where no commands are listed, answer with the command itself."

    def show(self, observation: Observation) -> str:
        """The text, then the commands counted from 1."""
        if not observation.choices:
            return observation.text
        choices = "\n".join(f"{number}. {choice}" for number, choice in enumerate(observation.choices, 1))
        return f"{observation.text.rstrip()}\n\n{choices}"

    def parse(self, text: str, history: History) -> Reply:
        """The number at the start of the first line that is not empty."""
        choices = history.observation.choices
        line = first_line(text)
        if not choices:
            return read_command(line, history)
        found = NUMBER.match(line)
        if found is None:
            return Reply(None, complaint=f"The answer is not a number. Answer with a number from 1 to {len(choices)}.")
        number = int(found[1])
        if not 1 <= number <= len(choices):
            return Reply(
                None, complaint=f"There is no command {number}. Answer with a number from 1 to {len(choices)}."
            )
        return Reply(Action(text=choices[number - 1]))

    def write(self, action: Action, history: History) -> str:
        """The number of the action's text among the commands shown last."""
        choices = history.observation.choices
        if not choices:
            return write_command(action, history)
        if action.tool is not None or action.text not in choices:
            raise ValueError(f"the command {action.text!r} is not among the {len(choices)} shown")
        return str(choices.index(action.text) + 1)

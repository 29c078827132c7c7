"""Right answers by task key, of a JSONL file with a `{"key": ..., "answers": [...]}` a line.

They are the trainer's: no world shows them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.types import Episode
from trainers.plugged import BadConfig, sentence

__all__ = ["answered", "read_references"]


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    key: str
    answers: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)


def read_references(path: Path) -> dict[str, list[str]]:
    """Answers by task key. Raises BadConfig."""
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"the reference answers '{path}' cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = _Line.model_validate_json(line)
        except ValidationError as error:
            raise BadConfig(f"line {number} of '{path}' is no reference answer: {sentence(error, _Line)}") from error
        found.setdefault(one.key, []).extend(one.answers)
    return found


def answered(episode: Episode) -> str:
    """What an episode answered: its last action, where that ended it, and of a call its `answer` or all its values."""
    last = episode.turns[-1] if episode.turns else None
    if last is None or last.result is None or not last.result.terminated or last.reply.action is None:
        return ""
    action = last.reply.action
    if action.tool is None:
        return action.text
    given = action.arguments.get("answer")
    return " ".join(str(value) for value in (action.arguments.values() if given is None else [given]))

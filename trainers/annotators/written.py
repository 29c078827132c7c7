"""Thoughts from a file that `trainer annotate --out` wrote: an annotation that was paid for once serves many runs.

One JSON object a line: {"env", "key", "seed", "actions": [...], "notes": [{"tag", "words"}]}. A demonstration without
a line, or whose line has other actions, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.conduct import said
from agents.formats.rlvmr import Tag
from agents.types import Episode
from trainers.annotators.base import Annotator, AnnotatorConfig, Note, Notes
from trainers.plugged import BadConfig

__all__ = ["Written", "line"]


class WrittenConfig(AnnotatorConfig):
    """Where they stand."""

    name: str = "written"
    """The annotator's registry name."""
    file: Path = Path("annotations.jsonl")
    """The file that `trainer annotate --out` wrote."""


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tag: Tag
    words: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    env: str
    key: str
    seed: int
    actions: list[str]
    notes: list[_Note]


class Written(Annotator):
    """Looks them up."""

    Config: ClassVar[type[AnnotatorConfig]] = WrittenConfig
    config: WrittenConfig

    async def notes(self, episodes: Sequence[Episode], done: Callable[[], None]) -> list[Notes | None]:
        """What the file has for each episode. Raises BadConfig where it cannot be read."""
        file = self.config.file
        known: dict[tuple[str, str, int], _Line] = {}
        number = 0
        try:
            for text in file.read_text(encoding="utf-8").rstrip("\n").split("\n"):
                number += 1
                found = _Line.model_validate_json(text)
                known[found.env, found.key, found.seed] = found
        except (OSError, UnicodeDecodeError) as error:
            raise BadConfig(f"the annotations '{file}' cannot be read: {error}") from error
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise BadConfig(
                f"line {number} of '{file}' is no annotation: {what}; write it with trainer annotate"
            ) from None
        kept: list[Notes | None] = []
        for episode in episodes:
            task = episode.task
            has = known.get((task.env, task.key, task.seed))
            same = has is not None and has.actions == _actions(episode) and len(has.notes) == len(has.actions)
            kept.append([Note(note.tag, note.words) for note in has.notes] if has is not None and same else None)
            done()
        return kept


def line(episode: Episode, notes: Notes) -> str:
    """The line of one annotated episode."""
    told: dict[str, Any] = {"env": episode.task.env, "key": episode.task.key, "seed": episode.task.seed}
    told |= {"actions": _actions(episode), "notes": [note._asdict() for note in notes]}
    return json.dumps(told, ensure_ascii=False)


def _actions(episode: Episode) -> list[str]:
    return [said(turn) for turn in episode.turns]

"""An annotator tells, for each turn of a demonstration, which kind of thought it is and in which words.

Rule: it never changes what was played. What it gives back for other actions than those of the episode is refused, and
that demonstration is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from agents.formats.rlvmr import Tag
from agents.types import Episode

__all__ = ["Annotator", "AnnotatorConfig", "Note", "Notes"]


class Note(NamedTuple):
    """The thought of one turn."""

    tag: Tag
    words: str


Notes = list[Note]
"""(T,) one note a turn; the note of a turn without an action is not used."""


class AnnotatorConfig(BaseModel):
    """Settings of an annotator."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The annotator's registry name."""


class Annotator(ABC):
    """One way to write thoughts."""

    Config: ClassVar[type[AnnotatorConfig]] = AnnotatorConfig

    def __init__(self, config: AnnotatorConfig) -> None:
        self.config = config

    @abstractmethod
    async def notes(self, episodes: Sequence[Episode], done: Callable[[], None]) -> list[Notes | None]:
        """The notes of each episode, None where none could be had; `done` is called as each is finished."""

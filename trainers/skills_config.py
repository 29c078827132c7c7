"""What a run can be told of the skills that its failures teach; no import of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from trainers.plugged import plugged

__all__ = ["SkillsConfig"]

_Evolver = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("trainers.evolvers", "Evolver", "llm"))]


class SkillsConfig(BaseModel):
    """Skills written from failures, for the context `recall` to show: MetaClaw (arXiv 2603.17187).

    Runs that share a database share the skills; what is compared needs a `store.url` of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    every: int = Field(0, ge=0)
    """Steps between two looks at whether failures shall teach skills; 0: never, what is there stays as it is."""
    below: float = Field(0.4, ge=0, le=1)
    """Share of the step's valid episodes that solve their task below which they do; 1: wherever one fails."""
    failures: int = Field(6, ge=1)
    """Failed episodes that the evolver reads at most."""
    evolver: _Evolver = Field("llm", validate_default=True)
    """Who writes skills; `name` picks the plugin."""
    reading: Literal["flush", "episodes"] = "flush"
    """What may not train once a skill was taught: all that was played before, the paper's; or the episodes that the
    evolver has read, ours."""

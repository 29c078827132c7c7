"""The lines of an exported library: one JSON object each, told apart by `type`; unknown keys are refused.

The first line is the header. Token arrays are base64 of little-endian int32 or float32. A turn's prompt is the first
`prompt_shared` ids of the previous turn's prompt and sample, then `prompt_tail`.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

__all__ = [
    "FORMAT",
    "EpisodeLine",
    "ExperienceLine",
    "Header",
    "Line",
    "LinkLine",
    "RunLine",
    "ShownLine",
    "SkillLine",
    "TurnLine",
    "UseLine",
    "VersionLine",
    "decode",
    "encode",
    "read_line",
]

FORMAT: Literal[4] = 4

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Header(_Part):
    """First line: what this file is."""

    type: Literal["library"] = "library"
    format: Literal[1, 2, 3, 4] = FORMAT
    """1 knows no front matter, no files, and not why an entry was retired; 1 and 2 know no generation of a turn; 1 to 3
    know no links. All are read all the same."""
    schema_revision: str


class RunLine(_Part):
    """A run."""

    type: Literal["run"] = "run"
    id: Text
    name: str
    created: AwareDatetime
    config: dict[str, Any]


class UseLine(_Part):
    """A credit that belongs to no turn."""

    reward: FiniteFloat | None
    created: AwareDatetime


class LinkLine(_Part):
    """A cluster elsewhere that a search has linked an experience to, named by its representative."""

    situation: str
    similarity: FiniteFloat
    created: AwareDatetime


class ExperienceLine(_Part):
    """An experience; turns name it by its digest, which follows from its text."""

    type: Literal["experience"] = "experience"
    env: Text
    kind: Literal["skill", "failure"]
    situation: str
    advice: Text
    level: str
    first_score: FiniteFloat
    score: FiniteFloat
    shown: Count
    episode: str | None
    turn: Count | None
    created: AwareDatetime
    retired: AwareDatetime | None
    retired_why: str | None = None
    merged_into: str | None = None
    """Digest of the experience that says the same; it may stand later in the file."""
    links: list[LinkLine] = []
    uses: list[UseLine]


class VersionLine(_Part):
    """One text of a skill; `parent` is the version it was made from."""

    version: Annotated[int, Field(ge=1, lt=2**31)]
    body: str
    parent: int | None
    episode: str | None
    turn: Count | None = None
    front: dict[str, Any] | None = None
    files: dict[str, str] | None = None
    """Path to base64."""
    created: AwareDatetime
    uses: list[UseLine]


class SkillLine(_Part):
    """A skill with its versions."""

    type: Literal["skill"] = "skill"
    name: Text
    category: str
    description: str
    created: AwareDatetime
    retired: AwareDatetime | None
    current: int | None = None
    """The version in use; null: the newest."""
    versions: list[VersionLine]


class ShownLine(_Part):
    """What was shown in a turn: an experience by digest, or a skill's version."""

    experience: str | None = None
    skill: str | None = None
    version: int | None = None
    reward: FiniteFloat | None = None


class TurnLine(_Part):
    """A turn."""

    kind: Literal["act", "summary"]
    observation: str
    text: str
    action: str
    tag: str
    complaint: str
    reward: FiniteFloat
    advantage: FiniteFloat | None
    version: Int32
    generation: Int32 = 0
    temperature: FiniteFloat
    prompt_shared: Count
    prompt_tail: str
    sample_ids: str
    logprobs: str
    used: list[ShownLine]


class EpisodeLine(_Part):
    """An episode with its turns."""

    type: Literal["episode"] = "episode"
    id: Text
    run: Text
    env: str
    key: str
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    split: str
    stop: str
    reward: FiniteFloat | None
    success: bool
    error: str | None
    wall_s: FiniteFloat
    opening: str
    closing: str
    step: Int32
    created: AwareDatetime
    turns: list[TurnLine]


Line = Header | RunLine | ExperienceLine | SkillLine | EpisodeLine

_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


def read_line(raw: bytes) -> Line:
    """The line's object. Raises pydantic's ValidationError, a ValueError."""
    return _LINE.validate_json(raw)


def encode(array: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> str:
    """(L,) as base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def decode(text: str, dtype: Literal["<i4", "<f4"]) -> list[Any]:
    """(L,) again. Raises ValueError for what is no base64 of whole items."""
    raw = base64.b64decode(text, validate=True)
    return list(np.frombuffer(raw, dtype).tolist())

"""Routes that write: admit experiences, add and edit skills, retire both. Each needs the server's token."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from skills_db.rules import Changes, Rules
from skills_db.serving.desk import Desk
from skills_db.serving.door import GuardedRoute
from skills_db.serving.problem import refusals
from skills_db.serving.reads import Name, Number
from skills_db.store import Store
from skills_db.types import NewExperience, NewSkill, SkillEdit, SkillVersionRow

__all__ = ["write_routes"]


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except ValueError:
        raise ValueError("this is no base64, which a file's bytes are said in") from None


File = Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Turn = Annotated[int, Field(ge=0, lt=1 << 31)]
Back = Annotated[bool, Query(description="Take it up again.")]


class Body(BaseModel):
    """Base of every body: unknown keys are refused, and so is a number in quotes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Offer(Body, strict=False):  # strict, pydantic takes no JSON object for a dataclass
    """Experiences to admit, in one evolution step."""

    items: Annotated[list[NewExperience], Field(min_length=1, max_length=1000)]
    rules: Rules = Rules()


class SkillBody(Body):
    """A skill to keep."""

    name: str
    """Lower-case letters, digits and single hyphens."""
    description: str
    """When to use it, one sentence."""
    body: str
    """Markdown."""
    category: str = "general"
    """Where it applies: an environment, a subject, or `general`."""
    front: dict[str, JsonValue] = {}
    """What else stands in the front matter of its SKILL.md."""
    files: dict[str, File] = {}
    """Files beside its SKILL.md: path to base64."""
    episode: str | None = None
    """The episode that taught it."""
    turn: Turn | None = None


class EditBody(Body):
    """What is to be another in the version in use; null stays as it is."""

    base: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    """The version that the edit was made from: refused where another is in use."""
    body: str | None = None
    description: str | None = None
    category: str | None = None
    front: dict[str, JsonValue] | None = None
    files: dict[str, File] | None = None
    episode: str | None = None
    """The episode that taught it, of the new version alone."""
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class Retired:
    """What became of an entry that was put away or taken up again."""

    type: Literal["experience", "skill"]
    id: str
    retired: bool
    changed: bool
    """False where it was so already."""


def write_routes(desk: Desk) -> APIRouter:
    """The routes, over one desk."""
    # The route checks the token before it reads a body; this tells OpenAPI.
    bearer = Depends(HTTPBearer(auto_error=False, description="The server's token."))
    router = APIRouter(route_class=GuardedRoute, dependencies=[bearer])

    @router.post("/v1/experiences", response_model=Changes, responses=refusals(401, 403, 413, 507))
    async def admit(offer: Offer) -> Response:
        """Offer experiences under the rules; what became of them."""
        return await desk.write(lambda store: store.admit(offer.items, offer.rules))

    @router.post("/v1/skills", status_code=201, response_model=SkillVersionRow, responses=refusals(401, 403, 413, 507))
    async def add_skill(skill: SkillBody) -> Response:
        """Add a skill; its first version."""
        new = NewSkill(**dict(skill))
        return await desk.write(lambda store: store.add_skill(new), 201)

    @router.post(
        "/v1/skills/{name}/versions",
        response_model=SkillVersionRow,
        responses=refusals(401, 403, 404, 409, 413, 507),
    )
    async def edit_skill(name: Name, edit: EditBody) -> Response:
        """Put another version in use; the one in use where nothing differs."""
        fields = dict(edit)
        base = fields.pop("base")
        return await desk.write(lambda store: store.edit_skill(name, SkillEdit(**fields), base))

    retiring = refusals(401, 403, 404, 507)

    @router.post("/v1/experiences/{id}/retire", response_model=Retired, responses=retiring)
    async def retire_experience(id: Number, back: Back = False) -> Response:
        """Put an experience away, or take it up again; its history stays."""
        return await desk.write(lambda store: _retired(store, "experience", str(id), back))

    @router.post("/v1/skills/{name}/retire", response_model=Retired, responses=retiring)
    async def retire_skill(name: Name, back: Back = False) -> Response:
        """Put a skill away, or take it up again; its history stays."""
        return await desk.write(lambda store: _retired(store, "skill", name, back))

    return router


def _retired(store: Store, kind: Literal["experience", "skill"], id: str, back: bool) -> Retired:
    changed = store.retire(kind, id, back=back)
    return Retired(kind, id, retired=not back, changed=changed)

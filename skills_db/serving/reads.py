"""Routes that read. A record looks as the commands print it with `--json`; `/v1/search` is `skills search`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from skills_db.errors import UnknownRecord
from skills_db.hybrid import Ranked, Wanted
from skills_db.lineage import EntryLineage, EpisodeLineage
from skills_db.migrate import head
from skills_db.schema_page import schema_columns
from skills_db.serving.desk import Desk
from skills_db.serving.door import BODY_LIMIT_BYTES, StrictRoute
from skills_db.serving.problem import refusals
from skills_db.skill_search import RankedSkill
from skills_db.store import Store
from skills_db.types import EpisodeRow, ExperienceRow, Found, NewEpisode, RunRow, SkillRow, SkillVersionRow, Stats

__all__ = ["read_routes"]

MOST = 1000
"""Records of one answer."""
TEXT_CHARS = 100_000
"""Of what is searched for: the whole of a long observation."""

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many.")]
Offset = Annotated[int, Query(ge=0, lt=1 << 53, description="So many are left out first.")]
Number = Annotated[int, Path(ge=0, lt=1 << 63, description="The experience's number.")]
Name = Annotated[str, Path(description="The skill's name.")]


class Search(BaseModel):
    """What is looked for, and among which experiences and skills; null does not filter."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    text: Annotated[str, Field(max_length=TEXT_CHARS)]
    """A situation, or words that must all occur; "…" within for a phrase."""
    env: str | None = None
    """Of experiences; of skills that category and `general`."""
    kind: str | None = None
    """Of experiences, `skill` or `failure`; where it is `failure`, no skills are found."""
    level: str | None = None
    """Of experiences; where one is given, no skills are found."""
    run: str | None = None
    """Only what was learned in this run's episodes."""
    score_at_least: FiniteFloat | None = None
    """Of experiences; where one is given, no skills are found."""
    newer_than: AwareDatetime | None = None
    """Added at this time or later; of a skill, the version in use."""
    older_than: AwareDatetime | None = None
    """Added before this time."""
    category: str | None = None
    """Of skills."""
    retired: bool = False
    """Whether skills that are retired are found, too."""
    limit: Annotated[int, Field(ge=1, le=MOST)] = 10
    """Experiences, and as many skills."""

    def look(self, store: Store) -> Looked:
        """The store's answer."""
        wanted = Wanted(**self.model_dump(exclude={"text", "category", "retired"}))
        return Looked(
            experiences=store.look(self.text, wanted),
            skills=store.find_skills(self.text, wanted, category=self.category, retired=self.retired),
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and why each stands where it does."""

    experiences: list[Ranked]
    skills: list[RankedSkill]


@dataclass(frozen=True, slots=True)
class Health:
    """Of a memory that answers; one that does not is a problem."""

    schema: str
    """The schema's revision."""
    writes: bool
    """Whether there is a token by which one may write."""
    limits: dict[str, int]


def read_routes(desk: Desk, token: str | None) -> APIRouter:
    """The routes, over one desk."""
    router = APIRouter(route_class=StrictRoute)

    @router.get("/health", response_model=Health, responses=refusals())
    async def health() -> Response:
        """Liveness: the database has been asked."""
        limits = {"body_limit_bytes": BODY_LIMIT_BYTES, "limit": MOST, "text_chars": TEXT_CHARS}

        def verb(store: Store) -> Health:
            store.episodes(limit=1)
            return Health(head(), token is not None, limits)

        return await desk.read(verb)

    @router.get("/v1/search", response_model=Looked, responses=refusals())
    async def search(search: Annotated[Search, Query()]) -> Response:
        """Experiences by words, vectors and cluster at once, and skills by words and vectors."""
        return await desk.read(search.look)

    @router.post("/v1/search", response_model=Looked, responses=refusals(413))
    async def search_long(search: Search) -> Response:
        """The same, for a text that is too long for a URL."""
        return await desk.read(search.look)

    @router.get("/v1/find", response_model=list[Found], responses=refusals())
    async def find(
        text: Annotated[str, Query(max_length=TEXT_CHARS)],
        env: str | None = None,
        kind: str | None = None,
        run: str | None = None,
        retired: bool = False,
        limit: Limit = 20,
    ) -> Response:
        """Where words occur: in observations, actions, experiences and skills."""
        return await desk.read(
            lambda store: store.find(text, env=env, kind=kind, run=run, retired=retired, limit=limit)
        )

    @router.get("/v1/experiences/{id}", response_model=ExperienceRow, responses=refusals(404))
    async def experience(id: Number) -> Response:
        """One experience, retired or not."""
        return await desk.read(lambda store: store.experience(id))

    @router.get("/v1/skills", response_model=list[SkillRow], responses=refusals())
    async def skills(
        category: str | None = None, retired: bool = False, limit: Limit = 100, offset: Offset = 0
    ) -> Response:
        """Skills with their versions, by name; with the retired ones where asked for."""
        return await desk.read(
            lambda store: store.skills(category=category, retired=retired, limit=limit, offset=offset)
        )

    @router.get("/v1/skills/{name}", response_model=SkillRow | SkillVersionRow, responses=refusals(404))
    async def skill(name: Name, version: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None) -> Response:
        """One skill with its versions, or one version alone."""

        def verb(store: Store) -> SkillRow | SkillVersionRow:
            found = store.skill(name)
            try:
                return found if version is None else found.version(version)
            except LookupError as error:
                raise UnknownRecord(str(error)) from error

        return await desk.read(verb)

    @router.get("/v1/lineage/{id:path}", response_model=EntryLineage | EpisodeLineage, responses=refusals(404))
    async def lineage(id: str, limit: Annotated[int, Query(ge=0, le=MOST)] = 20) -> Response:
        """Where an experience or a skill comes from and how it went with it; what an episode was shown."""
        return await desk.read(lambda store: store.lineage(id, limit))

    @router.get("/v1/episodes", response_model=list[EpisodeRow], responses=refusals())
    async def episodes(
        run: str | None = None,
        env: str | None = None,
        split: str | None = None,
        step: Annotated[int | None, Query(ge=-(1 << 31), lt=1 << 31)] = None,
        success: bool | None = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Response:
        """Episodes without their turns, the newest first."""
        return await desk.read(
            lambda store: store.episodes(
                run=run, env=env, split=split, step=step, success=success, limit=limit, offset=offset
            )
        )

    @router.get("/v1/episodes/{id:path}", response_model=NewEpisode, responses=refusals(404))
    async def episode(id: str) -> Response:
        """One episode with its turns and tokens."""
        return await desk.read(lambda store: store.episode(id))

    @router.get("/v1/runs", response_model=list[RunRow], responses=refusals())
    async def runs(limit: Limit = 100) -> Response:
        """Runs, the newest first."""
        return await desk.read(lambda store: store.runs(limit))

    @router.get("/v1/stats", response_model=Stats, responses=refusals())
    async def stats() -> Response:
        """Rows of each table, and how each environment has gone."""
        return await desk.read(lambda store: store.stats())

    @router.get("/v1/schema", response_model=dict[str, dict[str, dict[str, str]]], responses=refusals())
    async def schema() -> Response:
        """Type and meaning of each column, by table."""
        return await desk.read(lambda store: schema_columns())

    return router

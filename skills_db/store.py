"""Memory's one door: open it by URL, write and read plain records.

Each verb is one transaction; whatever goes wrong raises a StoreError and leaves what was there. A Store may be shared
by threads; each process opens its own.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from skills_db import admission as _admission
from skills_db import episodes as _episodes
from skills_db import exchange as _exchange
from skills_db import hybrid as _hybrid
from skills_db import intake as _intake
from skills_db import lineage as _lineage
from skills_db import migrate as _migrate
from skills_db import records as _records
from skills_db import rewind as _rewind
from skills_db import search as _search
from skills_db import skills as _skills
from skills_db import sql as _sql
from skills_db import stats as _stats
from skills_db.cluster import DELTA
from skills_db.database import Database, connect
from skills_db.embed import Embedder, Hashing
from skills_db.errors import BadRecord, StoreOlder, UnknownRecord
from skills_db.experiences import Experiences, check_experience
from skills_db.hybrid import Ranked, Wanted
from skills_db.models import Run
from skills_db.rules import Changes, Rules
from skills_db.skill_search import Match, RankedSkill, SkillSearch
from skills_db.types import (
    EpisodeRow,
    ExperienceRow,
    Found,
    Hit,
    NewEpisode,
    NewExperience,
    NewSkill,
    Query,
    RunRow,
    SkillEdit,
    SkillRow,
    SkillVersionRow,
    Stats,
    Table,
    TaskStat,
)

__all__ = ["Store", "default_url", "open_store"]

_PROBE_BYTES = 256 * 1024


def default_url() -> str:
    """`$TURNHALLE_DB`, or a file under the user's data directory (`$XDG_DATA_HOME`, else `~/.local/share`)."""
    named = os.environ.get("TURNHALLE_DB", "")
    if named:
        return named
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return f"sqlite:///{data / 'turnhalle' / 'turnhalle.db'}"


def open_store(
    url: str | None = None,
    *,
    create: bool = True,
    readonly: bool = False,
    migrate: bool = True,
    embedder: Embedder | None = None,
    delta: float = DELTA,
) -> Store:
    """Open the memory at `url` (`sqlite:///PATH`, a plain path, `postgresql://…`; None: `default_url()`).

    An older schema is brought up to date where `migrate` allows it and the store is not `readonly`. `delta` is the
    least cosine similarity to a cluster's representative. Raises StoreUnreachable (nothing there and `create` is false,
    no server, an unknown scheme), NotAStore, StoreNewer, StoreOlder, StoreReadOnly, StoreBusy.
    """
    database = connect(default_url() if url is None else url, create=create, readonly=readonly)
    try:
        with database.reading() as connection:
            found = _migrate.current(connection, database.where)
        if found != _migrate.head():
            if readonly or not migrate:
                raise StoreOlder(
                    f"{database.where} has schema {found} and this code wants {_migrate.head()}: run `skills migrate`"
                )
            with database.writing() as connection:
                _migrate.migrate(connection, database.where)
    except BaseException:
        database.close()
        raise
    return Store(database, embedder, delta)


class Store:
    """An open memory. Made by `open_store`."""

    def __init__(self, database: Database, embedder: Embedder | None = None, delta: float = DELTA) -> None:
        self._database = database
        self._embedder = embedder or Hashing()
        self._experiences = Experiences(database, self._embedder, delta)
        self._skill_search = SkillSearch(self._embedder)

    @property
    def where(self) -> str:
        """The database's URL, without a password."""
        return self._database.where

    @property
    def embedder(self) -> str:
        """Whose vectors are compared."""
        return self._embedder.name

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._database.dialect

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back; idempotent. Every later verb raises StoreClosed."""
        self._database.close()

    def add_run(self, name: str, config: Mapping[str, Any]) -> str:
        """Begin a run and return its id. Raises BadRecord where `config` is not JSON."""
        began = datetime.now(UTC)
        run = f"{began:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        row = {"id": run, "name": name, "created": began, "config": as_json(config, f"run '{name}'")}
        with self._database.writing() as connection:
            connection.execute(sa.insert(Run), row)
        return run

    def probe(self) -> None:
        """Write, commit and leave nothing: raises what a run's first record would, StoreReadOnly, StoreFull, StoreBusy.

        The row is large, since a database that is nearly full takes a small one.
        """
        row = {"id": secrets.token_hex(8), "name": "", "created": datetime.now(UTC), "config": {"": "x" * _PROBE_BYTES}}
        with self._database.writing() as connection:
            connection.execute(sa.insert(Run), row)
            connection.execute(sa.delete(Run).where(Run.id == row["id"]))

    def rewind(self, run: str, step: int) -> int:
        """Forget what a run played after a step, in episodes, statistics and credits; how many episodes that were."""
        with self._database.writing() as connection:
            return _rewind.rewind(connection, run, step)

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Runs, the newest first."""
        with self._database.reading() as connection:
            return _episodes.list_runs(connection, limit)

    def add_episode(self, run: str, episode: NewEpisode) -> bool:
        """Keep an episode; False where its id was there already. Raises BadRecord."""
        return self.add_episodes([(run, episode)]) == 1

    def add_episodes(
        self,
        pairs: Sequence[tuple[str, NewEpisode]],
        advantages: Sequence[tuple[str, Sequence[float | None]]] = (),
    ) -> int:
        """Keep (run, episode) pairs, then set advantages by episode id; how many episodes were not there before.

        One transaction, all or none. Raises BadRecord, UnknownRecord.
        """
        for _, episode in pairs:
            _episodes.check_episode(episode)
        with self._database.writing() as connection:
            added = _episodes.add_episodes(connection, pairs)
            for id, values in advantages:
                _episodes.set_advantages(connection, id, values)
        return added

    def set_advantages(self, episode_id: str, advantages: Sequence[float | None]) -> None:
        """Write (T,) advantages to an episode's turns. Raises UnknownRecord, BadRecord."""
        self.add_episodes([], [(episode_id, advantages)])

    def episodes(
        self,
        *,
        run: str | None = None,
        env: str | None = None,
        split: str | None = None,
        step: int | None = None,
        success: bool | None = None,
        limit: int | None = 100,
        offset: int = 0,
        newest: bool = True,
    ) -> list[EpisodeRow]:
        """Episodes without their turns, the newest first or in the order of writing; None does not filter."""
        with self._database.reading() as connection:
            return _episodes.list_episodes(
                connection,
                run=run,
                env=env,
                split=split,
                step=step,
                success=success,
                limit=limit,
                offset=offset,
                newest=newest,
            )

    def episode(self, episode_id: str) -> NewEpisode:
        """One episode with its turns and tokens. Raises UnknownRecord."""
        with self._database.reading() as connection:
            return _episodes.read_episode(connection, episode_id)

    def task_stats(self, run: str | None = None, env: str | None = None) -> list[TaskStat]:
        """How each task has gone, in one run or over all of them."""
        with self._database.reading() as connection:
            return _episodes.read_task_stats(connection, run, env)

    def add(self, items: Iterable[NewExperience]) -> list[int]:
        """Keep experiences, all or none; one that is there already keeps its id. Raises BadRecord."""
        return self._experiences.add(items)

    def search(self, query: Query) -> list[Hit]:
        """What to show in a situation: the best of its cluster, else of the nearest situations."""
        return self._experiences.search(query)

    def live(self, env: str) -> dict[str, list[int]]:
        """Ids of the experiences in use, by kind (`skill`, `failure`), the oldest first."""
        with self._database.reading() as connection:
            return _records.live_experiences(connection, env)

    def credit(self, ids: Sequence[int], reward: float, episode: str | None = None) -> None:
        """Say what came of showing experiences, in `episode` where it is kept. Raises UnknownRecord, BadRecord."""
        self._experiences.credit(ids, reward, episode)

    def prune(self, env: str, keep: int) -> int:
        """Retire all but the `keep` best experiences of each kind; how many those were."""
        return self._experiences.prune(env, keep)

    def look(self, text: str, wanted: Wanted | None = None) -> list[Ranked]:
        """Experiences by words, vectors and cluster at once, and why each stands where it does. Raises BadRecord."""
        with self._database.asking() as connection:
            return _hybrid.look(connection, self._experiences.clusters, text, wanted)

    def find(
        self,
        text: str,
        *,
        env: str | None = None,
        kind: str | None = None,
        run: str | None = None,
        retired: bool = False,
        limit: int = 20,
    ) -> list[Found]:
        """Full text over observations, actions, experiences and skills. Raises BadRecord for an unknown `kind`."""
        if kind is not None and kind not in _search.KINDS:
            raise BadRecord(f"nothing is of kind '{kind}': say {', '.join(_search.KINDS)}")
        with self._database.reading() as connection:
            return _search.find(connection, text, env=env, kind=kind, run=run, retired=retired, limit=limit)

    def export_lines(self, *, env: str | None = None, run: str | None = None, episodes: bool = True) -> Iterator[str]:
        """The library as JSON lines, for `import_lines`; narrowed by environment or run, or without episodes."""
        return _exchange.export_lines(self._database, env=env, run=run, episodes=episodes)

    def import_lines(self, lines: Iterable[bytes], name: str = "the file") -> dict[str, int]:
        """Read exported lines, all or none; how many of each type were new. Raises BadRecord with the line's number."""
        return _intake.import_lines(self._database, self._experiences, lines, name)

    def stats(self) -> Stats:
        """What there is: rows of each table, and how each environment has gone."""
        with self._database.reading() as connection:
            return _stats.read_stats(connection)

    def resolve(self, prefix: str) -> tuple[str, str]:
        """(`run` | `episode` | `experience` | `skill`, its whole id) of what an id or its beginning names.

        Raises UnknownRecord where nothing or more than one thing begins so.
        """
        with self._database.reading() as connection:
            return _records.resolve(connection, prefix)

    def run(self, run_id: str) -> RunRow:
        """One run. Raises UnknownRecord."""
        with self._database.reading() as connection:
            return _records.read_run(connection, run_id)

    def experience(self, experience_id: int) -> ExperienceRow:
        """One experience, retired or not. Raises UnknownRecord."""
        with self._database.reading() as connection:
            return _records.read_experience(connection, experience_id)

    def admit(self, items: Iterable[NewExperience], rules: Rules | None = None) -> Changes:
        """Offer experiences under `rules`; one call is one evolution step. All or none; raises BadRecord."""
        offered = list(items)
        for item in offered:
            check_experience(item, too_long=False)
        with self._database.writing() as connection:
            return _admission.admit(connection, self._experiences, self._embedder, offered, rules or Rules())

    def forget(self, env: str, rules: Rules | None = None, *, dry_run: bool = False) -> Changes:
        """Retire what the rules say is harmful, unused, said twice or beyond capacity; a dry run only says which."""
        with self._database.writing() as connection:
            changes = _admission.forget(connection, self._embedder, env, rules or Rules())
            if dry_run:
                connection.rollback()
        return changes

    def retire(self, kind: str, id: str, *, back: bool = False) -> bool:
        """Put an `experience` or a `skill` away, or take it up again; False where that is so. Raises UnknownRecord."""
        with self._database.writing() as connection:
            if kind == "skill":
                return _skills.retire_skill(connection, id, back=back)
            if kind == "experience":
                return _admission.retire_by_hand(connection, int(id), back=back)
        raise UnknownRecord(f"'{id}' is of kind {kind}, and only experiences and skills are retired")

    def skill(self, name: str) -> SkillRow:
        """One skill with its versions. Raises UnknownRecord."""
        with self._database.reading() as connection:
            found = _skills.read_skills(connection, name)
        if not found:
            raise UnknownRecord(f"no skill is named '{name}'")
        return found[0]

    def skills(
        self, *, category: str | None = None, retired: bool = False, limit: int | None = None, offset: int = 0
    ) -> list[SkillRow]:
        """Skills with their versions, by name; with the retired ones where asked for."""
        with self._database.reading() as connection:
            return _skills.read_skills(connection, category=category, retired=retired, limit=limit, offset=offset)

    def find_skills(
        self, text: str, wanted: Wanted | None = None, *, category: str | None = None, retired: bool = False
    ) -> list[RankedSkill]:
        """Skills by words and vectors at once, and why each stands where it does. Raises BadRecord."""
        with self._database.reading() as connection:
            return self._skill_search.find(connection, text, wanted or Wanted(), category=category, retired=retired)

    def skills_for(self, text: str, *, limit: int, match: Match, env: str) -> list[SkillVersionRow]:
        """What skills to show in a situation: general ones, at most `limit`, then those for it. Raises BadRecord."""
        with self._database.reading() as connection:
            return self._skill_search.choose(connection, text, limit=limit, match=match, env=env)

    def add_skill(self, skill: NewSkill) -> SkillVersionRow:
        """Keep a new skill; its first version. Raises BadRecord, for a name that is taken, too."""
        with self._database.writing() as connection:
            _skills.add_skill(connection, skill)
            return _skills.read_skills(connection, skill.name)[0].version()

    def edit_skill(self, name: str, edit: SkillEdit, base: int | None = None) -> SkillVersionRow:
        """Put another version in use and return it; the one in use where nothing differs.

        With `base`, the edit is made from that version: raises EditConflict where another is in use by now. Raises
        UnknownRecord, BadRecord.
        """
        with self._database.writing() as connection:
            _skills.edit_skill(connection, name, edit, base)
            return _skills.read_skills(connection, name)[0].version()

    def keep_skills(self, skills: Iterable[NewSkill]) -> dict[str, int]:
        """Add skills, or edit those there are, all or none; how many were `added`, `edited` and `unchanged`."""
        with self._database.writing() as connection:
            return _skills.keep_skills(connection, skills)

    def lineage(self, prefix: str, limit: int | None = None) -> _lineage.EntryLineage | _lineage.EpisodeLineage:
        """Where an experience or a skill comes from and how it went with it; what an episode was shown.

        `prefix` as in `resolve`; at most `limit` showings. Raises UnknownRecord.
        """
        with self._database.reading() as connection:
            kind, id = _records.resolve(connection, prefix)
            return _lineage.read_lineage(connection, kind, id, limit=limit)

    def sql(self, query: str, *, limit: int = 1000, timeout_s: float = 10.0) -> Table:
        """What a query by hand answers; the engine keeps it from writing. Raises BadQuery."""
        return _sql.select(self._database, query, limit=limit, timeout_s=timeout_s)


def as_json(config: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """The configuration as JSON holds it. Raises BadRecord."""
    try:
        loaded: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadRecord(f"the configuration of {whose} is not JSON ({error}): give numbers, text, lists") from error
    return loaded

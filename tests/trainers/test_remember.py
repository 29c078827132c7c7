"""A run's door to memory: what the store cannot take now is taken later, and what is lost in the end is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import runs
import sqlalchemy as sa
from tiny import spoken

from agents.types import Episode
from skills_db.errors import BadRecord, EmbedderMissing, NotAStore, StoreError, StoreFull, StoreNewer, StoreUnreachable
from skills_db.migrate import VERSION_TABLE
from skills_db.store import open_store
from skills_db.types import NewExperience
from trainers import remember
from trainers.config import StoreConfig
from trainers.loop import train
from trainers.remember import Memory

FULL = 1
ROOMY = 1_000_000
disk = [ROOMY]
"""Pages that every SQLite database of this process keeps to, or to those it has where they are more."""


@pytest.fixture(autouse=True, scope="module")
def _limited() -> Iterator[None]:
    def keep_to(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {disk[0]}")

    sa.event.listen(sa.Engine, "begin", keep_to)
    yield
    sa.event.remove(sa.Engine, "begin", keep_to)


@contextmanager
def pages(most: int) -> Iterator[None]:
    """The disk has so much room."""
    before, disk[0] = disk[0], most
    try:
        yield
    finally:
        disk[0] = before


def opened(path: Path, told: list[str]) -> Memory:
    memory = Memory(StoreConfig(url=str(path)), tell=told.append)
    memory.begin("run", {})
    return memory


def played() -> Episode:
    return replace(spoken([(list(range(5000)), [7] * 50)]), id=uuid4().hex)


async def keep(memory: Memory, count: int) -> set[str]:
    episodes = [played() for _ in range(count)]
    for episode in episodes:
        await memory.keep(episode, split="train", step=1)
        await memory.credit([episode], [[0.5]])
    return {episode.id for episode in episodes}


def kept(path: Path) -> dict[str, float | None]:
    """Advantage of each episode's turn."""
    with open_store(str(path), readonly=True) as store:
        return {row.id: store.episode(row.id).turns[0].advantage for row in store.episodes(limit=None)}


async def test_nothing_is_lost_while_the_disk_is_full_and_all_is_written_once_there_is_room(tmp_path: Path) -> None:
    told: list[str] = []
    memory = opened(tmp_path / "memory.db", told)
    with pages(FULL):
        ids = await keep(memory, 40)
        await memory.settle()
    assert kept(tmp_path / "memory.db").keys() < ids
    await memory.close()
    assert kept(tmp_path / "memory.db") == dict.fromkeys(ids, 0.5)
    (sentence,) = told
    assert sentence.startswith("episodes wait in memory: the disk of sqlite:")


async def test_a_run_waits_where_no_more_can_wait_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remember, "RETRY_S", 0.01)
    memory = opened(tmp_path / "memory.db", [])
    assert memory._writer is not None
    memory._writer._capacity = 6
    with pages(FULL):
        keeping = asyncio.create_task(keep(memory, 40))
        done, _ = await asyncio.wait([keeping], timeout=0.5)
        assert not done
    ids = await keeping
    await memory.close()
    assert kept(tmp_path / "memory.db") == dict.fromkeys(ids, 0.5)


async def test_what_could_not_be_written_in_the_end_is_said(tmp_path: Path) -> None:
    memory = opened(tmp_path / "memory.db", [])
    with pages(FULL):
        await keep(memory, 40)
        with pytest.raises(StoreError, match=r"^\d+ records of play could not be written and are lost: the disk of .+"):
            await memory.close()


async def test_a_record_that_is_refused_for_good_is_raised_and_takes_no_other_with_it(tmp_path: Path) -> None:
    memory = opened(tmp_path / "memory.db", [])
    ids = await keep(memory, 3)
    memory.run = "nobody"
    await memory.keep(played(), split="train", step=1)
    with pytest.raises(BadRecord, match="no run has the id 'nobody'"):
        await memory.close()
    assert kept(tmp_path / "memory.db").keys() == ids


def newer(path: Path) -> None:
    with open_store(str(path)) as store, store._database.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("mysql://host/db", StoreUnreachable),
        ("postgresql://nobody@127.0.0.1:1/db", StoreUnreachable),
        ("{}", StoreUnreachable),
        ("{}/newer.db", StoreNewer),
        ("{}/other.txt", NotAStore),
        ("{}/full.db", StoreFull),
    ],
    ids=["scheme", "no server", "a directory", "newer", "no database", "full"],
)
async def test_a_database_that_takes_nothing_is_refused_before_a_server_starts_or_an_earlier_run_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, error: type[StoreError]
) -> None:
    def never(*args: object, **more: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr("trainers.worlds.launch", never)
    newer(tmp_path / "newer.db")
    open_store(str(tmp_path / "full.db")).close()
    (tmp_path / "other.txt").write_text("dear diary " * 500)
    asked = runs.config(tmp_path, None, f"store.url={url.format(tmp_path)}")
    asked.directory.mkdir()
    (asked.directory / "metrics.jsonl").write_text("{}\n")
    with pages(FULL), pytest.raises(error):
        await train(asked)
    assert [path.name for path in asked.directory.iterdir()] == ["metrics.jsonl"]
    assert (asked.directory / "metrics.jsonl").read_text() == "{}\n"


def test_a_run_has_the_embedder_that_its_config_names(tmp_path: Path) -> None:
    config = runs.config(tmp_path, None, "store.embedder=hashings")
    with pytest.raises(EmbedderMissing, match="no embedder is named 'hashings'; did you mean 'hashing'"):
        asyncio.run(train(config))
    assert list(tmp_path.iterdir()) == []


def test_a_run_has_the_clusters_that_its_delta_makes(tmp_path: Path) -> None:
    lessons = [NewExperience("e", situation, "look", "skill", 1.0) for situation in ("a red door", "a red lamp")]
    for delta, clusters in ((0.2, 1), (0.99, 2)):
        memory = Memory(StoreConfig(url=str(tmp_path / f"{delta}.db"), delta=delta))
        memory.store.add(lessons)
        memory.store.close()
        with open_store(str(tmp_path / f"{delta}.db")) as store:
            [[found]] = store.sql("SELECT count(*) FROM clusters").rows
            assert found == clusters

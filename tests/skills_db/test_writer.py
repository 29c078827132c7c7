"""The writer beside the loop: batches, back-pressure, errors that surface, and SIGKILL."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from test_store import an_episode

from skills_db.errors import BadRecord, StoreClosed, StoreFull
from skills_db.store import Store, open_store
from skills_db.writer import EpisodeWriter

ROOT = Path(__file__).parents[2]


def test_what_is_flushed_is_there(store: Store, url: str) -> None:
    run = store.add_run("r", {})
    with EpisodeWriter(store, batch=7) as writer, open_store(url) as reader:
        for i in range(50):
            writer.add(run, an_episode(f"e{i}"))
            writer.set_advantages(f"e{i}", [0.5, None, float(i)])
        writer.flush()
        assert writer.waiting == 0
        assert [row.id for row in reader.episodes(limit=None, newest=False)] == [f"e{i}" for i in range(50)]
        assert [turn.advantage for turn in reader.episode("e49").turns] == [0.5, None, 49.0]


def test_close_writes_what_waits_and_may_be_called_twice(store: Store) -> None:
    run = store.add_run("r", {})
    writer = EpisodeWriter(store)
    for i in range(20):
        writer.add(run, an_episode(f"e{i}"))
    writer.close()
    writer.close()
    assert len(store.episodes()) == 20
    with pytest.raises(StoreClosed):
        writer.add(run, an_episode("late"))


def test_a_full_queue_makes_the_caller_wait(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "memory.db")) as store:
        run = store.add_run("r", {})
        with EpisodeWriter(store, capacity=4, batch=2) as writer:
            with store._database.writing():  # nobody else can write meanwhile
                added: list[int] = []

                def hand_over() -> None:
                    for i in range(10):
                        writer.add(run, an_episode(f"e{i}"))
                        added.append(i)

                thread = threading.Thread(target=hand_over)
                thread.start()
                thread.join(0.3)
                assert thread.is_alive()
                assert len(added) == 4
            thread.join(30)
            writer.flush()
        assert len(store.episodes()) == 10


def test_an_episode_that_cannot_be_kept_is_refused_at_once(store: Store) -> None:
    with EpisodeWriter(store) as writer, pytest.raises(BadRecord, match="finite"):
        writer.add(store.add_run("r", {}), an_episode(reward=float("nan")))


def test_one_bad_job_is_named_and_the_others_are_kept(store: Store) -> None:
    run = store.add_run("r", {})
    writer = EpisodeWriter(store)
    writer.add(run, an_episode("good1"))
    writer.add("nowhere", an_episode("bad"))
    writer.set_advantages("good1", [1.0, 2.0, 3.0])
    with pytest.raises(BadRecord, match="no run has the id 'nowhere'"):
        writer.flush()
    writer.add(run, an_episode("good2"))
    writer.close()
    ids = {row.id for row in store.episodes(limit=None)}
    assert ids == {"good1", "good2"}
    assert [turn.advantage for turn in store.episode("good1").turns] == [1.0, 2.0, 3.0]


def test_what_a_full_disk_refused_is_written_once_there_is_room(tmp_path: Path) -> None:
    pages = 60
    with open_store(str(tmp_path / "memory.db")) as store:
        run = store.add_run("r", {})

        @sa.event.listens_for(store._database.engine, "begin")
        def small(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        writer = EpisodeWriter(store, batch=4)
        taken = 0
        with contextlib.suppress(StoreFull):
            while taken < 1000:
                writer.add(run, an_episode(f"e{taken}"))
                taken += 1
        assert taken < 1000
        with pytest.raises(StoreFull):
            writer.flush()
        with pytest.raises(StoreFull):
            writer.close()
        assert writer.waiting > 0
        pages = 100_000
        writer.close()
        assert {row.id for row in store.episodes(limit=None)} == {f"e{i}" for i in range(taken)}


def test_flush_gives_up_at_its_deadline_and_loses_nothing(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "memory.db")) as store:
        run = store.add_run("r", {})
        with EpisodeWriter(store) as writer, store._database.writing():
            writer.add(run, an_episode())
            with pytest.raises(TimeoutError, match="1 jobs are not written"):
                writer.flush(timeout_s=0.05)
        assert len(store.episodes()) == 1


WRITER = """
import sys
sys.path.insert(0, "tests/skills_db")
from test_store import an_episode
from skills_db.store import open_store
from skills_db.writer import EpisodeWriter
store = open_store(sys.argv[1])
name, count = sys.argv[2], int(sys.argv[3])
run = store.add_run(name, {})
writer = EpisodeWriter(store, batch=8)
for i in range(count):
    writer.add(run, an_episode(f"{name}-{i}"))
    if sys.argv[4] == "flush":
        writer.flush()
        print(f"{name}-{i}", flush=True)
"""


def start(url: str, name: str, count: int, flush: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WRITER, url, name, str(count), flush]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_sigkill_loses_no_episode_that_was_flushed(url: str, tmp_path: Path) -> None:
    process = start(url, "killed", 100_000, "flush")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.communicate()
    with open_store(url) as store:
        kept = {row.id for row in store.episodes(limit=None)}
        assert set(acknowledged) <= kept
        assert len(kept) <= len(acknowledged) + 1
        for id in kept:
            assert len(store.episode(id).turns) == 3
        assert store.task_stats()[0].visits == len(kept)
    if url.startswith("sqlite"):
        check = sqlite3.connect(tmp_path / "memory.db").execute("PRAGMA integrity_check").fetchone()
        assert check == ("ok",)


def test_the_end_of_the_program_writes_what_waits(tmp_path: Path) -> None:
    url = str(tmp_path / "memory.db")
    process = start(url, "ends", 40, "leave")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    with open_store(url) as store:
        assert len(store.episodes(limit=None)) == 40


FULL_AT_EXIT = """
import sys
import sqlalchemy as sa
sys.path.insert(0, sys.argv[2])
from test_store import an_episode
from skills_db.store import open_store
from skills_db.writer import EpisodeWriter
store = open_store(sys.argv[1])
run = store.add_run("r", {})
@sa.event.listens_for(store._database.engine, "begin")
def full(connection):
    connection.exec_driver_sql("PRAGMA max_page_count = 1")
writer = EpisodeWriter(store, batch=1000)
with writer._changed:
    for i in range(200):
        writer._jobs.append((run, an_episode(f"e{i}")))
        writer._taken += 1
"""


def test_what_cannot_be_written_at_the_end_of_the_program_is_said_in_one_sentence(tmp_path: Path) -> None:
    url = str(tmp_path / "memory.db")
    command = [sys.executable, "-c", FULL_AT_EXIT, url, str(Path(__file__).parent)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.startswith("200 records of play are lost: the disk of sqlite:")
    assert done.stderr.count("\n") == 1


def write_many(url: str, name: str) -> None:
    with open_store(url) as store:
        run = next((row.id for row in store.runs() if row.name == "shared"), "")
        with EpisodeWriter(store, batch=4) as writer:
            for i in range(30):
                writer.add(run, an_episode(f"{name}-{i}"))
                if i % 10 == 0:
                    writer.add(run, an_episode("shared"))
                    writer.flush()


def test_many_processes_write_and_none_loses_anything(url: str) -> None:
    with open_store(url) as store:
        store.add_run("shared", {})
    fork = multiprocessing.get_context("fork")  # no imports to wait for
    writers = [fork.Process(target=write_many, args=(url, f"w{w}")) for w in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(120)
        assert process.exitcode == 0
    with open_store(url) as store:
        kept = {row.id for row in store.episodes(limit=None)}
        assert kept == {f"w{w}-{i}" for w in range(4) for i in range(30)} | {"shared"}
        assert store.task_stats()[0].visits == 121

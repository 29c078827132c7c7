"""What is no good database: each is one sentence, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from test_store import an_episode

from skills_db.errors import (
    NotAStore,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)
from skills_db.store import default_url, open_store

ROOT = Path(__file__).parents[2]


def said(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://me:secret@host/db", "does not speak 'mysql'"),
        ("sqlite+aiosqlite:///x.db", "does not speak"),
        ("http://host/db", "does not speak 'http'"),
        ("sqlite://", "kept in a file"),
        ("sqlite:///:memory:", "kept in a file"),
        ("postgresql://host:port:port/db", "cannot be read"),
        ("", "is empty"),
        ("postgresql://me:secret@127.0.0.1:1/db", "does not answer"),
    ],
)
def test_a_url_nobody_can_open_is_one_sentence_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(StoreUnreachable, match=reason) as error:
        open_store(url)
    assert "secret" not in said(error)


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="is a directory"):
        open_store(str(tmp_path))


def test_a_file_where_a_directory_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnreachable, match="cannot be made"):
        open_store(f"sqlite:///{tmp_path}/file/x.db")


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary " * 500)
    with pytest.raises(NotAStore, match="is no SQLite database"):
        open_store(str(path))
    assert path.read_text() == "dear diary " * 500


def test_a_damaged_database_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with open_store(str(path)) as store:
        run = store.add_run("r", {})
        store.add_episodes([(run, an_episode(f"e{i}")) for i in range(20)])
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    with pytest.raises(NotAStore, match="damaged"), open_store(str(path)) as store:
        store.episode("e3")


def test_nothing_is_made_where_nothing_may_be(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="there is no database at"):
        open_store(str(tmp_path / "x.db"), create=False)
    with pytest.raises(StoreUnreachable, match="there is no database at"):
        open_store(str(tmp_path / "x.db"), readonly=True)
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_awkward_characters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%20ä" / "x.db"
    with open_store(str(path)) as store:
        store.add_run("r", {})
    with open_store(str(path), readonly=True) as store:
        assert len(store.runs()) == 1
    assert path.exists()


READ_AND_WRITE = """
import os, sys
from skills_db.errors import StoreError
from skills_db.store import open_store
open_store(sys.argv[2]).close()  # imports what is imported late, while it may be read
if os.getuid() == 0:  # root may write anything: somebody else has to try
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with open_store(sys.argv[1], readonly=True) as store:
    print(len(store.episodes()))
    try:
        store.add_run("r", {})
    except StoreError as error:
        print(type(error).__name__)
try:
    open_store(sys.argv[1])
except StoreError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("directory_too", [False, True])
def test_a_read_only_file_is_read_and_not_written(tmp_path: Path, directory_too: bool) -> None:
    home = tmp_path / "db"
    path = home / "memory.db"
    with open_store(str(path)) as store:
        store.add_episode(store.add_run("r", {}), an_episode())
    path.chmod(0o444)
    home.chmod(0o555 if directory_too else 0o777)
    for parent in (tmp_path, *tmp_path.parents):
        if str(parent) == tempfile.gettempdir():
            break
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", READ_AND_WRITE, str(path), str(tmp_path / "other.db")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    home.chmod(0o777)
    assert done.returncode == 0, done.stderr
    count, refused, opened = done.stdout.splitlines()
    assert (count, refused) == ("1", "StoreReadOnly")
    assert opened.startswith("StoreReadOnly")
    assert "may not be written" in opened


def test_a_file_that_cannot_even_be_looked_at_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match=r"File name too long; name another database"):
        open_store(str(tmp_path / ("x" * 300)))


@pytest.mark.postgres
def test_a_read_only_role_is_said_to_be(postgres_url: str) -> None:
    with open_store(postgres_url) as store, store._database.writing() as connection:
        connection.execute(sa.text("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on"))
    try:
        with open_store(postgres_url) as store, pytest.raises(StoreReadOnly, match="may not be written"):
            store.add_run("r", {})
        with open_store(postgres_url) as store, pytest.raises(StoreReadOnly, match="may not be written"):
            store.probe()
    finally:
        with open_store(postgres_url) as store, store._database.engine.connect() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
            connection.commit()
            connection.exec_driver_sql("ALTER ROLE CURRENT_USER RESET default_transaction_read_only")
            connection.commit()


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with open_store(str(path)) as store:
        run = store.add_run("r", {})

        @sa.event.listens_for(store._database.engine, "begin")
        def small(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 60")

        written = 0
        with contextlib.suppress(StoreFull):
            while written < 1000:
                store.add_episode(run, an_episode(f"e{written}"))
                written += 1
        assert 5 < written < 1000
        with pytest.raises(StoreFull, match="is full: make room"):
            store.add_episode(run, an_episode(f"e{written}"))
        with pytest.raises(StoreFull):
            store.probe()
    with open_store(str(path)) as store:
        assert [row.id for row in store.episodes(limit=None, newest=False)] == [f"e{i}" for i in range(written)]
        assert store.add_episode(run, an_episode(f"e{written}"))
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_default_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TURNHALLE_DB", "postgresql://host/db")
    assert default_url() == "postgresql://host/db"
    monkeypatch.delenv("TURNHALLE_DB")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_url() == f"sqlite:///{tmp_path}/turnhalle/turnhalle.db"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_url() == f"sqlite:///{tmp_path}/home/.local/share/turnhalle/turnhalle.db"

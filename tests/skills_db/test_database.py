"""Transactions and connections, as what stands above them counts on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from skills_db import database as module
from skills_db.database import Database, connect
from skills_db.store import Store


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = connect(url)
    yield opened
    opened.close()


def count(connection: sa.Connection) -> int:
    return int(connection.execute(sa.text("SELECT count(*) FROM runs")).scalar_one())


def test_a_reader_sees_one_state_however_much_is_written_meanwhile(store: Store, database: Database) -> None:
    store.add_run("first", {})
    with database.reading() as connection:
        assert count(connection) == 1
        store.add_run("second", {})
        assert count(connection) == 1
    with database.reading() as connection:
        assert count(connection) == 2


@pytest.mark.postgres
def test_connections_that_the_server_has_dropped_are_opened_anew(
    postgres_migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRUSTED_S", 0.0)
    opened, other = connect(postgres_migrated), connect(postgres_migrated)
    with ExitStack() as all_at_once:
        for _ in range(3):
            count(all_at_once.enter_context(opened.reading()))
    with other.asking() as connection:
        dropped = connection.execute(
            sa.text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).scalar_one()
    assert dropped >= 3
    with ExitStack() as all_at_once:
        for _ in range(4):
            count(all_at_once.enter_context(opened.reading()))
    opened.close()
    other.close()

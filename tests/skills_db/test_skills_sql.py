"""Queries by hand, on both engines: they answer, and they cannot write."""

from __future__ import annotations

from pathlib import Path

import pytest

from skills_db.errors import BadQuery
from skills_db.store import Store
from skills_db.types import NewExperience


@pytest.fixture
def filled(store: Store) -> Store:
    store.add([NewExperience("e", "a locked drawer", f"advice {i}", "skill", float(i)) for i in range(5)])
    return store


def count(store: Store) -> int:
    return store.stats().rows["experiences"]


def test_a_query_answers_with_its_columns_and_no_more_rows_than_asked_for(filled: Store) -> None:
    table = filled.sql("SELECT id, advice FROM experiences WHERE advice LIKE 'advice%' ORDER BY id;", limit=2)
    assert (table.columns, table.rows, table.more) == (("id", "advice"), ((1, "advice 0"), (2, "advice 1")), True)
    assert filled.sql("SELECT count(*) AS n FROM experiences", limit=1).rows == ((5,),)
    assert filled.sql("WITH a AS (SELECT 1 AS x) SELECT x FROM a -- why\n").more is False
    assert filled.sql("SELECT id FROM experiences WHERE id < 0").rows == ()
    assert filled.sql("SELECT 1 % 2, '%s', ':x', '?'").rows == ((1, "%s", ":x", "?"),)


WRITES = (
    "DELETE FROM experiences",
    "UPDATE experiences SET score = 0",
    "INSERT INTO clusters DEFAULT VALUES",
    "DROP TABLE uses",
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE mine (a int)",
    "SELECT 1; DELETE FROM experiences",
    "SELECT 1; COMMIT; DELETE FROM experiences",
    "WITH gone AS (DELETE FROM experiences RETURNING id) SELECT id FROM gone",
    "BEGIN",
    "COMMIT",
    "VACUUM",
    "SELEC",
    "SELECT nothing FROM nowhere",
    "; ;",
    "",
    "-- nothing",
    "SELECT '\x00'",
    "SELECT '\ud800'",
)


@pytest.mark.parametrize("query", WRITES)
def test_whatever_is_no_single_select_is_refused_in_one_sentence(filled: Store, query: str) -> None:
    with pytest.raises(BadQuery) as error:
        filled.sql(query)
    assert "\n" not in str(error.value)
    assert count(filled) == 5
    filled.add([NewExperience("e", "s", "still writable", "skill", 0.0)])


def test_what_would_write_is_told_that_it_may_only_read(store: Store) -> None:
    for query in WRITES[:6]:
        with pytest.raises(BadQuery, match="it may only read, so write a SELECT"):
            store.sql(query)


@pytest.mark.parametrize(
    "query", ["PRAGMA query_only = OFF", "ATTACH DATABASE '{other}' AS o", "SELECT load_extension('x')",
              "SELECT * FROM pragma_table_info('runs')", "SELECT zeroblob(900000000)"],
)  # fmt: skip
def test_sqlite_lets_nothing_by_but_reading(sqlite_migrated: Path, tmp_path: Path, query: str) -> None:
    from skills_db.store import open_store

    with open_store(str(tmp_path / "memory.db")) as store:
        with pytest.raises(BadQuery, match="is refused"):
            store.sql(query.replace("{other}", str(tmp_path / "other.db")))
        assert store.sql("SELECT count(*) FROM experiences_fts WHERE experiences_fts MATCH 'x'").rows == ((0,),)
    assert not (tmp_path / "other.db").exists()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "query", ["SET TRANSACTION READ WRITE", "SELECT set_config('transaction_read_only', 'off', false)",
              "SELECT nextval('experiences_id_seq')", "COPY (SELECT 1) TO '/tmp/out'"],
)  # fmt: skip
def test_postgresql_lets_nothing_by_but_reading(postgres_migrated: str, query: str) -> None:
    from skills_db.store import open_store

    with open_store(postgres_migrated) as store:
        with pytest.raises(BadQuery, match="is refused"):
            store.sql(query)
        store.sql("SELECT set_config('search_path', 'nowhere', false)")
        assert store.sql("SELECT count(*) FROM runs").columns == ("count",), "the session was another"
        store.sql("SELECT lo_create(0)")
        assert store.sql("SELECT count(*) FROM pg_largeobject_metadata").rows == ((0,),), "it was rolled back"


def test_a_query_that_does_not_end_is_interrupted(filled: Store) -> None:
    endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a"
    with pytest.raises(BadQuery, match=r"took longer than 0\.05 s"):
        filled.sql(endless, timeout_s=0.05)
    assert count(filled) == 5


def test_limits_that_make_no_sense_are_refused(filled: Store) -> None:
    for limit, timeout_s in ((-1, 1.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(BadQuery, match="cannot be read"):
            filled.sql("SELECT 1", limit=limit, timeout_s=timeout_s)
    assert filled.sql("SELECT 1", limit=0).more

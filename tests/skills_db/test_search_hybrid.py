"""Search by words, vectors and cluster at once, on both engines."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from skills_db import neighbours
from skills_db.embedders.hashing import Hashing, HashingConfig
from skills_db.errors import BadRecord
from skills_db.hybrid import FUSION, Wanted, _bm25
from skills_db.models import Experience
from skills_db.search import terms
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode, NewExperience

LOCKED = "You are in the kitchen. The drawer 1 is locked. On the table you see a brass key."
OPEN = "You are in the garden. The gate is wide open and a cat sleeps in the sun."
DARK = "It is dark in the cellar and something drips."


@pytest.fixture
def filled(store: Store) -> Store:
    run = store.add_run("r", {})
    store.add_episode(run, NewEpisode("e1", "textworld", "k", 0, "train", "done", 1.0, True))
    base = NewExperience("textworld", LOCKED, "Take the brass key first.", "skill", 0.9, "e1", 0, "task")
    store.add(
        [
            base,
            replace(base, advice="Unlock before you pull.", score=0.2, episode=None, level="step"),
            replace(base, advice="Never pull a locked drawer.", kind="failure", score=0.5, episode=None),
            replace(base, situation=OPEN, advice="Let the cat sleep.", score=0.4, episode=None),
            replace(base, situation=DARK, advice="Light the lamp.", score=0.3, episode=None, env="keydoor"),
        ]
    )
    return store


def ids(store: Store, text: str, **wanted: object) -> list[int]:
    return [found.id for found in store.look(text, Wanted(**wanted))]  # type: ignore[arg-type]


def test_an_answer_says_its_place_in_each_ranking_and_the_parts_add_up(filled: Store) -> None:
    best, *_ = filled.look("brass key", Wanted(env="textworld"))
    assert best.id == 1
    places = {place.ranking: place for place in best.places}
    assert set(places) == {"text", "vector"}
    assert all(place.part == 1 / (FUSION + place.rank) for place in best.places)
    assert best.total == pytest.approx(sum(place.part for place in best.places))
    assert "[brass] [key]" in best.snippet
    situation = filled.look(LOCKED.replace("drawer 1", "drawer 4"), Wanted(env="textworld"))
    by_cluster = {found.id: place for found in situation for place in found.places if place.ranking == "cluster"}
    assert [(id, by_cluster[id].rank, by_cluster[id].value) for id in (1, 3, 2)] == [
        (1, 1, 0.9),
        (3, 2, 0.5),
        (2, 3, 0.2),
    ]


def test_reciprocal_ranks_are_those_of_the_formula(filled: Store) -> None:
    found = {hit.id: hit for hit in filled.look("locked drawer", Wanted(env="textworld"))}
    assert found[3].places[0].ranking == "text"
    assert found[3].places[0].rank == 1
    text_2 = next(place for place in found[2].places if place.ranking == "text")
    assert text_2.part == pytest.approx(1 / (60 + text_2.rank))


def test_bm25_without_rarity_on_numbers_by_hand() -> None:
    body = "a key, a key; a keyhole, no monkey."
    # Length as usual: count * 2.2 / (count + 1.2); "key" begins three words, "a" is whole three times.
    assert _bm25(body, terms("key"), len(body)) == pytest.approx(3 * 2.2 / 4.2)
    assert _bm25(body, terms('"key"'), len(body)) == pytest.approx(2 * 2.2 / 3.2)
    assert _bm25(body, terms('"key a"'), 2 * len(body)) == pytest.approx(2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 / 2)))
    assert _bm25(body, terms('"key a key" "a keyh"'), len(body)) == pytest.approx(2.2 / 2.2)


def test_each_filter_narrows_and_together_they_narrow_more(filled: Store) -> None:
    assert set(ids(filled, "key")) == {1, 2, 3, 4, 5}
    assert ids(filled, "lamp")[0] == 5
    assert set(ids(filled, "key", env="keydoor")) == {5}
    assert set(ids(filled, "key", kind="failure")) == {3}
    assert set(ids(filled, "key", level="step")) == {2}
    assert set(ids(filled, "key", score_at_least=0.5)) == {1, 3}
    run = filled.runs()[0].id
    assert ids(filled, "key", run=run) == [1]
    assert ids(filled, "key", run=run, kind="failure") == []
    now = datetime.now(UTC)
    assert ids(filled, "key", newer_than=now + timedelta(days=1)) == []
    assert ids(filled, "key", older_than=now - timedelta(days=1)) == []
    assert len(ids(filled, "key", newer_than=now - timedelta(days=1), older_than=now + timedelta(days=1))) == 5
    assert len(ids(filled, "key", limit=2)) == 2


def test_words_are_found_where_no_cluster_is_of_the_embedder_that_asks(filled: Store, url: str) -> None:
    with open_store(url, embedder=Hashing(HashingConfig(dimensions=64))) as other:
        for env in (None, "textworld"):
            found = other.look("brass key", Wanted(env=env))
            assert [hit.id for hit in found] == [1, 2, 3]
            assert [[place.ranking for place in hit.places] for hit in found] == [["text"]] * 3


def test_what_is_retired_is_not_found(filled: Store) -> None:
    filled.prune("textworld", 0)
    assert ids(filled, "brass key") == ids(filled, "lamp") == [5]


HOSTILE = [
    "",
    " \n",
    '"',
    'drawer" OR "1"="1',
    "drawer AND NOT key",
    "NEAR(drawer key, 3)",
    "situation : key",
    "key*",
    "-key",
    "^key (",
    "'; DROP TABLE experiences; --",
    "key' & !drawer | x:*",
    "\x00key\ud800",
    "%s {0} :name $1 ?",
    "\\",
    "ключ 鍵 🔑",
    "x" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_an_error_and_none_does_harm(filled: Store, text: str) -> None:
    filled.look(text)
    for name in ("env", "level", "run"):
        assert ids(filled, "key", **{name: text}) == []
    assert filled.stats().rows["experiences"] == 5


def test_a_megabyte_is_cut_and_answered(filled: Store) -> None:
    assert len(filled.look(os.urandom(500_000).hex())) == 5
    assert ids(filled, "brass key " * 100_000, env="textworld")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "x' OR 1=1 --"}, "say skill or failure"),
        ({"limit": 0}, "say 1 to 1000"),
        ({"limit": 10**9}, "say 1 to 1000"),
        ({"score_at_least": float("nan")}, "give a number"),
        ({"newer_than": datetime(2026, 1, 1)}, "has no zone"),
    ],
)
def test_a_filter_that_cannot_be_is_one_sentence(store: Store, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        ids(store, "key", **changes)


def test_a_rare_filter_is_exact_beyond_the_probed_clusters(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "RINGS", (1, 2))
    monkeypatch.setattr(neighbours, "_READ_ROWS", 2)
    words = ("red", "oak", "tall", "cold", "far", "old")
    store.add([NewExperience("e", f"{word} {word} room", "look", "skill", 0.5, level=word) for word in words])
    with store._database.reading() as connection:
        clusters = store._experiences.clusters
        vector_D = clusters.embedder.embed(["red red room"])[0]
        rare = neighbours.Candidates(Experience.__table__.c.level == "old")
        assert [id for id, _ in neighbours.nearest_experiences(connection, clusters, "e", vector_D, 3, rare)] == [6]
        every = neighbours.Candidates(Experience.__table__.c.retired.is_(None))
        found = neighbours.nearest_experiences(connection, clusters, "e", vector_D, 6, every)
        assert {id for id, _ in found} == {1, 2, 3, 4, 5, 6}
        assert found[0] == (1, pytest.approx(1.0, abs=1e-3))

"""The four verbs: add, search, credit, prune."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa

from skills_db.embedders.hashing import Hashing
from skills_db.errors import BadRecord, UnknownRecord
from skills_db.models import Cluster, Experience, Use
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode, NewExperience, NewTurn, Query

LOCKED = "You are in the kitchen. The drawer 1 is locked. On the table you see a brass key."
OPEN = "You are in the garden. The gate is wide open and a cat sleeps in the sun."


def a_lesson(advice: str = "use the key", situation: str = LOCKED, **changes: object) -> NewExperience:
    base = NewExperience(env="textworld", situation=situation, advice=advice, kind="skill", score=0.5)
    return replace(base, **changes)  # type: ignore[arg-type]


def rows_of(store: Store, table: type[Cluster] | type[Experience] | type[Use]) -> list[sa.Row[tuple[object, ...]]]:
    with store._database.reading() as connection:
        return list(connection.execute(sa.select(table.__table__).order_by(table.__table__.c.id)))


def test_situations_that_differ_by_a_number_share_a_cluster(store: Store) -> None:
    store.add([a_lesson(), a_lesson("look again", LOCKED.replace("drawer 1", "drawer 3")), a_lesson("pet it", OPEN)])
    assert [row.cluster for row in rows_of(store, Experience)] == [1, 1, 2]
    assert [row.situation for row in rows_of(store, Cluster)] == [LOCKED, OPEN]


def test_search_gives_the_best_of_the_situations_cluster(store: Store) -> None:
    store.add([a_lesson(f"advice {i}", score=i / 10) for i in range(5)])
    store.add([a_lesson(f"warning {i}", score=i / 10, kind="failure") for i in range(3)])
    store.add([a_lesson("pet it", OPEN, score=9.0), a_lesson("elsewhere", env="keydoor", score=9.0)])
    hits = store.search(Query("textworld", LOCKED.replace("drawer 1", "drawer 7")))
    assert [(hit.advice, hit.kind, hit.match) for hit in hits] == [
        ("advice 4", "skill", "cluster"),
        ("advice 3", "skill", "cluster"),
        ("warning 2", "failure", "cluster"),
    ]
    assert all(hit.distance < 0.15 for hit in hits)


def test_search_falls_back_to_the_nearest_situations(store: Store) -> None:
    store.add([a_lesson(), a_lesson("pet it", OPEN)])
    hits = store.search(Query("textworld", "A cat sleeps in the garden.", skills=2))
    assert [(hit.advice, hit.match) for hit in hits] == [("pet it", "vector"), ("use the key", "vector")]
    assert hits[0].distance < hits[1].distance
    assert store.search(Query("nowhere", LOCKED)) == []
    assert store.search(Query("textworld", LOCKED, skills=0, failures=0)) == []


def test_a_search_sees_clusters_that_others_add_later(store: Store, url: str) -> None:
    assert store.search(Query("textworld", LOCKED)) == []
    with open_store(url) as other:
        other.add([a_lesson()])
    assert [hit.match for hit in store.search(Query("textworld", LOCKED))] == ["cluster"]


def test_the_same_experience_twice_is_one_row(store: Store) -> None:
    first = store.add([a_lesson(), a_lesson("wait")])
    assert store.add([a_lesson("wait"), a_lesson(score=9.0)]) == [first[1], first[0]]
    assert len(rows_of(store, Experience)) == 2


def test_a_bad_experience_leaves_none_of_its_batch(store: Store) -> None:
    for bad in (a_lesson(kind="dream"), a_lesson(score=math.nan), a_lesson("  "), a_lesson(env="")):
        with pytest.raises(BadRecord):
            store.add([a_lesson("good"), bad])
    assert rows_of(store, Experience) == []


def test_the_score_is_the_mean_of_what_was_credited(store: Store) -> None:
    one, two = store.add([a_lesson(score=5.0), a_lesson("wait", score=1.0)])
    for reward in (1.0, 0.0, 0.5):
        store.credit([one], reward)
    first, second = rows_of(store, Experience)
    assert (first.score, first.shown, first.first_score) == (pytest.approx(0.5), 3, 5.0)
    assert (second.score, second.shown) == (1.0, 0)
    assert [(use.experience, use.reward, use.turn) for use in rows_of(store, Use)] == [
        (one, 1.0, None),
        (one, 0.0, None),
        (one, 0.5, None),
    ]
    assert [hit.id for hit in store.search(Query("textworld", LOCKED))] == [two, one]


def test_a_credit_with_its_episode_settles_the_showings_kept_there(store: Store) -> None:
    one, two = store.add([a_lesson(), a_lesson("wait")])
    run = store.add_run("r", {})
    turns = [NewTurn("o", "t", "a", 0.0, used=used) for used in ((two, one), (), (one,))]
    store.add_episode(run, NewEpisode("e1", "textworld", "k", 0, "train", "done", 1.0, True, turns))
    assert [turn.used for turn in store.episode("e1").turns] == [(two, one), (), (one,)]
    store.credit([one, two], 0.75, episode="e1")
    store.credit([one, two], 0.25, episode="e1")
    assert [(use.experience, use.reward) for use in rows_of(store, Use)] == [(two, 0.75), (one, 0.75), (one, 0.75)]
    assert [(row.shown, row.score) for row in rows_of(store, Experience)] == [(2, 0.75), (1, 0.75)]


def test_a_credit_nobody_can_take_changes_nothing(store: Store) -> None:
    (one,) = store.add([a_lesson()])
    with pytest.raises(UnknownRecord, match="no experience has the id 99"):
        store.credit([one, 99], 1.0)
    with pytest.raises(UnknownRecord, match="no episode has the id 'e9'"):
        store.credit([one], 1.0, episode="e9")
    with pytest.raises(BadRecord):
        store.credit([one], math.inf)
    assert rows_of(store, Use) == []
    assert rows_of(store, Experience)[0].shown == 0


def test_prune_keeps_the_best_of_each_kind_and_retires_the_others(store: Store) -> None:
    store.add([a_lesson(f"advice {i}", score=float(i)) for i in range(5)])
    store.add([a_lesson(f"warning {i}", score=float(i), kind="failure") for i in range(2)])
    store.add([a_lesson("elsewhere", env="keydoor", score=-1.0)])
    assert store.prune("textworld", 3) == 2
    assert store.prune("textworld", 3) == 0
    assert [row.advice for row in rows_of(store, Experience) if row.retired is not None] == ["advice 0", "advice 1"]
    assert [hit.advice for hit in store.search(Query("textworld", LOCKED, skills=9, failures=0))] == [
        "advice 4",
        "advice 3",
        "advice 2",
    ]
    store.add([a_lesson("advice 0", score=0.0)])
    assert len(store.search(Query("textworld", LOCKED, skills=9, failures=0))) == 4
    with pytest.raises(BadRecord):
        store.prune("textworld", -1)


def test_every_text_becomes_a_unit_vector_of_its_own_kind() -> None:
    texts = ["", "...", "12 7", LOCKED, OPEN, "élan vital", "\ud800", "the the the the"]
    rows_ND = Hashing().embed(texts)
    assert rows_ND.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows_ND, axis=1), 1.0, atol=1e-6)
    assert np.array_equal(rows_ND, Hashing().embed(texts))
    assert float(rows_ND[3] @ rows_ND[4]) < 0.5

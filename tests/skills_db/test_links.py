"""What a search has found for a cluster is the cluster's from then on, on both engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import sqlalchemy as sa

from skills_db.embedders.base import Embedder, EmbedderConfig
from skills_db.lineage import EntryLineage
from skills_db.links import LINKED
from skills_db.models import Cluster, Link
from skills_db.store import Store, open_store
from skills_db.types import NewExperience, Query


class Angles(Embedder):
    """A text is an angle in degrees: 31 apart are alike (cosine 0.857), 32 are not (0.848)."""

    name = "angles-8"
    dimensions = 8

    def __init__(self, config: EmbedderConfig | None = None) -> None:
        pass

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows_ND = np.zeros((len(texts), 8), np.float32)
        angles_N = np.radians([float(text) for text in texts])
        rows_ND[:, 0], rows_ND[:, 1] = np.cos(angles_N), np.sin(angles_N)
        return rows_ND


@pytest.fixture
def angles(url: str) -> Iterator[Store]:
    with open_store(url, embedder=Angles()) as opened:
        yield opened


WARNING = NewExperience("e", "0", "leave it", "failure", 0.5)
LESSON = NewExperience("e", "55", "take it", "skill", 0.5)


def found(store: Store, angle: int, skills: int = 2) -> list[tuple[str, str]]:
    return [(hit.advice, hit.match) for hit in store.search(Query("e", str(angle), skills, failures=0))]


def links(store: Store) -> list[tuple[int, int]]:
    query = sa.select(Link.cluster, Link.experience).order_by(Link.cluster, Link.experience)
    with store._database.reading() as connection:
        return [(row.cluster, row.experience) for row in connection.execute(query)]


def clusters(store: Store) -> list[str]:
    with store._database.reading() as connection:
        return list(connection.execute(sa.select(Cluster.situation).order_by(Cluster.id)).scalars())


def test_what_is_alike_elsewhere_is_linked_to_the_cluster_that_has_none(angles: Store) -> None:
    angles.add([WARNING, LESSON])
    assert found(angles, 5) == [("take it", "vector")]
    assert links(angles) == []  # 50 degrees apart
    assert found(angles, 26) == [("take it", "vector")]  # its cluster is that of 0, and 55 is 29 from it
    assert links(angles) == [(1, 2)]
    with angles._database.reading() as connection:
        (similarity,) = connection.execute(sa.select(Link.similarity)).scalars()
    assert similarity == pytest.approx(np.cos(np.radians(29)), abs=1e-3)
    (hit,) = angles.search(Query("e", "5", 2, 0))
    assert (hit.advice, hit.match) == ("take it", "cluster")
    assert hit.distance == pytest.approx(1 - np.cos(np.radians(5)), abs=1e-3)


def test_lineage_says_which_situations_an_experience_is_linked_to(angles: Store) -> None:
    angles.add([WARNING, LESSON])
    found(angles, 26)
    lineage = angles.lineage("2")
    assert isinstance(lineage, EntryLineage)
    [link] = lineage.links
    assert (link.cluster, link.situation) == (1, "0")
    assert link.similarity == pytest.approx(np.cos(np.radians(29)), abs=1e-3)
    of_its_own = angles.lineage("1")
    assert isinstance(of_its_own, EntryLineage)
    assert of_its_own.links == ()


def test_a_library_keeps_its_links_on_a_journey(angles: Store, tmp_path: Path) -> None:
    angles.add([replace(LESSON, situation="0", advice="far"), replace(LESSON, situation="30", advice="near")])
    found(angles, 60)
    lines = list(angles.export_lines())
    with open_store(str(tmp_path / "other.db"), embedder=Angles()) as other:
        other.add([replace(LESSON, env="another")])
        for again in (lines, lines):
            other.import_lines(line.encode() for line in again)
            assert (clusters(other), links(other)) == (["55", "0", "60"], [(3, 3)])
        assert [line for line in other.export_lines() if '"another"' not in line] == lines
        assert found(other, 80) == [("near", "cluster")]


def test_what_is_linked_stands_in_the_clusters_ranking_of_a_search_with_reasons(angles: Store) -> None:
    angles.add([WARNING, LESSON, replace(LESSON, advice="gone", score=0.9)])

    def by_cluster() -> list[str]:
        places = {hit.advice: {place.ranking: place for place in hit.places} for hit in angles.look("5")}
        ranked = [(said["cluster"].rank, advice) for advice, said in places.items() if "cluster" in said]
        return [advice for _, advice in sorted(ranked)]

    assert by_cluster() == ["leave it"]
    found(angles, 26)
    assert by_cluster() == ["gone", "take it", "leave it"]  # of equal scores the newer first
    angles.retire("experience", "3")
    assert by_cluster() == ["take it", "leave it"]


def test_a_linked_experience_stands_among_the_clusters_own_by_score(angles: Store) -> None:
    angles.add([WARNING, LESSON])
    found(angles, 26)
    angles.add([replace(WARNING, kind="skill", advice="good", score=0.9)])
    angles.add([replace(WARNING, kind="skill", advice="bad", score=0.1)])
    expected = [("good", "cluster"), ("take it", "cluster"), ("bad", "cluster")]
    assert found(angles, 0, 3) == expected
    assert found(angles, 0, 2) == expected[:2]


def test_a_situation_like_no_cluster_opens_one_with_its_first_link(angles: Store) -> None:
    angles.add([replace(LESSON, situation="0", advice="far"), replace(LESSON, situation="30", advice="near")])
    assert found(angles, 100) == [("near", "vector"), ("far", "vector")]
    assert (clusters(angles), links(angles)) == (["0"], [])
    assert found(angles, 60) == [("near", "vector"), ("far", "vector")]
    assert (clusters(angles), links(angles)) == (["0", "60"], [(2, 2)])
    assert found(angles, 80) == [("near", "cluster")]


def test_the_hits_are_those_of_the_next_search_and_the_best_of_them_come_first(angles: Store) -> None:
    angles.add([WARNING])
    at = [replace(LESSON, situation=str(50 + i % 3), advice=f"advice {i}", score=i / 10) for i in range(LINKED + 3)]
    angles.add(at)
    first = found(angles, 24, 5)
    assert len(links(angles)) == LINKED
    assert [advice for advice, _ in found(angles, 24, 5)] == [advice for advice, _ in first]
    assert {match for _, match in found(angles, 24, 5)} == {"cluster"}


def test_a_retired_experience_is_linked_in_vain(angles: Store) -> None:
    angles.add([WARNING, LESSON])
    found(angles, 26)
    angles.retire("experience", "2")
    assert found(angles, 5) == []
    angles.add([replace(LESSON, advice="another")])
    assert found(angles, 26) == [("another", "vector")]
    assert found(angles, 5) == [("another", "cluster")]
    angles.retire("experience", "2", back=True)
    assert len(found(angles, 5)) == 2


def test_a_search_waits_for_no_writer_and_links_the_next_time(angles: Store, url: str) -> None:
    angles.add([replace(LESSON, situation="0"), replace(LESSON, situation="30", advice="near")])
    with open_store(url, embedder=Angles()) as other:
        with other._database.writing() as connection:
            other._experiences.insert(connection, [replace(LESSON, situation="180")])
            began = time.monotonic()
            assert found(angles, 60, 1) == [("near", "vector")]
            assert time.monotonic() - began < 20.0
            assert links(angles) == []
        assert found(angles, 60, 1) == [("near", "vector")]
        assert found(angles, 60, 1) == [("near", "cluster")]
        other.add([replace(LESSON, situation="181")])  # and others wait for their turn as before


def test_a_store_that_may_not_be_written_answers_and_links_nothing(angles: Store, url: str) -> None:
    angles.add([WARNING, LESSON])
    with open_store(url, readonly=True, embedder=Angles()) as reader:
        assert found(reader, 26) == found(reader, 26) == [("take it", "vector")]
    assert links(angles) == []


def test_searches_at_once_open_one_cluster_and_make_one_link(angles: Store) -> None:
    angles.add([replace(LESSON, situation="0"), replace(LESSON, situation="30", advice="near")])
    barrier = threading.Barrier(8)
    answers: list[str] = []

    def ask() -> None:
        barrier.wait(30)
        answers.extend(advice for advice, _ in found(angles, 60, 1))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == ["near"] * 8
    assert (len(clusters(angles)), len(links(angles))) == (2, 1)

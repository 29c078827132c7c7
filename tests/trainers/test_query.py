"""Support and query data: what taught a skill, or is older than the skills, does not train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from by_hand import TASK, episode, group_of

from agents.library import Library
from agents.types import Episode
from skills_db.store import open_store
from trainers.query import QueryData, Stale, generation_of


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_store(str(tmp_path / "memory.db")) as store:
        yield Library(store, TASK.env)


def played(id: str, *generations: int) -> Episode:
    """An episode whose prompts were made under these generations, one a turn."""
    found = episode([0.0] * len(generations))
    turns = [
        replace(turn, prompt=replace(turn.prompt, generation=generation))
        for turn, generation in zip(found.turns, generations, strict=True)
    ]
    return replace(found, id=id, turns=turns)


def test_an_episode_is_of_the_oldest_generation_it_was_played_under() -> None:
    assert generation_of(played("a", 2, 3, 2), 9) == 2
    assert generation_of(played("a"), 9) == 9


def test_an_evolution_flushes_all_that_was_collected_before_it(library: Library) -> None:
    data = QueryData(library)
    shown, other, under_way = played("shown", 0), played("other", 0, 0), played("under way", 0, 1)
    assert data.query([group_of(shown, other)]) == [group_of(shown, other)]
    assert data.teach([shown]) == 1
    after = played("after", 1, 1)
    assert [data.trains(one) for one in (shown, other, under_way, after)] == [False, False, False, True]
    assert data.query([group_of(shown, other), group_of(other, after), group_of(after)]) == [
        group_of(after),
        group_of(after),
    ]


def test_by_episodes_only_those_that_were_shown_leave_and_they_leave_for_good(library: Library) -> None:
    data = QueryData(library, "episodes")
    shown, other = played("shown", 0), played("other", 0)
    data.teach([shown])
    data.teach([played("later", 1)])
    assert data.query([group_of(shown, other)]) == [group_of(other)]
    assert data.query([group_of(shown)]) == []


def test_rewards_stay_with_their_episodes(library: Library) -> None:
    data = QueryData(library, "episodes")
    first, second, third = (replace(episode([value]), id=str(value)) for value in (1.0, 2.0, 3.0))
    data.teach([second])
    [left] = data.query([group_of(first, second, third)])
    assert ([one.id for one in left.episodes], left.rewards) == (["1.0", "3.0"], [[1.0], [3.0]])


@pytest.mark.parametrize("reading", ["flush", "episodes"])
def test_a_batch_with_support_data_is_refused(library: Library, reading: str) -> None:
    data = QueryData(library, reading)  # type: ignore[arg-type]
    shown = played("shown", 0)
    data.check([shown])
    data.teach([shown])
    with pytest.raises(Stale, match="'shown' was played under generation 0 and the skills are at 1"):
        data.check([played("after", 1), shown])


def test_what_cannot_be_told_from_others_cannot_teach(library: Library) -> None:
    data = QueryData(library)
    with pytest.raises(ValueError, match="without an id"):
        data.teach([played("", 0)])
    assert data.generation == 0


def test_a_resumed_run_knows_its_generation_and_who_has_taught(library: Library) -> None:
    data = QueryData(library, "episodes")
    data.teach([played("a", 0), played("b", 0)])
    state = data.state_dict()
    assert state == {"generation": 1, "support": ["a", "b"]}
    library.generation = 0
    resumed = QueryData(library, "episodes")
    resumed.load_state_dict(state)
    assert library.generation == 1
    assert not resumed.trains(played("a", 1))
    assert resumed.trains(played("c", 1))

"""Our ALFWorld engine beside the package's: the same commands, the same bytes."""

from __future__ import annotations

import pytest
from twins import PACK, compare, official

from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.keys import GeneratedKey
from envserver.envs._alfworld.making import make

pytest.importorskip("alfworld", reason="needs the extra [alfworld]")
pytest.importorskip("fast_downward", reason="needs the extra [alfworld]")

needs_data = pytest.mark.skipif(
    not PACK.is_file(), reason="needs ALFWorld's official games: $TURNHALLE_ALFWORLD_TESTDATA"
)


def generated(numbers):
    return [make(GeneratedKey(kind, "valid_unseen", number))[0] for kind in TYPES for number in numbers]


def smallest(rows):
    """One game of each type, quickly loaded."""
    return [min((row for row in rows if row.task_type == kind), key=lambda row: len(row.problem)) for kind in TYPES]


@needs_data
def test_both_engines_say_the_same_in_official_games_of_every_type():
    rows = smallest(official(5))
    counts = compare([(row, ("0.4", "0.2")[at % 2]) for at, row in enumerate(rows)], 60, 200)
    assert counts["games"] == 6
    assert counts["steps"] == 360
    assert counts["refused"] > 30
    assert counts["won"] > 0


def test_both_engines_say_the_same_in_generated_games_of_every_type():
    rows = smallest(generated(range(6)))
    counts = compare([(row, ("0.2", "0.4")[at % 2]) for at, row in enumerate(rows)], 60, 200)
    assert counts["games"] == 6
    assert counts["steps"] == 360
    assert counts["refused"] > 30
    assert counts["won"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_data
def test_both_engines_say_the_same_in_twelve_thousand_steps_of_official_games():
    rows = official(49)
    counts = compare([(row, ("0.4", "0.2")[at % 2]) for at, row in enumerate(rows)], 160, 1800)
    print(dict(counts))
    assert counts["steps"] >= 12_000
    assert counts["games 0.2"] >= 30
    assert min(counts[kind] for kind in TYPES) >= 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_engines_say_the_same_in_nine_thousand_steps_of_generated_games():
    rows = generated(range(10, 20))
    counts = compare([(row, ("0.4", "0.2")[at % 2]) for at, row in enumerate(rows)], 160, 1800)
    print(dict(counts))
    assert counts["steps"] >= 9_000
    assert counts["games 0.2"] >= 25
    assert min(counts[kind] for kind in TYPES) >= 10

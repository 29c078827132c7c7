"""The difference between success with an entry and without it, on numbers worked out by hand or in print."""

from __future__ import annotations

import math

import pytest

from skills_db.effect import Stratum, effect_of, newcombe


@pytest.mark.parametrize(
    ("stratum", "difference", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10: (a) to (h) but the unequal ones.
        (Stratum(70, 56, 80, 48), 0.2, 0.0524, 0.3339),
        (Stratum(10, 9, 10, 3), 0.6, 0.1705, 0.8090),
        (Stratum(7, 6, 7, 2), 0.5714, 0.0582, 0.8062),
        (Stratum(56, 5, 29, 0), 0.0893, -0.0381, 0.1926),
        (Stratum(10, 0, 20, 0), 0.0, -0.1611, 0.2775),
        (Stratum(10, 10, 10, 0), 1.0, 0.6075, 1.0),
    ],
)
def test_for_one_task_the_interval_is_newcombes(stratum: Stratum, difference: float, low: float, high: float) -> None:
    assert newcombe([stratum]) == pytest.approx((difference, low, high), abs=5e-5)


def test_tasks_are_weighted_as_mantel_and_haenszel_do() -> None:
    # w = 2*2/4 : 1*3/4 = 1 : 0.75, so 4/7 and 3/7; rates 1 and 0 with it, 0.5 and 1/3 without it.
    strata = [Stratum(2, 2, 2, 1), Stratum(1, 0, 3, 1)]
    difference, low, high = newcombe(strata)
    p1, p0 = 4 / 7, 4 / 7 * 0.5 + 3 / 7 / 3
    assert difference == pytest.approx(p1 - p0)
    n1 = 1 / ((4 / 7) ** 2 / 2 + (3 / 7) ** 2 / 1)
    n0 = 1 / ((4 / 7) ** 2 / 2 + (3 / 7) ** 2 / 3)

    def wilson(p: float, n: float) -> tuple[float, float]:
        z = 1.959963984540054
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (p + z * z / (2 * n) - half) / (1 + z * z / n), (p + z * z / (2 * n) + half) / (1 + z * z / n)

    (l1, u1), (l0, u0) = wilson(p1, n1), wilson(p0, n0)
    assert low == pytest.approx(difference - math.sqrt((p1 - l1) ** 2 + (u0 - p0) ** 2))
    assert high == pytest.approx(difference + math.sqrt((u1 - p1) ** 2 + (p0 - l0) ** 2))


def test_a_hard_task_that_is_mostly_played_with_it_makes_no_difference() -> None:
    # 90 of 100 shown episodes are of the hard task; pooled, 0.18 against 0.82 would look like harm.
    effect = effect_of(
        {("e", "hard"): (90, 9), ("e", "easy"): (10, 9)}, {("e", "hard"): (10, 1), ("e", "easy"): (90, 81)}
    )
    assert effect.difference == pytest.approx(0.0)
    assert (effect.shown, effect.shown_won, effect.other, effect.other_won, effect.tasks) == (100, 18, 100, 82, 2)


def test_a_task_that_has_only_one_sort_says_nothing() -> None:
    effect = effect_of({("e", "a"): (3, 3), ("e", "b"): (1, 1)}, {("e", "b"): (2, 0), ("e", "c"): (9, 9)})
    assert (effect.tasks, effect.shown, effect.other, effect.unmatched) == (1, 1, 2, 3)
    nothing = effect_of({("e", "a"): (3, 3)}, {("e", "a"): (0, 0)})
    assert (nothing.difference, nothing.low, nothing.high, nothing.unmatched) == (None, None, None, 3)

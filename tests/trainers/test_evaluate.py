"""Intervals and paired comparisons, against numbers worked out elsewhere."""

from __future__ import annotations

from types import SimpleNamespace

import by_hand
import pytest

from agents.types import Episode
from envserver.catalogue import load_env
from trainers.evaluate import Evaluation, compare, wilson
from trainers.examine import counts_attempts


def solved(*outcomes: bool) -> list[Episode]:
    found = [by_hand.episode([1.0 if outcome else 0.0]) for outcome in outcomes]
    for episode, outcome in zip(found, outcomes, strict=True):
        turn = episode.turns[0]
        assert turn.result is not None
        object.__setattr__(turn, "result", turn.result.model_copy(update={"success": outcome, "terminated": True}))
    return found


def evaluation(**tasks: list[Episode]) -> Evaluation:
    return Evaluation("test", 0.0, tasks, invalid=0)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # statsmodels.stats.proportion.proportion_confint(k, n, method="wilson")
    [(8, 10, 0.4901625, 0.9433178), (0, 20, 0.0, 0.1611252), (20, 20, 0.8388748, 1.0), (50, 100, 0.4038315, 0.5961685)],
)
def test_the_interval_is_wilsons(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_nothing_played_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert evaluation().metrics()["eval/success"] == 0.0


def test_means_run_over_all_valid_episodes() -> None:
    found = evaluation(a=solved(True, False), b=solved(True), c=[])
    assert found.count == 3
    assert found.success == pytest.approx(2 / 3)
    assert found.reward == pytest.approx(2 / 3)
    assert found.turns == 1
    assert found.metrics()["eval/success_low"] < found.success < found.metrics()["eval/success_high"]


def test_a_comparison_is_paired_over_the_tasks_both_played() -> None:
    names = [f"t{number}" for number in range(20)]
    theirs = {name: solved(number % 2 == 0) for number, name in enumerate(names)}
    ours = {name: solved(number % 2 == 0 or number < 8) for number, name in enumerate(names)}
    found = compare(evaluation(**ours, extra=solved(True)), evaluation(**theirs, c=[]))
    assert found.tasks == 20
    assert found.difference == pytest.approx(0.2)
    # 16 gaps of 0 and 4 of 1: standard deviation 0.4104, standard error 0.0918
    assert (found.low, found.high) == pytest.approx((0.0201, 0.3799), abs=1e-3)


def test_fewer_than_two_common_tasks_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="two tasks"):
        compare(evaluation(a=solved(True)), evaluation(a=solved(True), b=solved(True)))


class Catalogue:
    """A gym that can be asked what its worlds may be told."""

    async def card(self, env: str) -> SimpleNamespace:
        return SimpleNamespace(config_schema=load_env(env).Config.model_json_schema())


@pytest.mark.parametrize(("env", "counts"), [("kernel_templates", True), ("keydoor", False)])
async def test_more_turns_are_more_attempts_where_a_world_counts_them(env: str, counts: bool) -> None:
    assert await counts_attempts(Catalogue(), env) is counts

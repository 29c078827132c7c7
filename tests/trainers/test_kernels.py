"""fast_p and its company, counted by hand."""

import by_hand
import pytest
from attempts import WRONG, attempts, good

from trainers.evaluate import Evaluation
from trainers.kernels import kernels
from trainers.tally import Tally


def test_fast_p_is_of_the_best_attempt_and_of_the_last():
    # Best 2.5, 1.3, 0, 1.0; last 1.1, 1.3, 0 (could not be read), 1.0.
    found = kernels(
        [
            attempts(good(2.5), WRONG, good(1.1)),
            attempts(WRONG, good(1.3)),
            attempts(WRONG, None),
            attempts(good(1.0)),
        ]
    )
    assert {p: found[f"fast/{p}"] for p in ("1", "1.2", "1.5", "2")} == {"1": 0.5, "1.2": 0.5, "1.5": 0.25, "2": 0.25}
    assert {p: found[f"fast_last/{p}"] for p in ("1", "1.2", "1.5", "2")} == {
        "1": 0.5,
        "1.2": 0.25,
        "1.5": 0.0,
        "2": 0.0,
    }
    assert found["kernel/best_speedup"] == pytest.approx((2.5 + 1.3 + 0 + 1.0) / 4)
    assert found["kernel/correct"] == pytest.approx(4 / 7)


def test_a_speedup_of_what_is_wrong_does_not_count():
    assert kernels([attempts({"correct": 0.0, "speedup": 9.0})])["fast/1"] == 0.0


def test_coverage_is_of_correct_attempts_alone():
    found = kernels([attempts(good(1.0, 0.1), good(1.0, 0.9), good(1.0), {"correct": 0.0, "coverage": 0.0})])
    assert (found["kernel/coverage"], found["kernel/lazy"]) == (0.5, 0.5)
    assert "kernel/coverage" not in kernels([attempts(good(1.0))])


def test_where_no_kernel_was_judged_there_is_nothing_to_say():
    assert kernels([by_hand.episode([1.0])]) == kernels([]) == kernels([attempts(None)]) == {}


def test_runs_and_evaluations_log_it():
    episode = attempts(good(1.6, 0.8))
    assert Evaluation("test", 0.0, {"a": [episode]}, 0).metrics()["eval/fast/1.5"] == 1.0
    tally = Tally()
    tally.see([episode], by_hand.group_of(episode), admitted=True)
    assert (tally.metrics(1.0)["fast/1.5"], tally.metrics(1.0)["fast/2"]) == (1.0, 0.0)

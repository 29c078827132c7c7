"""How a kernel's speed is told: medians, intervals, what counts beside calls, what is believed, what is remembered."""

from __future__ import annotations

import pytest

from envserver.envs._kernel import known, problems
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.seat import Refused, Seat
from envserver.envs._kernel.timing import WAKE_S, Turn, median, ranks, uncounted

KEY = "suite/level2/scale_clamp_silu_sum"
SOURCE = problems.problem(KEY, "cpu").source.replace("ROWS = 512", "ROWS = 64")
runs = pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")


@pytest.fixture(autouse=True, scope="module")
def _closed():
    yield
    from envserver.sandboxes._stage.client import close_all

    close_all()


class TestTiming:
    def test_a_median_is_the_middle(self) -> None:
        assert median([3.0, 1.0, 2.0]) == 2.0
        assert median([4.0, 1.0, 2.0, 3.0]) == 2.5

    def test_the_interval_is_that_of_the_binomial(self) -> None:
        # P(at most 3 of 15 below the median) = 576 / 32768 = 0.0176; at most 4: 0.0592.
        assert ranks(15) == (3, 11)
        # P(none of 6) = 1 / 64 = 0.0156; of 5, 1 / 32 is more than 0.025.
        assert ranks(6) == (0, 5)
        assert ranks(5) == (0, 4)

    def test_what_is_done_outside_of_calls_counts(self) -> None:
        def turns(*outside: float) -> list[tuple[Turn, Turn]]:
            return [(Turn(1.0, 0.5), Turn(0.2, 0.5 + late, 0.0)) for late in outside]

        late = 0.3 + WAKE_S
        assert uncounted(turns(late, late, late)) == pytest.approx([0.3, 0.3, 0.3])
        # Noise goes both ways, and its median is nothing.
        assert uncounted(turns(-0.05, WAKE_S, 0.05)) == pytest.approx([0, 0, 0])
        # In some rounds alone: all but a tenth of the reference's time.
        assert uncounted(turns(WAKE_S, WAKE_S, late)) == pytest.approx([0, 0, 0.2])


class TestAnswers:
    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (b'{"kind": "output_shape", "message": "it is wrong"}', "output_shape"),
            (b'{"kind": "raised", "error": "TypeError", "message": "x"}', "runtime"),
            (b'{"kind": "unavailable", "message": "try again"}', "crash"),
            (b'{"kind": "nonsense"}', "crash"),
            (b'{"kind": ["raised"]}', "crash"),
            (b"[" * 100_000, "crash"),
            (b"d", "crash"),
            (b"1" * 10_000, "crash"),
        ],
    )
    def test_a_candidate_cannot_say_what_its_harness_does_not(self, data: bytes, kind: str) -> None:
        seat = Seat.__new__(Seat)
        seat.own = False
        with pytest.raises(Refused) as refused:
            seat.understood(data, "runtime")
        assert refused.value.kind == kind


@runs
def test_how_long_a_reference_takes_is_kept_by_device_and_version(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TURNHALLE_CACHE", str(tmp_path))
    plan = Plan(trials=1, twisted=0, rounds=3)
    first = evaluate(SOURCE, f"```python\n{problems.gold(KEY)}```", plan)
    assert first.reference_ms == pytest.approx(known.known(SOURCE, "cpu", 1))
    assert first.details["warmups"] == plan.warmups  # rounds of one call: nobody knew how many are enough
    again = evaluate(SOURCE, f"```python\n{problems.gold(KEY)}```", plan)
    assert 1 <= again.details["warmups"] < plan.warmups
    assert known.known(SOURCE, "cpu", 2) is None
    monkeypatch.setattr(known, "version", lambda name: "another torch")
    assert known.known(SOURCE, "cpu", 1) is None


def test_what_is_known_of_a_reference_is_the_median_of_the_latest(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TURNHALLE_CACHE", str(tmp_path))
    for took_ms in (*[100.0] * 9, *[3.0] * 4, *[2.0] * 4, 50.0):
        known.learn("x", "cpu", 1, took_ms)
    assert known.known("x", "cpu", 1) == 3.0  # of 2 2 2 2 3 3 3 3 50
    (path,) = (tmp_path / "kernel" / "references").iterdir()
    path.write_text("broken")
    assert known.known("x", "cpu", 1) is None

"""How fast a candidate is, by a clock that is not in its reach.

A round is a pair in random order: the reference and the candidate are each called on the same fresh inputs, once for
each of K slots, in stages pinned to the same cores. With one core a call's time is the CPU time that the kernel
counts for the stage's process, which neither the process nor the machine's other work changes; with several cores,
and on a GPU, it is the referee's own wall time from its word to the answer. What an empty word takes the reference's
stage is taken off. CPU time between the answer and the end of handing over, beyond what the reference needs for that,
is added, and CPU time before the word: what is done earlier or finished later counts. Each timed output is compared.
The speed-up is the median of the rounds' ratios; its interval is of order statistics.
"""

from __future__ import annotations

import fcntl
import random
import time
from typing import TYPE_CHECKING, Any

from envserver.envs._kernel.seat import Refused, Took

if TYPE_CHECKING:
    from envserver.envs._kernel.referee import Evaluation

__all__ = ["median", "ranks", "timed"]

BATCH_S = 0.003
"""What one timing should last at least, in calls of the reference."""
IDLE_CPU_S = 0.0005
"""CPU time that a player may have between two calls: it wakes up to read a word."""
LATE_SHARE = 0.3
"""Of a call's time, what may be had after the answer; more has a name."""
SUSPICIONS = 3
"""Rounds of an evaluation in which work outside of calls was seen, until it has a name; it counts from the first."""
QUICK_ROUNDS = 5


def timed(evaluation: Evaluation) -> dict[str, Any]:
    """Rounds under the device's lock. Raises Refused."""
    hold(evaluation.lock, evaluation.end_s)
    try:
        return Rounds(evaluation).run()
    finally:
        fcntl.flock(evaluation.lock, fcntl.LOCK_UN)


def hold(lock: int, end_s: float) -> None:
    """Take the lock of the device. Raises Refused where it is not free in time."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > end_s:
                raise Refused("unavailable", "Other evaluations held the device all the time; try again.") from None
            time.sleep(0.002)


class Rounds:
    """The pairs of one evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.job, self.bench = evaluation.job, evaluation.bench
        self.reference, self.candidate, self.without = evaluation.reference, evaluation.candidate, evaluation.without
        self.end_s = min(evaluation.end_s, time.monotonic() + self.job["timing_s"])
        self.evaluation = evaluation
        self.calls = 1
        self.by_cpu = self.job["device"] == "cpu" and self.job["threads"] == 1
        self.random = random.Random(evaluation.seed)
        self.hand_cpu_s = 0.0
        self.suspicions = 0

    def run(self) -> dict[str, Any]:
        for seat in (self.reference, self.candidate, self.without):
            seat.stage.pin(self.evaluation.own)
        warm = [self.round()[0] for _ in range(self.job["warmups"])]
        # Two at least, where they fit: what returns the same memory at each call is then seen to.
        self.calls = min(self.bench.count, max(2, int(BATCH_S / max(1e-6, median(warm))) + 1))
        pairs: list[tuple[float, float]] = []
        while len(pairs) < self.job["rounds"] and (len(pairs) < 3 or time.monotonic() < self.end_s):
            pairs.append(self.round())
        ratios = sorted(reference / candidate for reference, candidate in pairs)
        low, high = ranks(len(ratios))
        middle = median(ratios)
        quarter = len(ratios) // 4
        own = median([candidate for _, candidate in pairs])
        return {
            "speedup": middle,
            "speedup_low": ratios[low],
            "speedup_high": ratios[high],
            "noise": (ratios[-1 - quarter] - ratios[quarter]) / 2 / middle,
            "reference_ms": 1e3 * median([reference for reference, _ in pairs]),
            "candidate_ms": 1e3 * own,
            "rounds": len(pairs),
            "coverage": self.coverage(),
        }

    def round(self) -> tuple[float, float]:
        """Seconds of one call of the reference, and of the candidate."""
        slots = list(range(self.calls))
        self.random.shuffle(slots)
        self.bench.make(self.calls)
        empty_s = self.empty()
        if self.random.random() < 0.5:
            theirs = self.references(slots)
            mine, given = self.candidates(slots)
        else:
            mine, given = self.candidates(slots)
            theirs = self.references(slots)
        for expected, outputs in zip(self.bench.expected, given, strict=True):
            try:
                self.bench.compare(expected, outputs)
            except Refused as error:
                kind = "cached_output" if error.kind == "values" else error.kind
                raise Refused(
                    kind,
                    f"Right at first, it is wrong in a timed call: {error} Several outputs are kept at once: return "
                    f"a new tensor at each call and keep nothing of earlier ones.",
                ) from None
        floor_s = 1e-7
        return max(floor_s, theirs - empty_s) / self.calls, max(floor_s, mine - empty_s) / self.calls

    def references(self, slots: list[int]) -> float:
        """The reference's turn: its time. What it gave is what is expected."""
        took = self.reference.go(slots)
        self.bench.learn(sorted(slots))
        self.hand_cpu_s = max(self.hand_cpu_s, self.reference.stage.cpu_s() - took.cpu_end_s)
        return self.taken(took)

    def taken(self, took: Took) -> float:
        """Seconds that count."""
        return took.cpu_s if self.by_cpu else took.wall_s

    def empty(self) -> float:
        """Seconds of an empty word."""
        return median([self.taken(self.reference.go([])) for _ in range(3)])

    def candidates(self, slots: list[int]) -> tuple[float, list[list[bytes]]]:
        """The candidate's turn: its time, what came late among it, and its outputs. Raises Refused."""
        seat, stage = self.candidate, self.candidate.stage
        before = stage.cpu_s()
        self.bench.give("candidate", seat if self.job["device"] == "cuda" else None)
        time.sleep(self.random.random() * 3e-4)
        idle = stage.cpu_s() - before
        if idle > IDLE_CPU_S and self.job["device"] == "cpu":
            self.suspect(f"Its threads work {1e3 * idle:.2f} ms while it is not called.")
        told = seat.go(slots)
        took = self.taken(told)
        time.sleep(self.random.random() * 2e-4)
        given = self.bench.handed(seat, sorted(slots))
        self.bench.unchanged(seat)
        late = stage.cpu_s() - told.cpu_end_s - 2 * self.hand_cpu_s - 2e-4
        if self.hand_cpu_s and late > max(1e-3, LATE_SHARE * took):
            self.suspect(f"It goes on working for {1e3 * late:.2f} ms after it has returned.")
        outside = max(0.0, late) * bool(self.hand_cpu_s) + max(0.0, idle - IDLE_CPU_S)
        return took + outside, given

    def suspect(self, what: str) -> None:
        """Raises Refused where this is no chance of the machine's any more."""
        self.suspicions += 1
        if self.suspicions >= SUSPICIONS:
            raise Refused("background_work", f"{what} Work has to begin with the call and end before it returns.")

    def coverage(self) -> float | None:
        """Share of its time that goes with its kernels; None where it cannot be called without them."""
        if self.job["language"] == "torch" or self.without.name not in self.bench.regions:
            return None
        whole, rest = [], []
        try:
            for _ in range(QUICK_ROUNDS):
                self.bench.make(self.calls)
                self.bench.give("candidate", self.candidate)
                self.bench.give(self.without.name, self.without)
                empty_s = self.empty()
                slots = list(range(self.calls))
                whole.append(self.taken(self.candidate.go(slots)) - empty_s)
                rest.append(self.taken(self.without.go(slots)) - empty_s)
        except Refused:
            return None
        return min(1.0, max(0.0, 1.0 - median(rest) / max(1e-7, median(whole))))


def median(values: list[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def ranks(count: int) -> tuple[int, int]:
    """Places, from 0, of the order statistics that hold the median of the distribution in at least 95 of 100 cases.

    The number of values below the median is binomial with one half; the widest pair where there are too few.
    """
    total, weight, low = 2.0**count, 1.0, 0
    below = 1.0
    while low < count // 2:
        weight = weight * (count - low) / (low + 1)
        if (below + weight) / total > 0.025:
            break
        below += weight
        low += 1
    return low, count - 1 - low

"""How fast a candidate is, by a clock that is not in its reach.

A round is a pair in random order: the reference and the candidate are each called on the same fresh inputs, once for
each of K slots, in stages pinned to the same cores. With one core a call's time is the CPU time that the kernel
counts for the stage's process, which neither the process nor the machine's other work changes; with several cores,
and on a GPU, it is the referee's own wall time from its word to the answer. What an empty word takes the reference's
stage is taken off. CPU time of the candidate from the end of one turn to the next word, and what its handing over takes
beyond the reference's, is added: what is done earlier or finished later counts (`uncounted`). Each timed output is
compared. The speed-up is the median of the rounds' ratios; its interval is of order statistics.
"""

from __future__ import annotations

import fcntl
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from envserver.envs._kernel.seat import Refused, Took

if TYPE_CHECKING:
    from envserver.envs._kernel.referee import Evaluation

__all__ = ["Turn", "median", "ranks", "timed", "uncounted"]

BATCH_S = 0.003
"""What one timing should last at least, in calls of the reference."""
IDLE_CPU_S = 0.0005
"""CPU time that a player may have between two turns until that is suspicious."""
LATE_SHARE = 0.3
"""Of a call's time, what may be had after the answer; more has a name."""
SUSPICIONS = 3
"""Rounds of an evaluation in which work outside of calls was seen, until it has a name; it counts from the first."""
QUICK_ROUNDS = 5
WAKE_S = 1e-4
"""CPU time of a round outside of calls that is nothing: waking up."""
UNSEEN_SHARE = 0.1
"""Of the reference's time, what may be hidden outside of calls in a round. In most rounds it is nothing."""


class Turn(NamedTuple):
    """One's calls of a round, and what was done outside of them; CPU seconds, but for `took_s` of several cores."""

    took_s: float
    hand_s: float
    """Handing outputs over."""
    idle_s: float = 0.0
    """From the end of the turn before to the word."""


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
        self.hand_s = 0.0
        """The longest handing over of the reference."""
        self.rested_s: float | None = None
        """The candidate's CPU time at the end of its last turn."""
        self.suspicions = 0

    def run(self) -> dict[str, Any]:
        for seat in (self.reference, self.candidate, self.without):
            seat.stage.pin(self.evaluation.own)
        if (known_ms := self.job["known_ms"]) is not None:
            self.calls = self.enough(known_ms / 1e3)
        warmups = -(-self.job["warmups"] // self.calls)
        warm = [self.round()[0].took_s / self.calls for _ in range(warmups)]
        self.calls = self.enough(median(warm))
        turns: list[tuple[Turn, Turn]] = []
        while len(turns) < self.job["rounds"] and (len(turns) < 3 or time.monotonic() < self.end_s):
            turns.append(self.round())
        pairs = [
            (theirs.took_s / self.calls, (mine.took_s + late_s) / self.calls)
            for (theirs, mine), late_s in zip(turns, uncounted(turns), strict=True)
        ]
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
            "details": self.evaluation.found.get("details", {}) | {"warmups": warmups, "calls": self.calls},
        }

    def enough(self, call_s: float) -> int:
        """Calls of a round; two at least, where they fit: what returns the same memory at each call is then seen to."""
        wanted = max(2, int(BATCH_S / max(1e-6, call_s)) + 1)
        return min(int(self.bench.count), wanted)

    def round(self) -> tuple[Turn, Turn]:
        """The reference's turn and the candidate's."""
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
        theirs, mine = (one._replace(took_s=max(floor_s, one.took_s - empty_s)) for one in (theirs, mine))
        return theirs, mine

    def references(self, slots: list[int]) -> Turn:
        """The reference's turn. What it gave is what is expected."""
        told = self.reference.go(slots)
        self.bench.learn(sorted(slots))
        turn = Turn(self.taken(told), self.reference.stage.cpu_s() - told.cpu_end_s)
        self.hand_s = max(self.hand_s, turn.hand_s)
        return turn

    def taken(self, took: Took) -> float:
        """Seconds that count."""
        return took.cpu_s if self.by_cpu else took.wall_s

    def empty(self) -> float:
        """Seconds of an empty word."""
        return median([self.taken(self.reference.go([])) for _ in range(3)])

    def candidates(self, slots: list[int]) -> tuple[Turn, list[list[bytes]]]:
        """The candidate's turn, and its outputs. Raises Refused."""
        seat, stage, gpu = self.candidate, self.candidate.stage, self.job["device"] == "cuda"
        rested_s = stage.cpu_s() if self.rested_s is None else self.rested_s
        self.bench.give("candidate", seat if gpu else None)
        time.sleep(self.random.random() * 3e-4)
        idle_s = 0.0 if gpu else stage.cpu_s() - rested_s  # On a GPU, inputs are uploaded before the word.
        if idle_s > IDLE_CPU_S:
            self.suspect(f"Its threads work {1e3 * idle_s:.2f} ms while it is not called.")
        told = seat.go(slots)
        time.sleep(self.random.random() * 2e-4)
        given = self.bench.handed(seat, sorted(slots))
        self.bench.unchanged(seat)
        self.rested_s = stage.cpu_s()
        turn = Turn(self.taken(told), self.rested_s - told.cpu_end_s, idle_s)
        late_s = turn.hand_s - self.hand_s
        if self.hand_s and late_s > max(1e-3, LATE_SHARE * turn.took_s):
            self.suspect(
                f"It goes on working for {1e3 * late_s:.2f} ms after it has returned, or copying its outputs is work: "
                f"return contiguous tensors."
            )
        return turn, given

    def suspect(self, what: str) -> None:
        """Raises Refused where this is no chance of the machine's any more."""
        self.suspicions += 1
        if self.suspicions >= SUSPICIONS:
            raise Refused("background_work", f"{what} Work has to begin with the call and end before it returns.")

    def coverage(self) -> float | None:
        """Share of its time that goes with its kernels, at most what is spent in them; None where it cannot be called
        without them."""
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
        gone, said = 1.0 - median(rest) / max(1e-7, median(whole)), self.evaluation.share
        if said is None:
            return min(1.0, max(0.0, gone))
        # What its kernels leave unwritten may be slower to work on (denormal numbers): then that tells nothing.
        return float(min(said, gone) if gone > 0 else said)


def uncounted(turns: list[tuple[Turn, Turn]]) -> list[float]:
    """CPU seconds of each round (the reference's turn, the candidate's) that the candidate worked outside of its calls.

    At least the median over the rounds, so that noise cancels; of a round that has more, all but UNSEEN_SHARE.
    """
    found = [mine.idle_s + mine.hand_s - theirs.hand_s - WAKE_S for theirs, mine in turns]
    usual = max(0.0, median(found))
    return [max(usual, one - UNSEEN_SHARE * theirs.took_s) for one, (theirs, _) in zip(found, turns, strict=True)]


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

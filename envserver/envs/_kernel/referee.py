"""The referee of one evaluation: it has the clock, the expected outputs and the tolerances, and runs nobody's code.

Three stages: the reference, the candidate, and the candidate with its kernels taken out. Inputs are made by the
reference's stage and copied; outputs are copied into this process before they are looked at. Every call is checked,
timed ones too.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import Any

from envserver.envs._kernel.bench import Bench
from envserver.envs._kernel.seat import Refused, Seat
from envserver.envs._kernel.timing import timed
from envserver.envs._kernel.watching import CAPTURED
from envserver.sandboxes._stage.stage import Ended, Silent, Stage

__all__ = ["judge"]

MEET_S = 60.0
NOTHING = {
    "alias", "as_strided", "clone", "contiguous", "copy_", "detach", "empty", "empty_like", "empty_strided", "expand",
    "new_empty", "new_empty_strided", "new_zeros", "permute", "reshape", "select", "slice", "split", "squeeze", "t",
    "transpose", "unsqueeze", "unsafe_view", "_unsafe_view", "_reshape_alias", "view", "zeros", "zeros_like", "zero_",
    "fill_", "full", "full_like", "ones", "ones_like", "lift_fresh", "_to_copy", "unbind", "chunk", "unsafe_split",
}  # fmt: skip
"""Operators that compute nothing."""
LEAST_SHARE = 0.03
"""Of a call's time, what kernels have to take, or torch does the work. Ours."""


def judge(link: socket.socket, stages: list[Stage]) -> None:
    """Wait for a job, do it, answer."""
    for stage in stages:
        stage.meet(MEET_S)
    data, descriptors, _, _ = socket.recv_fds(link, 64, 16)
    if not data:
        return
    with os.fdopen(descriptors[0], "rb") as file:
        job = json.load(file)
    if "sources" in job:
        link.send(json.dumps(fitting(job, stages[0])).encode())
        return
    evaluation = Evaluation(job, stages, descriptors[1], descriptors[2:])
    try:
        answer = evaluation.run()
    except Refused as error:
        answer = evaluation.found | {"error_kind": error.kind, "message": str(error), "correct": error.kind == "decoy"}
    answer["phase_s"] = evaluation.phase_s
    link.send(json.dumps(answer).encode())


def fitting(job: dict[str, Any], stage: Stage) -> dict[str, Any]:
    """The first of several sources that is small enough and runs."""
    seat, why = Seat(stage, "reference", job["call_s"], time.monotonic() + job["total_s"]), ""
    for number, source in enumerate(job["sources"]):
        try:
            seat.ask("read", job["load_s"], source=source, device="cpu", libraries=[], stub=False)
            if seat.ask("weigh", job["load_s"])["elements"] > job["elements"]:
                why = "its inputs are too large"
                continue
            seat.ask("build", job["load_s"], name="Model", seed=1, arguments=None)
            seat.ask("probe", job["call_s"], seed=1)
        except Refused as error:
            why = str(error)
            if stage.status is not None:
                return {"at": None, "tried": number + 1, "why": why}
            continue
        return {"at": number, "why": ""}
    return {"at": None, "tried": len(job["sources"]), "why": why}


class Evaluation:
    """One candidate against its reference."""

    def __init__(self, job: dict[str, Any], stages: list[Stage], lock: int, libraries: list[int]) -> None:
        self.job, self.lock, self.libraries = job, lock, libraries
        self.end_s = time.monotonic() + job["total_s"]
        names = ("reference", "candidate", "candidate without its kernels")
        self.reference, self.candidate, self.without = (
            Seat(stage, name, job["call_s"], self.end_s) for stage, name in zip(stages, names, strict=True)
        )
        self.phase_s: dict[str, float] = {}
        self.found: dict[str, Any] = {"compiled": True}
        self.share: Any = None
        """Of a call's time, what is spent in compiled kernels, as the candidate's process says."""
        self.seed = int.from_bytes(os.urandom(5), "big")
        """Drawn after the stages were forked."""

    def run(self) -> dict[str, Any]:
        """Phase by phase. Raises Refused."""
        cores = sorted(os.sched_getaffinity(0))
        own = set(cores[-self.job["threads"] :]) if self.job["device"] == "cpu" else set(cores)
        self.aside = set(cores) - own or set(cores)
        self.own = own
        with self.phase("load"):
            self.load()
        with self.phase("correctness"):
            self.bench = Bench(self.job, self.reference, self.candidate, self.seed)
            self.check()
        self.found["correct"] = True
        if self.job["language"] != "torch":
            with self.phase("profile"):
                self.profile()
        if self.job["timed"]:
            with self.phase("timing"):
                self.found |= timed(self)
        return self.found

    def load(self) -> None:
        """Models in all stages; the reference says what they are built from."""
        job, seed = self.job, self.seed % (1 << 31)
        for seat in (self.reference, self.candidate, self.without):
            seat.stage.pin(self.aside)
        common = {"device": job["device"]}
        self.reference.ask("read", job["load_s"], source=job["reference"], libraries=[], stub=False, **common)
        built = self.reference.ask("build", job["load_s"], name="Model", seed=seed, arguments=None)
        for seat, stub in ((self.candidate, False), (self.without, True)):
            if stub and job["language"] == "torch":
                continue
            seat.ask(
                "read",
                job["load_s"],
                self.libraries if job["libraries"] else None,
                source=job["candidate"],
                libraries=job["libraries"],
                stub=stub,
                kind="load",
                **common,
            )
            with contextlib.suppress(Refused) if stub else contextlib.nullcontext():
                seat.ask("build", job["load_s"], name="ModelNew", seed=seed, arguments=built["arguments"], kind="load")

    def check(self) -> None:
        """Correctness: usual inputs with several seeds, then inputs of another distribution. Raises Refused."""
        seen: list[list[bytes]] = []
        for number in range(self.job["trials"] + self.job["twisted"]):
            twist = number >= self.job["trials"]
            expected = self.bench.fresh(twist=twist)
            if twist and not expected[0].finite:
                continue
            self.candidate.ask("call", self.job["call_s"], slot=0, kind="runtime")
            self.bench.unchanged(self.candidate)
            given = self.bench.handed(self.candidate, [0])[0]
            try:
                self.bench.compare(expected[0], given)
            except Refused as error:
                raise self.named(error, given, seen, twist) from None
            seen.append(given)

    def named(self, error: Refused, given: list[bytes], seen: list[list[bytes]], twist: bool) -> Refused:
        """What a wrong output is, seen beside those of other calls."""
        if error.kind != "values":
            return error
        if given in seen:
            return Refused(
                "cached_output",
                "Its output is that of an earlier call with other inputs. Inputs lie where earlier ones lay, with "
                f"other contents: compute the output at each call. {error}",
            )
        with contextlib.suppress(Refused):
            self.bench.fresh()
            self.candidate.ask("call", self.job["call_s"], slot=0)
            if self.bench.handed(self.candidate, [0])[0] == given:
                return Refused("constant_output", f"Its output is the same for different inputs. {error}")
        if twist:
            return Refused(
                "special_cased",
                f"It is right for the usual inputs and wrong where they are scaled and shifted. {error}",
            )
        return error

    def profile(self) -> None:
        """Whether the kernels make the output. Raises Refused."""
        job = self.job
        theirs = self.reference.ask("operators", job["call_s"], slot=0)["operators"]
        mine = self.candidate.ask("operators", job["call_s"], slot=0, kind="runtime").get("operators")
        if not isinstance(mine, list) or not all(isinstance(one, str) for one in mine):
            raise self.candidate.forged()
        needed = [one for one in theirs if one not in NOTHING]
        left = list(mine)
        missing = [one for one in needed if one not in left or left.remove(one)]  # type: ignore[func-returns-value]
        self.found["details"] = {
            "operators": len([one for one in mine if one not in NOTHING]),
            "reference": len(needed),
        }
        if needed and not missing:
            self.decoy(f"It runs every operator of the reference itself ({', '.join(needed)[:200]}).")
        if why := self.answered_without():
            self.decoy(why)
        if job["libraries"]:
            self.share = self.candidate.ask("share", job["call_s"], slot=0, kind="runtime").get("share")
            if not isinstance(self.share, float) or not 0 <= self.share <= 1:
                raise self.candidate.forged()
            if self.share < LEAST_SHARE:
                self.decoy(f"Its kernels take {100 * self.share:.2g} % of its time, torch the rest.")

    def answered_without(self) -> str:
        """Calls it with its kernels taken out: a sentence where the output is there all the same."""
        bench, seat, expected = self.bench, self.without, self.bench.expected[0]
        try:
            bench.share(seat)
            told = seat.ask("without", self.job["call_s"], slot=0, numel=expected.numel(0))
            results = told.get("results")
            if not isinstance(results, int) or not 0 <= results <= CAPTURED:
                raise seat.forged()
        except Refused:
            return ""  # it does not get far without its kernels
        if not told.get("raised"):
            with contextlib.suppress(Refused):
                bench.compare(expected, bench.handed(seat, [0])[0])
                return "Its output is right when its kernels do nothing."
        for index in range(results):
            with contextlib.suppress(Refused):
                at = seat.ask("show", self.job["call_s"], slot=0, index=index).get("output")
                if (
                    isinstance(at, int)
                    and 0 <= at < len(bench.outputs)
                    and bench.close(expected, bench.placed(seat, 0, at), at)
                ):
                    return "Torch has computed the output before its kernels do anything."
        return ""

    def decoy(self, why: str) -> None:
        self.found["decoy"] = True
        raise Refused("decoy", f"{why} A kernel has to do the work: let it compute what torch computes here.")

    @contextlib.contextmanager
    def phase(self, name: str) -> Any:
        """Measure a phase, and translate how stages end."""
        began = time.monotonic()
        try:
            yield
        except (Ended, Silent) as error:
            raise Refused("reference", f"The reference ended: {error}") from None
        finally:
            self.phase_s[name] = round(time.monotonic() - began, 4)

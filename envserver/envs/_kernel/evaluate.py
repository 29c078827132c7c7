"""One submission, phase by phase: read, compiled, then judged by a referee on a stage.

Reading and compiling happen here, in parallel with whatever else; a referee has stages of its own, so correctness is
checked in parallel too; timing waits for the lock of its device. What a submission does costs this evaluation alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from envserver.envs._kernel import lint
from envserver.envs._kernel.compiling import Library, Made, cache_root, compiled, compiler, wanted
from envserver.envs._kernel.known import known, learn
from envserver.envs._kernel.problems import Device
from envserver.envs._kernel.tolerances import TOLERANCES
from envserver.envs._kernel.verdict import Rejected, Verdict
from envserver.sandboxes._stage.client import Settings, begin, referee

__all__ = ["Language", "Plan", "evaluate", "evaluate_code", "first_that_fits", "missing", "prepare"]

Language = Literal["cpp", "cuda", "triton", "numba", "torch"]
GRACE_S = 20.0
"""What a referee gets beyond its own deadline."""


@dataclass(frozen=True)
class Plan:
    """How submissions are evaluated."""

    language: Language = "cpp"
    device: Device = "cpu"
    threads: int = 1
    """Cores that a call may use on a CPU, and that timing pins it to."""
    trials: int = 4
    """Calls with usual inputs that are compared."""
    twisted: int = 2
    """Calls with inputs of another distribution."""
    warmups: int = 3
    """Calls before timing, at least; as many rounds where it is not known how long the reference takes."""
    rounds: int = 15
    """Paired rounds that are timed; fewer where `timing_s` is used up."""
    timing_s: float = 5.0
    tolerances: Mapping[str, float] = field(default_factory=lambda: dict(TOLERANCES))
    compile_s: float = 10.0
    load_s: float = 10.0
    call_s: float = 5.0
    total_s: float = 18.0
    memory_bytes: int = 2 << 30
    """Of the candidate's stage."""
    tensors_bytes: int = 256 << 20
    """Of inputs and outputs of one call."""
    sandbox: str = "namespace"
    """What compilers run in, and what walls stages have."""
    spare: int = 1
    performance: bool = True
    """False: nothing is timed."""
    lint: bool = True
    """False: nothing is refused for what it looks like; for tests of what is behind."""

    @property
    def timed(self) -> bool:
        """Triton's interpreter says nothing about speed."""
        return self.performance and not (self.language == "triton" and self.device == "cpu")


def evaluate(reference: str, answer: str, plan: Plan) -> Verdict:
    """Judge an answer with one code block. What it does is never an exception; SandboxError is this machine's fault."""
    try:
        code = lint.block(answer)
    except Rejected as error:
        return Verdict(error.kind, str(error))
    return evaluate_code(reference, code, plan)


def evaluate_code(reference: str, code: str, plan: Plan) -> Verdict:
    """Judge a source that stands alone, as `evaluate` does."""
    phase_s: dict[str, float] = {}
    began = time.monotonic()
    try:
        tree = lint.check(code, plan.language) if plan.lint else lint.parsed(code)
        libraries = wanted(tree, plan.language, plan.lint)
        phase_s["static"] = time.monotonic() - began
        made = [compiled(one, sandbox=plan.sandbox, timeout_s=plan.compile_s) for one in libraries]
        phase_s["compile"] = time.monotonic() - began - phase_s["static"]
    except Rejected as error:
        return Verdict(error.kind, str(error), phase_s={name: round(s, 4) for name, s in phase_s.items()})
    told = _judged(reference, code, libraries, made, plan)
    told["phase_s"] = {name: round(s, 4) for name, s in phase_s.items()} | told.get("phase_s", {})
    verdict = Verdict(**told)
    if verdict.reference_ms:
        learn(reference, plan.device, plan.threads, verdict.reference_ms)
    return verdict if verdict.error_kind else Verdict(**(told | {"message": _praise(verdict)}))


def missing(plan: Plan) -> str:
    """A sentence where this machine cannot evaluate such submissions; empty where nothing is known to be missing."""
    if plan.language == "cuda" and plan.device != "cuda":
        return "language 'cuda' needs a server with device 'cuda'"
    if plan.language in ("cpp", "cuda"):
        try:
            compiler(plan.language)
        except Rejected as error:
            return str(error)
    for name in ("torch", *({plan.language} & {"triton", "numba"})):
        if importlib.util.find_spec(name) is None:
            return f"language '{plan.language}' needs {name}, which is not installed"
    return ""


def prepare(plan: Plan) -> None:
    """Have the process that evaluates begin to import torch; returns at once."""
    begin(settings(plan))


def first_that_fits(sources: list[str], elements: int, plan: Plan) -> tuple[int | None, str]:
    """Which of several references is the first whose tensors hold so few elements and that runs; or why none does."""
    times = {"call_s": plan.call_s, "load_s": plan.load_s, "total_s": plan.total_s}
    begun, why = 0, ""
    while begun < len(sources):
        told = _asked({"sources": sources[begun:], "elements": elements, **times}, [], plan)
        if told.get("at") is not None:
            return begun + told["at"], ""
        why = str(told.get("why") or told.get("message", ""))
        begun += told.get("tried", len(sources))
    return None, why


def settings(plan: Plan) -> Settings:
    """What the warm process of a plan is started with."""
    threads = str(plan.threads)
    environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    environment |= {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0", "NUMBA_NUM_THREADS": threads}
    environment |= {"NUMBA_CACHE_DIR": "/tmp", "TRITON_CACHE_DIR": "/tmp/triton", "MALLOC_ARENA_MAX": "2"}
    # Freed memory stays with the process, or each call would pay for pages of its own, now and then.
    environment |= {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
    if plan.language == "triton" and plan.device == "cpu":
        environment["TRITON_INTERPRET"] = "1"
    extra = {"triton": ("triton", "triton.language"), "numba": ("numba",)}.get(plan.language, ())
    return Settings(
        referee="envserver.envs._kernel.referee",
        player="envserver.envs._kernel.player",
        walls=plan.sandbox,
        preload=("torch", *extra),
        environment=environment,
        memory_bytes=plan.memory_bytes,
        alone=not (plan.device == "cuda" and plan.language == "triton"),
        gpu=plan.device == "cuda",
        spare=plan.spare,
    )


def _judged(reference: str, code: str, libraries: list[Library], made: list[Made], plan: Plan) -> dict[str, Any]:
    """A referee's answer."""
    job = {
        "reference": reference,
        "candidate": code,
        "libraries": [{"kind": one.kind, "name": one.name, "functions": one.functions} for one in libraries],
        "timed": plan.timed,
        "known_ms": known(reference, plan.device, plan.threads) if plan.timed else None,
        **{
            name: value
            for name, value in asdict(plan).items()
            if name not in ("sandbox", "lint", "spare", "performance")
        },
    }
    return _asked(job, made, plan)


def _asked(job: dict[str, Any], made: list[Made], plan: Plan) -> dict[str, Any]:
    """What a referee answers to a job."""
    link = referee(settings(plan))
    opened: list[int] = []
    try:
        opened.append(_file("job", json.dumps(job).encode()))
        opened.append(_lock(plan.device))
        # A stage is another user, who may open no file of the cache.
        opened += [_file("library", one.path.read_bytes()) for one in made]
        with link:
            socket.send_fds(link, [b"job"], opened)
            while opened:
                os.close(opened.pop())
            if not select.select([link], [], [], plan.total_s + GRACE_S)[0]:
                return {"error_kind": "unavailable", "message": "The evaluation did not end in time; try again."}
            data = link.recv(1 << 18)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if not data:
        return {"error_kind": "unavailable", "message": "The evaluation was ended from outside; try again."}
    found: dict[str, Any] = json.loads(data)
    return found


def _file(name: str, data: bytes) -> int:
    """A file without a place, which anybody who is given it may read and load."""
    descriptor = os.memfd_create(name)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _lock(device: str) -> int:
    """The device's lock: one file a device, shared by every server of this cache directory."""
    directory = cache_root() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    return os.open(directory / f"{device}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _praise(verdict: Verdict) -> str:
    if verdict.speedup is None:
        return "It is correct. It was not timed."
    told = (
        f"It is correct, and {verdict.speedup:.2f} times as fast as the reference "
        f"({verdict.candidate_ms:.3f} ms against {verdict.reference_ms:.3f} ms; "
        f"between {verdict.speedup_low:.2f} and {verdict.speedup_high:.2f})."
    )
    if verdict.coverage is not None:
        told += f" Its kernels take {100 * verdict.coverage:.0f} % of its time."
    return told

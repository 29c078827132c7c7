"""KernelGYM's wire over this project's evaluator: what Dr. Kernel's trainer (arXiv 2602.05885) speaks to.

A mount: `mounts.kernelgym = "device=cpu"` serves it under `/kernelgym`. `POST /evaluate` answers when the task is
done, `POST /evaluate/batch` runs its tasks beside each other, timing one at a time by device; `GET /status/{id}`
and `GET /results/{id}` tell of both. A task that is asked for again is not evaluated again, unless `force_refresh`
says so.

Where this differs: `backend` may also be `cpp`, `numba` or `torch`; `triton` on a CPU is checked by Triton's
interpreter and not timed; `num_perf_trials` are calls, and a round has several. Only `entry_point = "Model"` is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from envserver.envs._kernel.evaluate import Plan, evaluate_code, missing, prepare
from envserver.envs._kernel.verdict import Verdict
from envserver.sandboxes.base import SandboxError

__all__ = ["Desk", "create_app", "mounted"]

MOST_KEPT = 10_000
"""Tasks whose results are kept; the oldest go first."""
MOST_BATCH = 100
LANGUAGES = ("cpp", "cuda", "numba", "torch", "triton")
CODES = {
    "syntax": "SYNTAX_ERROR",
    "compile": "COMPILATION_ERROR",
    "compile_timeout": "TIMEOUT_ERROR",
    "load": "INSTANTIATION_ERROR",
    "signature": "RUNTIME_ERROR",
    "runtime": "RUNTIME_ERROR",
    "crash": "RUNTIME_ERROR",
    "timeout": "TIMEOUT_ERROR",
    "memory": "RESOURCE_ERROR",
    "reference": "SYSTEM_ERROR",
    "unavailable": "RESOURCE_ERROR",
    **dict.fromkeys(
        (
            "values", "nonfinite", "constant_output", "cached_output", "special_cased", "inputs_changed", "output_type",
            "output_shape", "output_dtype", "output_device", "output_strides", "output_aliased", "background_work",
            "decoy",
        ),
        "CORRECTNESS_ERROR",
    ),
}  # fmt: skip
"""Our kind of error -> KernelGYM's; any other is what is found before anything runs: VALIDATION_ERROR."""


class EvaluationRequest(BaseModel):
    """One task, in KernelGYM's shape; what is not known here is ignored, as there."""

    model_config = ConfigDict(extra="ignore")

    task_id: str = Field(min_length=1, max_length=100)
    reference_code: str = Field(min_length=10, max_length=100_000)
    kernel_code: str = Field(min_length=10, max_length=100_000)
    backend: str = "triton"
    entry_point: str = "Model"
    num_correct_trials: int = Field(default=5, ge=1, le=20)
    num_perf_trials: int = Field(default=100, ge=1, le=1000)
    num_warmup: int = Field(default=3, ge=0, le=100)
    timeout: int = Field(default=300, ge=10, le=3600)
    priority: Literal["low", "normal", "high"] = "normal"
    force_refresh: bool = False
    run_performance: bool = True


class EvaluationResponse(BaseModel):
    """What became of one."""

    task_id: str
    status: Literal["pending", "processing", "completed", "failed", "timeout", "cancelled"]
    compiled: bool = False
    correctness: bool = False
    decoy_kernel: bool = False
    reference_runtime: float | None = None
    """Milliseconds."""
    kernel_runtime: float | None = None
    speedup: float | None = None
    metadata: dict[str, Any] = {}
    error_message: str | None = None
    error_code: str | None = None
    submitted_at: datetime
    completed_at: datetime | None = None
    processing_time: float | None = None


class BatchRequest(BaseModel):
    """Many tasks at once."""

    batch_id: str = Field(min_length=1, max_length=100)
    tasks: Annotated[list[EvaluationRequest], Field(min_length=1, max_length=MOST_BATCH)]


class Desk:
    """Tasks that run and results that are kept. Lives on one event loop."""

    def __init__(self, device: Literal["cpu", "cuda"] = "cpu", workers: int = 0) -> None:
        self.device: Literal["cpu", "cuda"] = device
        self.workers = workers or os.cpu_count() or 1
        self.found: dict[str, EvaluationResponse] = {}
        self.running: dict[str, asyncio.Task[EvaluationResponse]] = {}
        self.free = asyncio.Semaphore(self.workers)

    async def evaluate(self, asked: EvaluationRequest) -> EvaluationResponse:
        """A task's result: the one that is kept, the one that is being made, or a new one."""
        if asked.task_id not in self.running:
            kept = self.found.get(asked.task_id)
            if kept is not None and not asked.force_refresh:
                return kept
            now = datetime.now(UTC)
            self.found.pop(asked.task_id, None)
            self.found[asked.task_id] = EvaluationResponse(task_id=asked.task_id, status="pending", submitted_at=now)
            self.running[asked.task_id] = asyncio.create_task(self._run(asked, now))
        return await asyncio.shield(self.running[asked.task_id])

    async def _run(self, asked: EvaluationRequest, submitted: datetime) -> EvaluationResponse:
        try:
            async with self.free:
                self.found[asked.task_id] = self.found[asked.task_id].model_copy(update={"status": "processing"})
                began = time.monotonic()
                answer = await asyncio.to_thread(self.judged, asked, submitted)
            done = {"completed_at": datetime.now(UTC), "processing_time": time.monotonic() - began}
            self.found[asked.task_id] = answer.model_copy(update=done)
            return self.found[asked.task_id]
        finally:
            self.running.pop(asked.task_id, None)
            while len(self.found) > MOST_KEPT:
                self.found.pop(next(iter(self.found)))

    def judged(self, asked: EvaluationRequest, submitted: datetime) -> EvaluationResponse:
        """Evaluate one; runs in a thread."""
        base = EvaluationResponse(task_id=asked.task_id, status="failed", submitted_at=submitted)
        if asked.entry_point != "Model" or asked.backend not in LANGUAGES:
            wrong = f"backend is one of {', '.join(LANGUAGES)} and entry_point is Model"
            return base.model_copy(update={"error_code": "VALIDATION_ERROR", "error_message": wrong})
        plan = self.plan(asked)
        if why := missing(plan):
            return base.model_copy(update={"error_code": "RESOURCE_ERROR", "error_message": why})
        try:
            verdict = evaluate_code(asked.reference_code, asked.kernel_code, plan)
        except SandboxError as error:
            return base.model_copy(update={"error_code": "SYSTEM_ERROR", "error_message": str(error)})
        return base.model_copy(update=_said(verdict))

    def plan(self, asked: EvaluationRequest) -> Plan:
        """How a task is evaluated."""
        return Plan(
            language=asked.backend,  # type: ignore[arg-type]
            device=self.device,
            trials=asked.num_correct_trials,
            warmups=max(1, asked.num_warmup),
            rounds=min(50, max(3, asked.num_perf_trials // 4)),
            compile_s=float(asked.timeout),
            total_s=float(asked.timeout),
            performance=asked.run_performance,
            spare=min(4, self.workers),
        )


def create_app(desk: Desk, token: str | None = None) -> FastAPI:
    """KernelGYM's routes over a desk."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for task in list(desk.running.values()):
            task.cancel()

    async def guarded(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if token is not None and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "give the server's token as a bearer token")

    app = FastAPI(title="KernelGYM", lifespan=lifespan, docs_url=None, redoc_url=None)
    asked = [Depends(guarded)]

    def known(task_id: str) -> EvaluationResponse:
        if task_id not in desk.found:
            raise HTTPException(404, f"there is no task {task_id[:100]!r}; evaluate it first")
        return desk.found[task_id]

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {
            "status": "healthy",
            "device": desk.device,
            "workers": desk.workers,
            "running": len(desk.running),
            "tasks": len(desk.found),
        }

    @app.post("/evaluate", dependencies=asked)
    async def evaluate_one(request: EvaluationRequest) -> EvaluationResponse:
        return await desk.evaluate(request)

    @app.post("/evaluate/batch", dependencies=asked)
    async def evaluate_batch(request: BatchRequest) -> dict[str, Any]:
        results = await asyncio.gather(*(desk.evaluate(one) for one in request.tasks))
        done = sum(one.status == "completed" for one in results)
        return {
            "batch_id": request.batch_id,
            "total_tasks": len(results),
            "completed_tasks": done,
            "failed_tasks": len(results) - done,
            "results": [one.model_dump(mode="json") for one in results],
            "batch_status": "completed",
        }

    @app.get("/status/{task_id}", dependencies=asked)
    async def status(task_id: str) -> dict[str, Any]:
        found = known(task_id)
        return {
            "task_id": task_id,
            "status": found.status,
            "progress": 1.0 if found.completed_at else 0.0,
            "estimated_completion": None,
            "queue_position": None,
            "assigned_device": desk.device if found.status == "processing" else None,
        }

    @app.get("/results/{task_id}", dependencies=asked)
    async def results(task_id: str) -> EvaluationResponse:
        found = known(task_id)
        if found.completed_at is None:
            raise HTTPException(409, f"the task {task_id[:100]!r} is {found.status}; ask /status until it is completed")
        return found

    return app


@contextlib.contextmanager
def mounted(setting: str, token: str | None) -> Iterator[FastAPI]:
    """The mount `kernelgym`; its setting is `device=cpu|cuda` and `workers=N`, with a comma between."""
    words: dict[str, str] = {}
    for word in filter(None, (part.strip() for part in setting.split(","))):
        name, _, value = word.partition("=")
        if name not in ("device", "workers") or not value:
            raise ValueError(f"the mount kernelgym is told 'device=cpu,workers=2', not {word[:100]!r}")
        words[name] = value
    device = words.get("device", "cpu")
    if device not in ("cpu", "cuda") or not words.get("workers", "0").isdecimal():
        raise ValueError("the mount kernelgym has device cpu or cuda, and workers is a number")
    desk = Desk("cuda" if device == "cuda" else "cpu", int(words.get("workers", "0")))
    prepare(Plan(device=desk.device, language="triton" if device == "cuda" else "cpp", spare=min(4, desk.workers)))
    yield create_app(desk, token)


def _said(verdict: Verdict) -> dict[str, Any]:
    """A verdict in KernelGYM's words."""
    kind = verdict.error_kind
    kept = ("error_kind", "speedup_low", "speedup_high", "noise", "rounds", "phase_s", "details")
    return {
        "status": "timeout" if kind in ("timeout", "compile_timeout") else "completed",
        "compiled": verdict.compiled,
        "correctness": verdict.good,
        "decoy_kernel": verdict.decoy,
        "reference_runtime": verdict.reference_ms,
        "kernel_runtime": verdict.candidate_ms,
        "speedup": verdict.speedup,
        "metadata": {name: value for name, value in asdict(verdict).items() if name in kept}
        | {"time_coverage": verdict.coverage, "message": verdict.message},
        "error_message": verdict.message if kind else None,
        "error_code": CODES.get(kind, "VALIDATION_ERROR") if kind else None,
    }

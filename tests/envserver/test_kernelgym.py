"""KernelGYM's wire: its client's flow, a batch, and what is wrong."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from envserver.envs._kernel import problems
from envserver.envs._kernel.evaluate import Plan, missing
from envserver.protocols.kernelgym import Desk, create_app, mounted

KEY = "suite/level2/scale_clamp_silu_sum"
REFERENCE = problems.problem(KEY, "cpu").source.replace("ROWS = 512", "ROWS = 64")
GOLD = problems.gold(KEY) or ""


def task(number: int, code: str = GOLD, **more) -> dict:
    base = {"task_id": f"t{number}", "reference_code": REFERENCE, "kernel_code": code, "backend": "cpp"}
    return base | {"num_correct_trials": 1, "num_perf_trials": 12, "toolkit": "kernelbench", "uuid": "u"} | more


@pytest.fixture
async def client():
    desk = Desk(workers=2)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(desk)), base_url="http://gym") as http:
        yield http


async def test_a_task_that_cannot_be_is_refused_and_answered_in_its_words(client) -> None:
    assert (await client.get("/health")).json()["status"] == "healthy"
    assert (await client.get("/status/nowhere")).status_code == 404
    assert (await client.post("/evaluate", json=task(1, "short"))).status_code == 422
    assert (await client.post("/evaluate", json=task(1) | {"num_correct_trials": 99})).status_code == 422
    for change, code in (
        ({"kernel_code": "class ModelNew(:\n    pass\n"}, "SYNTAX_ERROR"),
        ({"kernel_code": "class NewModel:\n    pass\n"}, "VALIDATION_ERROR"),
        ({"entry_point": "Net"}, "VALIDATION_ERROR"),
        ({"backend": "cuda"}, "RESOURCE_ERROR"),
    ):
        answer = (await client.post("/evaluate", json=task(1, force_refresh=True) | change)).json()
        assert answer["error_code"] == code
        assert not answer["correctness"]
        assert answer["error_message"]


async def test_the_token_guards_all_but_health() -> None:
    app = create_app(Desk(workers=1), token="sesame")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gym") as http:
        assert (await http.get("/health")).status_code == 200
        assert (await http.post("/evaluate", json=task(1))).status_code == 401
        told = {"authorization": "Bearer sesame"}
        assert (await http.get("/status/nowhere", headers=told)).status_code == 404


def test_a_setting_is_checked() -> None:
    for setting in ("device=tpu", "gpu", "workers=many", "device="):
        with pytest.raises(ValueError, match="mount kernelgym"), mounted(setting, None):
            pass


@pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")
async def test_a_client_evaluates_polls_and_reads_and_a_batch_runs_side_by_side(client) -> None:
    answer = (await client.post("/evaluate", json=task(1))).json()
    assert answer["status"] == "completed", answer
    assert answer["compiled"]
    assert answer["correctness"]
    assert not answer["decoy_kernel"]
    assert answer["speedup"] > 0
    assert answer["kernel_runtime"] > 0
    assert (await client.get("/status/t1")).json()["status"] == "completed"
    assert (await client.get("/results/t1")).json() == answer
    assert (await client.post("/evaluate", json=task(1))).json() == answer, "evaluated again"

    wrong = GOLD.replace("sum += v", "sum -= v")
    batch = {"batch_id": "b", "tasks": [task(2), task(3, wrong), task(4, "class ModelNew(:\n    pass\n")]}
    sent = asyncio.create_task(client.post("/evaluate/batch", json=batch))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if (await client.get("/status/t2")).status_code == 200:
            break
    assert (await client.get("/results/t2")).status_code == 409
    told = (await sent).json()
    assert [one["task_id"] for one in told["results"]] == ["t2", "t3", "t4"]
    assert [one["error_code"] for one in told["results"]] == [None, "CORRECTNESS_ERROR", "SYNTAX_ERROR"]
    assert told["total_tasks"] == 3

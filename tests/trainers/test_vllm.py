"""vLLM itself: `VLLM_PYTHON=/path/to/python pytest -m slow tests/trainers/test_vllm.py`, eight minutes on two cores."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import runs
import torch
from test_vllm_keeper import below
from tiny import corpus

from agents.chat import Chat
from envserver.launch import launch
from trainers import recipe
from trainers.config import RunConfig, ScratchConfig
from trainers.engines._vllm.keeper import PLUGIN, Keeper
from trainers.engines._vllm.wire import ServerError
from trainers.engines.vllm import Vllm
from trainers.loop import train
from trainers.models import build_model, load_model
from trainers.run import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.skipif("VLLM_PYTHON" not in os.environ, reason="$VLLM_PYTHON names no Python that has vLLM"),
]
SIZE = ScratchConfig(hidden=128, layers=2, heads=4, kv_heads=2, ffn=192, context=768, vocab=600)
"""vLLM on a CPU computes heads of 32 and more; embeddings are tied."""


def config(directory: Path, *pairs: str) -> RunConfig:
    model = directory / "tied"
    if not model.exists():
        build_model(model, corpus(), SIZE, seed=0)
    table = {"name": "run", "dir": str(directory), "env": {"name": "keydoor"}, "model": {"path": str(model)}}
    return recipe.resolve(table | {"engine": {"name": "vllm", "threads": 1, "vllm": {"start_s": 600}}}, pairs)


@asynccontextmanager
async def sampler(config: RunConfig, change: Callable[[Keeper], None] = lambda keeper: None) -> AsyncIterator[Vllm]:
    model, tokenizer = load_model(config.model)
    chat = Chat(tokenizer)
    assert config.model.path is not None
    keeper = Keeper.of(config, config.model.path, log=config.directory / "vllm.log", context_tokens=768)
    change(keeper)
    found = Vllm(model, config.engine, stop_ids=chat.stop_ids, tokenizer=chat.tokenizer, keeper=keeper)
    try:
        yield found
    finally:
        await found.close()


def learned(engine: Vllm, much: float = 0.05) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        for parameter in engine.model.parameters():
            if parameter.requires_grad:
                parameter += much * torch.randn_like(parameter)
    return {name: p.detach() for name, p in engine.model.named_parameters() if p.requires_grad}


async def test_versions_arrive_one_after_the_other_and_a_killed_server_comes_back_with_the_last(tmp_path: Path) -> None:
    async with sampler(config(tmp_path)) as engine:
        gaps = []
        for version in range(4):
            await engine.load(learned(engine), version)
            gaps.append(engine.report()["sync/parity_max_nats"])
            drawn = await asyncio.gather(
                *(engine.sample([5, 6, one], max_tokens=8, temperature=0.7, seed=one) for one in range(64))
            )
            assert {sample.version for sample in drawn} == {version}
        assert max(gaps) <= 1e-5
        assert engine._keeper is not None
        asking = [engine.sample([5, one], max_tokens=64, temperature=0.7) for one in range(64)]
        under_way = asyncio.gather(*asking)
        await asyncio.sleep(0.5)
        os.killpg(engine._keeper.pid or 0, signal.SIGKILL)
        assert {sample.version for sample in await under_way} == {3}
        report = engine.report()
    assert report["engine/servers_lost"] == 1
    assert report["sync/parity_max_nats"] <= 1e-5


async def test_a_tied_head_that_keeps_the_old_embedding_stops_the_run(tmp_path: Path) -> None:
    """What vLLM 0.32 does on a CPU where nobody packs the head anew: our plugin does."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    source = (PLUGIN / "turnhalle_sync.py").read_text().replace("            _repack(self.model)\n", "")
    (folder / "turnhalle_sync.py").write_text(source)
    info = "turnhalle_sync-1.dist-info"
    (folder / info).mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (folder / info / name).write_text((PLUGIN / info / name).read_text())

    def unfixed(keeper: Keeper) -> None:
        keeper._environ["PYTHONPATH"] = str(folder)

    says = r"does not sample from the weights of version 1: .* differs by [\d.]+ nats, 0\.0001 is allowed"
    async with sampler(config(tmp_path), unfixed) as engine:
        with pytest.raises(ServerError, match=says):
            await engine.load(learned(engine), 1)


async def test_an_adapter_is_loaded_beside_its_base(tmp_path: Path) -> None:
    async with sampler(config(tmp_path, "model.lora.r=8")) as engine:
        assert hasattr(engine.model, "peft_config")
        for version in range(3):
            await engine.load(learned(engine), version)
            assert engine.report()["sync/parity_max_nats"] <= 1e-5
            sample = await engine.sample([5, 6, 7], max_tokens=8, temperature=0.7)
            assert sample.version == version


async def test_a_killed_learner_leaves_nothing_and_goes_on(tmp_path: Path, gym_url: str) -> None:
    told = config(tmp_path).model_dump(mode="json")
    table = runs.table(tmp_path, gym_url)
    table |= {"name": "run", "model": told["model"], "engine": told["engine"], "steps": 400}
    table |= {"eval": {"every": 0}, "checkpoint": {"every": 1}}
    run_config = recipe.resolve(table)
    file = tmp_path / "run.json"
    file.write_text(recipe.text(run_config))
    run = Run(run_config.directory)
    command = [sys.executable, "-m", "trainers", "train", str(file)]
    learner = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    await runs.steps(run, 3, going=lambda: learner.returncode is None)
    learner.kill()
    await learner.wait()
    done = run.checkpoints()[-1].step
    again = await asyncio.create_subprocess_exec(*command, f"steps={done + 2}", "--resume", start_new_session=True)
    assert await again.wait() == 0
    found = runs.rows(run)
    assert [row["step"] for row in found] == list(range(done + 3))
    assert all(row.get("sync/parity_max_nats", 0.0) <= 1e-5 for row in found)


async def test_a_killed_environment_server_is_waited_for_and_no_episode_is_lost(tmp_path: Path) -> None:
    """While play runs two steps ahead; the next server has the ledger of the one before, at its address."""
    told = config(tmp_path).model_dump(mode="json")
    ledger, log = tmp_path / "ledger", tmp_path / "envserver.log"
    with launch(["keydoor"], workers=1, ledger=ledger, log=log) as first:
        table = runs.table(tmp_path, first.url) | {"model": told["model"], "engine": told["engine"], "steps": 9}
        table |= {"eval": {"every": 0}, "sampling": {"tasks_per_step": 2, "group_size": 3, "staleness": 2}}
        found = recipe.resolve(table)
        run = Run(found.directory)
        training = asyncio.create_task(train(found))
        await runs.steps(run, 3, going=lambda: not training.done())
        os.killpg(first.pid, signal.SIGKILL)
    port = int(first.url.rpartition(":")[2])
    with launch(["keydoor"], workers=1, ledger=ledger, log=log, port=port):
        await training
    rows = runs.rows(run)
    assert [row["step"] for row in rows] == list(range(10))
    assert sum(row.get("episode/invalid", 0) for row in rows) == 0
    assert all(row.get("async/staleness_max", 0) <= 2 for row in rows)
    assert all(row.get("sync/parity_max_nats", 0.0) <= 1e-5 for row in rows)


def test_serve_ends_with_all_its_processes(tmp_path: Path) -> None:
    file, port_file = tmp_path / "run.json", tmp_path / "url"
    file.write_text(recipe.text(config(tmp_path)))
    asked = [sys.executable, "-m", "trainers", "serve", str(file), "--port", "0", "--port-file", str(port_file)]
    serving = subprocess.Popen(asked, stdout=subprocess.DEVNULL)
    while not port_file.exists():
        assert serving.poll() is None
        time.sleep(0.2)
    children = below(serving.pid)
    assert len(children) >= 3  # the leash, the front end, the engine
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(60) == 130
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("kind", "devices"), [("file", 1), ("ipc", 1), ("nccl", 2)])
async def test_weights_travel_between_gpus(tmp_path: Path, kind: str, devices: int) -> None:
    """The server on the last device that is needed, the trainer on the first."""
    if torch.cuda.device_count() < devices:
        pytest.skip(f"{kind} needs {devices} CUDA devices")

    def placed(keeper: Keeper) -> None:
        keeper._environ["CUDA_VISIBLE_DEVICES"] = str(devices - 1)

    pairs = [f"engine.vllm.transfer={kind}", "model.device=cuda:0", "engine.vllm.parity_nats=1e-2"]
    pairs.append('engine.vllm.arguments=["--gpu-memory-utilization=0.3"]')
    async with sampler(config(tmp_path, *pairs), placed) as engine:
        for version in range(3):
            await engine.load(learned(engine), version)
            sample = await engine.sample([5, 6, 7], max_tokens=8, temperature=0.7)
            assert sample.version == version

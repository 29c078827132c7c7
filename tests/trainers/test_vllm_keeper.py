"""A server of a run's own: started, watched, started again; and the commands `serve` and `doctor`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny import tiny_model

from agents.chat import Chat
from agents.types import Sample
from trainers import recipe
from trainers.cli import main
from trainers.engine_config import EngineConfig
from trainers.engines._vllm import keeper as keeping
from trainers.engines._vllm.keeper import Keeper, command, variables
from trainers.engines._vllm.wire import ServerError
from trainers.engines.choose import served_model
from trainers.engines.vllm import Vllm
from trainers.models import load_model
from trainers.plugged import BadConfig

FAKE = Path(__file__).parent / "fake_vllm.py"


def kept(log: Path, port: int, start_s: float = 120, **faults: Any) -> Keeper:
    """A keeper of a server process that is not vLLM's."""
    asked = [sys.executable, str(FAKE), f"--model={tiny_model()}", f"--port={port}", f"--faults={json.dumps(faults)}"]
    return Keeper(asked, {}, f"http://127.0.0.1:{port}", log=log, start_s=start_s)


def table(**engine: Any) -> dict[str, Any]:
    return {"name": "run", "env": {"name": "keydoor"}, "engine": {"name": "vllm", **engine}}


async def gone(pid: int) -> None:
    """Wait until nobody of a process group is left."""
    for _ in range(2000):
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"group {pid} is still there")


async def test_a_server_that_dies_in_the_middle_of_turns_is_started_again_and_every_turn_has_one_answer(
    tmp_path: Path,
) -> None:
    model, tokenizer = load_model(tiny_model())
    chat = Chat(tokenizer)
    server = kept(tmp_path / "vllm.log", keeping._free_port("127.0.0.1"), dies_after=30)
    settings = EngineConfig.model_validate({"name": "vllm", "threads": 1, "vllm": {"start_s": 120}})
    engine = Vllm(model, settings, stop_ids=chat.stop_ids, keeper=server)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    await engine.load(weights, 4)
    first = server.pid
    assert first is not None
    room = asyncio.Semaphore(8)

    async def ask(seed: int) -> Sample:
        async with room:
            return await engine.sample([5, 6, seed], max_tokens=6, temperature=0.7, seed=seed)

    # Four probes of its first life, then 26 of these; the next kills it under the eight that are asked.
    samples = await asyncio.gather(*map(ask, range(36)))
    again = await engine.sample([5, 6, 0], max_tokens=6, temperature=0.7, seed=0) if server.starts == 2 else samples[0]
    report = engine.report()
    last = server.pid
    await engine.close()
    assert last is not None
    await gone(first)
    await gone(last)
    assert server.starts >= 2
    assert {sample.version for sample in samples} == {4}
    assert again.ids == samples[0].ids
    assert report["engine/servers_lost"] >= 1
    assert report["sync/parity_max_nats"] < 1e-5


async def test_a_server_ends_with_a_trainer_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "from test_vllm_keeper import Keeper\n"
        "async def main():\n"
        "    keeper = Keeper([sys.executable, '-c', 'import time; time.sleep(600)'], {}, 'http://127.0.0.1:9',"
        " log=Path(sys.argv[2]), start_s=60)\n"
        "    await keeper._spawn()\n"
        "    print(keeper.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    asked = [sys.executable, "-c", code, str(FAKE.parent), str(tmp_path / "log")]
    trainer = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.PIPE)
    assert trainer.stdout is not None
    pid = int(await trainer.stdout.readline())
    os.killpg(pid, 0)
    trainer.kill()
    await trainer.wait()
    await gone(pid)


async def test_what_cannot_start_is_said_with_its_last_words(tmp_path: Path) -> None:
    code = "raise ValueError('no such model')"
    dead = Keeper([sys.executable, "-c", code], {}, "http://127.0.0.1:9", log=tmp_path / "log", start_s=60)
    with pytest.raises(ServerError, match=r"vLLM ended before it was ready: ValueError: no such model \(see .*log\)"):
        await dead.start()
    slow = Keeper(["sleep", "60"], {}, "http://127.0.0.1:9", log=tmp_path / "log", start_s=0.1)
    with pytest.raises(ServerError, match=r"vLLM was not ready within 0.1 s"):
        await slow.start()
    none = Keeper([str(tmp_path / "python")], {}, "http://127.0.0.1:9", log=tmp_path / "log", start_s=60)
    with pytest.raises(ServerError, match=r"FileNotFoundError: .*No such file or directory"):
        await none.start()


def test_the_command_line_says_what_training_needs(tmp_path: Path) -> None:
    config = recipe.resolve(table(threads=2, vllm={"python": "/opt/v/bin/python", "arguments": ["--seed=1"]}))
    asked = command(config, tmp_path, host="127.0.0.1", port=8300, context_tokens=512)
    assert asked[:4] == ["/opt/v/bin/python", "-P", "-m", "vllm.entrypoints.openai.api_server"]
    for needed in (
        "--logprobs-mode=processed_logprobs",
        "--generation-config=vllm",
        "--enable-scale-out",
        "--enable-prefix-caching",
        "--max-num-seqs=64",
        "--max-model-len=512",
        '--weight-transfer-config={"backend": "file"}',
        "--enforce-eager",
        "--seed=1",
    ):
        assert needed in asked
    assert variables(config)["VLLM_CPU_OMP_THREADS_BIND"] == "0-1"
    adapter = recipe.resolve(table() | {"model": {"lora": {"r": 12}}})
    asked = command(adapter, tmp_path, host="127.0.0.1", port=8300, context_tokens=512)
    assert {"--enable-lora", "--max-lora-rank=16"} <= {*asked}
    assert variables(adapter)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    shared = recipe.resolve(table(vllm={"transfer": "ipc"}) | {"model": {"device": "cuda"}})
    asked = command(shared, tmp_path, host="127.0.0.1", port=8300, context_tokens=512)
    assert '--weight-transfer-config={"backend": "ipc"}' in asked
    assert "--enforce-eager" not in asked
    assert variables(shared)["VLLM_ALLOW_INSECURE_SERIALIZATION"] == "1"


def test_a_run_without_a_model_has_nothing_to_serve(tmp_path: Path) -> None:
    config = recipe.resolve(table() | {"dir": str(tmp_path)})
    with pytest.raises(BadConfig, match=r"has no model to serve yet; set model.path, or build one: trainer sft"):
        served_model(config)
    at = recipe.resolve(table() | {"model": {"path": str(tiny_model())}})
    assert served_model(at) == tiny_model()


def below(pid: int) -> set[int]:
    """All processes that descend from one."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def test_serve_starts_a_server_for_a_run_and_ends_with_it(tmp_path: Path) -> None:
    """By a Python that runs our server where vLLM is asked for."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    file = tmp_path / "run.json"
    file.write_text(json.dumps(table(vllm={"python": str(python)}) | {"model": {"path": str(tiny_model())}}))
    port_file = tmp_path / "url"
    asked = ["-m", "trainers", "serve", str(file), f"dir={tmp_path}", "--port", "0", "--port-file", str(port_file)]
    serving = subprocess.Popen([sys.executable, *asked], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not port_file.exists():
        assert serving.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    url = port_file.read_text().strip()
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "policy"
    children = below(serving.pid)
    assert len(children) >= 2  # the leash and the server on it
    serving.send_signal(signal.SIGTERM)
    said, _ = serving.communicate(timeout=60)
    assert serving.returncode == 130
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert f"it answers at {url}; train with:" in said
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health")


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_doctor_says_what_is_there_and_what_is_not(capsys: pytest.CaptureFixture[str], gym_url: str) -> None:
    asked = ["engine.vllm.python=/nowhere/python", f'engine.vllm.urls=["{gym_url}"]', "engine.vllm.directory=/nowhere"]
    code, out, err = run(capsys, "doctor", "--json", *asked)
    assert code == 0, err
    found = {one["what"]: one for one in json.loads(out)}
    assert found["torch"]["works"]
    assert (found["vllm"]["works"], found["transfer file"]["works"], found[gym_url]["works"]) == (False, False, False)
    assert "'/nowhere/python' is no Python that can be run" in found["vllm"]["detail"]
    assert "set engine.vllm.directory" in found["transfer file"]["detail"]
    assert "refused /v1/models with 404" in found[gym_url]["detail"]
    code, out, _ = run(capsys, "doctor")
    assert "yes  torch " in out
    code, _, err = run(capsys, "serve", "configs/vllm.toml", 'engine.vllm.urls=["http://127.0.0.1:9"]')
    assert (code, err.count("\n")) == (2, 1)
    assert "see how they are: trainer doctor configs/vllm.toml" in err

"""Two processes learn what one does, and go on from each other's checkpoints."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import crew_play
import pytest
import runs
import torch
from safetensors.torch import load_file
from tiny import tiny_model

from trainers import recipe
from trainers.models import load_model
from trainers.run import Run


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of every case."""
    out = tmp_path_factory.mktemp("alone")
    crew_play.main(tiny_model(), out)
    return out


@pytest.fixture(scope="module")
def both(alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two do, and what they make of the one's checkpoints."""
    out = tmp_path_factory.mktemp("both")
    for code, said in of_two(Path(crew_play.__file__), tiny_model(), out, alone):
        assert code == 0, said
    return out


def of_two(*command: Path) -> list[tuple[int, str]]:
    """How each of two processes of a script ended, and what it said."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=os.environ | there | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [one.communicate(timeout=220)[1] for one in running]
    finally:
        for one in running:
            one.kill()
    return [(one.returncode, text) for one, text in zip(running, said, strict=True)]


def test_an_error_of_the_first_process_alone_ends_all_of_them_and_is_what_is_said() -> None:
    (first, said), (second, _) = of_two(Path(crew_play.__file__).with_name("crew_break.py"), tiny_model())
    assert (first, second) != (0, 0)
    assert said.strip().endswith("MemoryError: no memory is left here")


@pytest.mark.slow
def test_a_run_under_torchrun_learns_what_one_process_does_and_one_goes_on_with_it(
    gym_url: str, tmp_path: Path
) -> None:
    pairs = ("eval.every=0", "checkpoint.every=1", "steps=2", "learner.lr=1e-3", "engine.deterministic=true")
    one, two = (runs.config(tmp_path / name, gym_url, *pairs) for name in ("one", "two"))
    files = []
    for config in (one, two):
        file = tmp_path / f"{config.directory.parent.name}.json"
        file.write_text(recipe.text(config))
        files.append(str(file))
    train = ["-m", "trainers", "train"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *train]
    subprocess.run([sys.executable, *train, files[0]], check=True, timeout=200)
    subprocess.run([*torchrun, files[1]], check=True, timeout=200)
    saved = [Run(config.directory).checkpoints()[-1].model / "model.safetensors" for config in (one, two)]
    weights, others = map(load_file, saved)
    assert max(float((weights[name] - others[name]).abs().max()) for name in weights) < 1e-5
    subprocess.run([sys.executable, *train, files[1], "steps=3", "--resume"], check=True, timeout=200)
    assert [row["step"] for row in runs.rows(Run(two.directory))] == [0, 1, 2, 3]


def same(one: Path, other: Path, *, within: float) -> None:
    losses = [json.loads((found / "losses.json").read_text()) for found in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=within, abs=within)
    weights, others = (load_file(found / "weights.safetensors") for found in (one, other))
    assert weights.keys() == others.keys()
    assert max(float((weights[name] - others[name]).abs().max()) for name in weights) < within


@pytest.mark.parametrize("case", ["full", "lora"])
def test_two_processes_have_the_losses_and_weights_of_one(alone: Path, both: Path, case: str) -> None:
    same(alone / case, both / case, within=1e-5)


def test_in_bfloat16_they_differ_by_its_rounding(alone: Path, both: Path) -> None:
    same(alone / "autocast", both / "autocast", within=5e-2)


@pytest.mark.parametrize("case", ["full", "lora"])
def test_two_processes_go_on_from_the_checkpoint_of_one(alone: Path, both: Path, case: str) -> None:
    same(alone / case, both / case / "resumed", within=1e-5)


@pytest.mark.parametrize("case", ["full", "lora"])
def test_one_process_goes_on_from_the_checkpoint_of_two(alone: Path, both: Path, tmp_path: Path, case: str) -> None:
    crew_play.resume(tiny_model(), case, both / case / "saved", tmp_path)
    same(alone / case, tmp_path, within=1e-5)


def test_a_checkpoint_that_lacks_the_share_of_one_is_refused(both: Path, tmp_path: Path) -> None:
    shares = sorted((both / "full" / "saved" / "state").glob("*.safetensors"))
    assert len(shares) == 2
    sizes = [path.stat().st_size for path in shares]
    assert max(sizes) < 1.2 * min(sizes)
    one = crew_play.learner(tiny_model(), crew_play.CASES["full"])
    for share in shares:
        kept = share.read_bytes()
        share.unlink()
        with pytest.raises(ValueError, match="no whole checkpoint"):
            one.load(both / "full" / "saved")
        share.write_bytes(kept)
    one.load(both / "full" / "saved")


def test_the_policy_that_many_have_saved_loads_like_any_model(both: Path) -> None:
    for case in ("full", "lora"):
        model, _ = load_model(both / case / "saved" / "model")
        assert torch.isfinite(model(torch.arange(5, 30)[None]).logits).all()

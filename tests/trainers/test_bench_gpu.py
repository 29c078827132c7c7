"""The bench of a GPU, on what is here: a small model from nothing on the CPU; marked `gpu`, on a device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainers import recipe
from trainers.bench_gpu import RECIPE, Measured, main, measure
from trainers.display import Display
from trainers.plugged import BadConfig

SMALL = (
    "steps=3",
    "env={name='keydoor',tasks=8,workers=1,options={max_steps=4}}",
    "player={max_turns=4,max_tokens=8}",
    "model={scratch={hidden=32,layers=2,heads=2,kv_heads=1,ffn=64,context=512,vocab=384}}",
    "engine={threads=1}",
    "sampling={tasks_per_step=2,group_size=4}",
    "learner.lr=1e-3",
    "sft={demonstrations=8,epochs=1,batch_episodes=4,lr=3e-3}",
    "eval={every=3,tasks=4}",
)


def measured(tmp_path: Path, device: str) -> Measured:
    pairs = [*SMALL, f"dir={tmp_path}", f"store.url=sqlite:///{tmp_path / 'memory.db'}", f"model.device={device}"]
    found = measure(recipe.read(RECIPE, pairs), Display(quiet=True))
    assert [stage for stage, *_ in found.stages] == ["before SFT", "after SFT", "after RL"]
    assert all(0 <= low <= success <= high <= 1 for _, success, low, high in found.stages)
    assert min(found.sampled_s, found.trained_s, found.step_s, found.peak_gib) > 0
    assert 0 < found.share < 1
    assert found.curve.exists()
    return found


def test_a_run_is_measured_with_the_name_of_its_device(tmp_path: Path) -> None:
    found = measured(tmp_path, "cpu")
    lines = found.as_markdown().splitlines()
    assert lines[0] == f"{found.device}, {found.weights:,} weights"
    # In bfloat16 trainer and sampler differ, but not by much.
    assert 0 < found.mismatch_nats < 0.05


def test_a_config_that_measures_nothing_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"at least 2 steps, eval\.every and sft\.demonstrations"):
        main(["eval.every=0", "model.device=cpu"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_run_is_measured_on_a_gpu(tmp_path: Path) -> None:
    assert measured(tmp_path, "cuda").device == torch.cuda.get_device_name()

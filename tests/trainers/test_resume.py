"""Interrupted runs go on: nothing doubled, nothing missing, and the same numbers as without the interruption."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import runs
from safetensors.torch import load_file

from trainers.display import Display
from trainers.loop import train
from trainers.run import Run


async def test_a_killed_run_goes_on_to_the_right_number_of_steps(gym_url: str, tmp_path: Path) -> None:
    config = runs.config(tmp_path, gym_url, "steps=400", "eval.every=0", "checkpoint.every=2")
    run = await runs.killed(config, 5)
    done = run.checkpoints()[-1].step
    assert 2 <= done < 400
    await train(config.model_copy(update={"steps": done + 3}), resume=True)
    assert [row["step"] for row in runs.rows(run)] == list(range(done + 4))
    assert run.checkpoints()[-1].step == done + 3
    with runs.memory(config) as store:
        assert len(store.runs()) == 1
        played = [episode.step for episode in store.episodes(split="train", limit=None, newest=False)]
        assert played == [step for step in range(1, done + 4) for _ in range(6)]
        assert sum(stat.visits for stat in store.task_stats()) == len(played)
        assert [env.episodes for env in store.stats().envs] == [len(played)]


async def test_ctrl_c_saves_the_last_whole_step(gym_url: str, tmp_path: Path) -> None:
    config = runs.config(tmp_path, gym_url, "steps=400", "eval.every=0", "checkpoint.every=100")
    run = Run(config.directory)
    training = asyncio.create_task(train(config))
    await runs.steps(run, 3, going=lambda: not training.done())
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    done = run.checkpoints()[-1].step
    assert done == runs.rows(run)[-1]["step"] >= 2
    assert (run.directory / "curve.png").exists()
    await train(config.model_copy(update={"steps": done + 1}), resume=True)
    assert [row["step"] for row in runs.rows(run)] == list(range(done + 2))


async def test_ctrl_c_does_not_wait_for_the_demonstrations_to_be_learned(gym_url: str, tmp_path: Path) -> None:
    config = runs.config(tmp_path, gym_url, "eval.every=0", "sft.demonstrations=3", "sft.epochs=100000")
    said: list[str] = []
    display = Display(quiet=True)
    display.say = said.append  # type: ignore[method-assign]
    training = asyncio.create_task(train(config, display=display))
    while not said:
        assert not training.done()
        await asyncio.sleep(0.01)
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    assert len(said) < 100000
    assert Run(config.directory).checkpoints() == []


async def test_a_resumed_run_is_the_unbroken_one(gym_url: str, tmp_path: Path) -> None:
    pairs = ("eval.every=0", "checkpoint.every=1", "sft.demonstrations=3", "learner.lr=1e-3")
    whole = await train(runs.config(tmp_path / "whole", gym_url, *pairs))
    config = runs.config(tmp_path / "parts", gym_url, *pairs)
    await train(config.model_copy(update={"steps": 2}))
    parts = await train(config, resume=True)
    first, second = (load_file(run.checkpoints()[-1].model / "model.safetensors") for run in (whole, parts))
    assert first.keys() == second.keys()
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-4
    for name in ("reward/mean", "tokens/sampled", "episode/turns"):
        assert [row.get(name) for row in runs.rows(whole)] == [row.get(name) for row in runs.rows(parts)]

"""A run on a world that is not installed as a plugin, named by its class."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs

from envserver.errors import UnknownEnv
from trainers.display import Display
from trainers.examine import examine
from trainers.loop import train

WORLDS = Path(__file__).parents[1] / "envserver"


async def test_a_third_partys_env_is_trained_on_resumed_and_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(WORLDS))
    pairs = ("env.name=worlds:Copyable", "env.options={goal=2}", "env.eval_split=test", "eval.every=0")
    config = runs.config(tmp_path, None, *pairs, "steps=1", "checkpoint.every=1")
    await train(config)
    run = await train(config.model_copy(update={"steps": 2}), resume=True)
    assert [row["episode/invalid"] for row in runs.rows(run)[1:]] == [0, 0]
    with runs.memory(config) as store:
        assert {row.env for row in store.episodes()} == {"copyable"}
    ((_, found),) = await examine(
        [run.directory], split="test", url=None, options={}, settings={"tasks": 2}, display=Display(quiet=True)
    )
    assert (found.count, found.invalid) == (2, 0)


async def test_a_class_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownEnv, match="No module named 'nowhere'"):
        await train(runs.config(tmp_path, None, "env.name=nowhere:World"))

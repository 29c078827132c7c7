"""`trainer demo-memory`: its arms, and the whole of it in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers import memory_demo, recipe
from trainers.memory_demo import ARMS, RECIPE, Played


def test_arms_differ_in_what_they_are_called_after_and_in_nothing_else() -> None:
    arms = {arm: recipe.read(RECIPE, settings).model_dump(mode="json") for arm, settings in ARMS.items()}
    ours = arms["slea"]
    assert ours["algorithm"]["name"] == "slea"
    assert {arm: found["context"]["retrieval"] for arm, found in arms.items()} == {
        "slea": "step", "grpo": "none", "gigpo": "none", "task": "task", "random": "random", "none": "none",
    }  # fmt: skip
    for found in arms.values():
        for section in ("env", "player", "model", "learner", "sampling", "sft", "eval"):
            assert found[section] == ours[section]
        assert (found["algorithm"]["kl"], found["algorithm"]["minibatches"]) == (0.0, ours["algorithm"]["minibatches"])
    assert not any(arms[arm]["memory"]["every"] for arm in ("grpo", "gigpo", "none"))


def test_success_of_several_seeds_is_told_with_the_interval_of_all_episodes() -> None:
    assert str(Played([8, 2], [10, 10])) == "50% [30%, 70%] (80%, 20%)"


@pytest.mark.slow
def test_the_whole_of_it_in_small_tells_every_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [
        "sft.demonstrations=8",
        "sft.epochs=1",
        "eval.tasks=4",
        "sampling.tasks_per_step=2",
        "sampling.group_size=2",
    ]
    short = {name: (*settings, "sft.demonstrations=8", "sft.epochs=1") for name, settings in memory_demo.READER.items()}
    monkeypatch.setattr(memory_demo, "READER", short)
    memory_demo.main([*small, f"dir={tmp_path}"], seeds=1)
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:7]] == list(ARMS)
    assert "no notes" in out
    assert "slea-s1: " in out
    assert (tmp_path / "memory.png").exists()

"""The loop end to end, on a served keydoor with a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import runs
from safetensors.torch import load_file
from tiny import tiny_model

from envserver.launch import launch
from trainers.learner import Learner
from trainers.loop import Stalled, train
from trainers.plugged import BadConfig
from trainers.run import Run


def test_a_run_leaves_metrics_checkpoints_and_curves(tiny_run: Run) -> None:
    assert [row["step"] for row in runs.rows(tiny_run)] == [0, 1, 2, 3, 4]
    assert [found.step for found in tiny_run.checkpoints()] == [2, 4]
    assert (tiny_run.directory / "curve.png").exists()
    assert (tiny_run.directory / "curve.svg").exists()
    assert list(tiny_run.tensorboard.glob("events.*"))
    assert tiny_run.config().steps == 4


def test_every_step_measures_what_alarms_watch(tiny_run: Run) -> None:
    first, *steps = runs.rows(tiny_run)
    assert first["sft/demonstrations"] == 6
    assert {"untrained/success", "eval/success"} <= first.keys()
    for row in steps:
        assert row["policy/mismatch_max_nats"] < 1e-4
        assert row["policy/entropy_nats"] > 0
        assert row["episode/count"] == 6
        assert row["rows/count"] >= row["rows/zero"]
        assert row["tokens/sampled"] > 0
        assert sum(value for name, value in row.items() if name.startswith("episode/stop/")) == pytest.approx(1)
    assert [row["step"] for row in [first, *steps] if "eval/success" in row] == [0, 2, 4]
    assert steps[-1]["episode/total"] == 24


def test_every_episode_is_in_memory_with_its_tokens_and_advantages(tiny_run: Run) -> None:
    config = tiny_run.config()
    with runs.memory(config) as store:
        (run,) = store.runs()
        assert run.id == tiny_run.memory_run.read_text()
        learned = store.episodes(split="train", limit=None, newest=False)
        assert [episode.step for episode in learned] == [step for step in (1, 2, 3, 4) for _ in range(6)]
        assert len(store.episodes(split="valid", limit=None)) == 4 * 3
        for row in learned:
            for turn in store.episode(row.id).turns:
                assert turn.advantage is not None
                assert len(turn.prompt_ids) > 0
                assert len(turn.sample_ids) == len(turn.logprobs) > 0
        first, last = store.episode(learned[0].id), store.episode(learned[-1].id)
        assert last.turns[0].version - first.turns[0].version == 3


def test_weights_change_and_are_the_ones_that_were_saved(tiny_run: Run) -> None:
    before = load_file(tiny_model() / "model.safetensors")
    early, late = (load_file(found.model / "model.safetensors") for found in tiny_run.checkpoints())
    name = next(name for name in late if "q_proj" in name)
    assert not early[name].equal(before[name])
    assert not late[name].equal(early[name])


async def test_a_run_is_not_overwritten_and_a_finished_one_is_not_played_on(tiny_run: Run) -> None:
    with pytest.raises(BadConfig, match="already holds a run at step 4"):
        await train(tiny_run.config())
    before = tiny_run.metrics.read_text()
    await train(tiny_run.config(), resume=True)
    assert tiny_run.metrics.read_text() == before


async def test_a_run_is_not_resumed_with_another_model_or_environment(tiny_run: Run) -> None:
    config = tiny_run.config()
    other = config.model_copy(update={"env": config.env.model_copy(update={"split": "test"})})
    with pytest.raises(BadConfig, match=r"another env\.split"):
        await train(other, resume=True)


@pytest.mark.parametrize(
    "pairs",
    [
        ["algorithm=ppo", "algorithm.entropy=0.01", "algorithm.minibatches=2", "algorithm.epochs=2"],
        ["context={name='window', turns=1}", "format=choice", "algorithm.aggregate=sequence"],
        ["model.lora.r=2"],
    ],
    ids=["critic, epochs and minibatches", "windows", "adapters"],
)
async def test_other_shapes_of_learning_go_through_the_same_loop(
    gym_url: str, tmp_path: Path, pairs: list[str]
) -> None:
    config = runs.config(tmp_path, gym_url, "steps=2", "eval.every=0", "checkpoint.every=1", *pairs)
    run = await train(config)
    last = runs.rows(run)[-1]
    assert last["learner/grad_norm"] > 0
    assert last["policy/mismatch_max_nats"] < 1e-4
    await train(config.model_copy(update={"steps": 3}), resume=True)
    assert [row["step"] for row in runs.rows(run)] == [0, 1, 2, 3]


async def test_groups_that_teach_nothing_are_drawn_again_up_to_the_bound(gym_url: str, tmp_path: Path) -> None:
    pairs = ["steps=1", "eval.every=0", "algorithm=dapo", "algorithm.max_draws=3"]
    run = await train(runs.config(tmp_path, gym_url, *pairs))
    row = runs.rows(run)[-1]
    # Untrained, it never opens a door: all groups are refused, and six were drawn.
    assert (row["group/refused"], row["group/count"], row["episode/count"]) == (6, 0, 18)
    assert "learner/grad_norm" not in row


async def test_a_gym_that_dies_stops_the_run_with_a_sentence_and_a_checkpoint(tmp_path: Path) -> None:
    with launch(["keydoor"], workers=1, log=tmp_path / "log") as server:
        config = runs.config(
            tmp_path, server.url, "steps=500", "checkpoint.every=100", "eval.every=0", "env.timeout_s=1"
        )
        run = Run(config.directory)
        training = asyncio.create_task(train(config))
        await runs.steps(run, 3, going=lambda: not training.done())
        await asyncio.to_thread(server.stop)
        with pytest.raises(Stalled, match=r"no episode was valid in 3 steps; the last error is: \w+"):
            await training
    rows = runs.rows(run)
    assert rows[-1]["alarm/invalid"] == 1
    assert rows[-1]["episode/invalid_share"] == 1
    (*_, saved) = run.checkpoints()
    assert saved.step == rows[-1]["step"] >= 2


async def test_gradients_that_are_never_finite_stop_the_run_and_leave_the_weights(
    gym_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = runs.config(tmp_path, gym_url, "steps=6", "eval.every=0", "checkpoint.every=100")
    with monkeypatch.context() as patch:
        backward = Learner.backward
        patch.setattr(Learner, "backward", lambda self, loss: backward(self, loss * float("nan")))
        with pytest.raises(Stalled, match=r"not finite in any optimizer step of 3 steps in a row.*lower learner\.lr"):
            await train(config)
    run = Run(config.directory)
    rows = runs.rows(run)[1:]
    assert [(row["step"], row["learner/skipped"], row["alarm/skipped"]) for row in rows] == [
        (n, 1, 1) for n in (1, 2, 3)
    ]
    before, after = (load_file(found / "model.safetensors") for found in (tiny_model(), run.checkpoints()[-1].model))
    assert all(after[name].equal(before[name]) for name in after)
    await train(config, resume=True)
    assert [row.get("learner/skipped") for row in runs.rows(run)[4:]] == [0, 0, 0]


async def test_a_model_that_is_not_there_costs_an_earlier_run_nothing(gym_url: str, tmp_path: Path) -> None:
    asked = runs.config(tmp_path, gym_url, f"model.path={tmp_path / 'nowhere'}")
    earlier = asked.directory / "metrics.jsonl"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("{}\n")
    with pytest.raises(ValueError, match="nowhere"):
        await train(asked)
    assert earlier.read_text() == "{}\n"


async def test_a_deterministic_run_with_fewer_places_than_episodes_comes_to_its_end(
    gym_url: str, tmp_path: Path
) -> None:
    pairs = ["steps=2", "eval.every=1", "engine.deterministic=true", "sampling.concurrency=4"]
    one, other = [await train(runs.config(tmp_path / name, gym_url, *pairs)) for name in ("one", "other")]
    assert [row.get("episode/count") for row in runs.rows(one)] == [None, 6, 6]
    first, second = (load_file(run.checkpoints()[-1].model / "model.safetensors") for run in (one, other))
    assert all(first[name].equal(second[name]) for name in first)

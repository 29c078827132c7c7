"""The command `trainer`: what it prints, and one sentence with the right exit code for what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainers import recipe
from trainers.cli import main
from trainers.run import Run


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line."""
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_algorithms_are_listed_with_their_papers(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "algorithms", "--json")
    assert code == 0
    papers = {row["algorithm"]: row["paper"] for row in json.loads(out)}
    assert papers["grpo"] == "2402.03300"
    assert papers["ppo"] == "2510.01132"
    assert all(row["what"] for row in json.loads(out))


def test_the_resolved_run_is_printed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "config", "configs/keydoor.toml", "learner.lr=5e-5", "--schema")
    assert code == 0
    assert "learner.lr = 5e-05\n    Peak learning rate of the policy." in out
    code, out, _ = run(capsys, "config", "algorithm=dapo")
    assert "algorithm.max_draws = 10" in out
    code, out, _ = run(capsys, "config", "configs/keydoor.toml", "--json")
    assert recipe.resolve(json.loads(out)) == recipe.read(Path("configs/keydoor.toml"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["config", "configs/keydoor.toml", "learner.lrr=1"], "did you mean 'learner.lr'?"),
        (["train", "configs/keydor.toml"], "there is no file 'configs/keydor.toml'"),
        (["train", "configs/keydoor.toml", "env.name=keydor", "steps=0"], "did you mean 'keydoor'?"),
        (["sft", "configs/keydoor.toml", "sft.demonstrations=0"], "nothing to learn from"),
        (["replay", "nowhere"], "is no run"),
        (["plot", "nowhere"], "no metrics yet"),
        (["eval", "nowhere"], "is no run"),
        (["trian"], "No such command"),
        (["train"], "Missing argument"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, args: list[str], says: str
) -> None:
    if args[0] == "train" and len(args) > 1:
        args = [*args, f"dir={tmp_path}", f"store.url=sqlite:///{tmp_path}/m.db"]
    code, out, err = run(capsys, *args)
    assert code == 2, err
    assert says in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_failure_is_one_sentence_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, gym_url: str
) -> None:
    args = [
        "train",
        "configs/keydoor.toml",
        f"env.url={gym_url}",
        f"dir={tmp_path}",
        f"store.url=sqlite:///{tmp_path}/m.db",
        "--quiet",
    ]
    code, _, err = run(capsys, *args, f"model.path={tmp_path}/no-model")
    assert code == 1
    assert err.startswith("trainer: there is no model at")
    assert err.count("\n") == 1
    code, _, err = run(capsys, *args, "store.url=mysql://x", "name=other")
    assert code == 1
    assert err.count("\n") == 1


def test_policies_are_compared_on_the_same_tasks(capsys: pytest.CaptureFixture[str], tiny_run: Run) -> None:
    early, late = tiny_run.checkpoints()
    args = ["--split", "test", "--tasks", 4, "--quiet"]
    code, out, err = run(capsys, "eval", tiny_run.directory, early.path, *args, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [policy["policy"] for policy in found["policies"]] == [f"tiny@{late.step}", f"tiny@{early.step}"]
    assert {policy["episodes"] for policy in found["policies"]} == {4}
    (gap,) = found["over_the_first"]
    assert gap["low"] <= gap["difference"] <= gap["high"]
    code, out, _ = run(capsys, "eval", tiny_run.directory, *args, "--temperature", "1")
    assert "on 4 episodes of 4 'test' tasks, temperature 1" in out


def test_a_policy_is_put_to_other_options_than_it_learned_with(
    capsys: pytest.CaptureFixture[str], tiny_run: Run
) -> None:
    args = ["eval", tiny_run.directory, "--split", "test", "--tasks", 2, "--quiet", "--json"]
    code, out, err = run(capsys, *args, "-o", "max_steps=4")
    assert code == 0, err
    assert json.loads(out)["policies"][0]["turns"] <= 4
    code, _, err = run(capsys, *args, "-o", "max_stepz=1")
    assert code == 2
    assert "did you mean 'max_steps'?" in err
    code, _, err = run(capsys, *args, "-o", "max_steps")
    assert (code, err) == (2, "trainer: 'max_steps' is not key=value, such as learner.lr=1e-4\n")


def test_a_policy_is_put_to_more_turns_of_which_it_sees_the_best(
    capsys: pytest.CaptureFixture[str], tiny_run: Run
) -> None:
    args = ["eval", tiny_run.directory, "--split", "test", "--tasks", 2, "--quiet", "--json"]
    assert tiny_run.config().player.max_turns == 4
    code, out, err = run(capsys, *args, "--turns", 7, "--keep", 1, "-o", "max_steps=7")
    assert code == 0, err
    assert 4 < json.loads(out)["policies"][0]["turns"] <= 7
    code, _, err = run(capsys, *args, "--keep", 2, "-c", "turns=3")
    assert code == 2
    assert "no setting 'context.turns'" in err


def test_runs_replays_and_curves_are_shown(capsys: pytest.CaptureFixture[str], tiny_run: Run, tmp_path: Path) -> None:
    _, out, _ = run(capsys, "runs", tiny_run.directory.parent, "--json")
    (row,) = json.loads(out)
    assert (row["step"], row["steps"], row["algorithm"]) == (4, 4, "grpo")
    _, out, _ = run(capsys, "runs", tiny_run.directory.parent)
    assert "keydoor" in out
    code, out, _ = run(capsys, "replay", tiny_run.directory, "--episode", "-1", "--tokens")
    assert code == 0
    assert "turns, reward" in out.splitlines()[-1]
    code, out, _ = run(capsys, "plot", tiny_run.directory, "--out", tmp_path / "picture")
    assert out.split() == [str(tmp_path / "picture.png"), str(tmp_path / "picture.svg")]

"""A run's directory: whole checkpoints or none, and only the newest ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainers import recipe
from trainers.plugged import BadConfig
from trainers.run import Run, find_checkpoint


def fill(directory: Path) -> None:
    (directory / "model").mkdir()
    (directory / "model" / "weights").write_text("w")


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in (0, 9, 10, 1_000_000, 999_999):
        run.write_checkpoint(step, fill, {"step": step}, keep=3)
    assert [found.step for found in run.checkpoints()] == [10, 999_999, 1_000_000]
    assert run.checkpoints()[0].state() == {"step": 10}
    assert (run.checkpoints()[0].model / "weights").read_text() == "w"


def test_a_checkpoint_that_fails_half_way_leaves_the_last_one(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_checkpoint(1, fill, {"step": 1}, keep=2)

    def breaks(directory: Path) -> None:
        fill(directory)
        raise OSError("no space left on device")

    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            run.write_checkpoint(2, breaks, {"step": 2}, keep=2)
    assert [found.step for found in run.checkpoints()] == [1]
    run.write_checkpoint(2, fill, {"step": 2}, keep=2)
    assert [found.step for found in run.checkpoints()] == [1, 2]


def watch_fsync(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths under the directory, as they are flushed."""
    flushed: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(str(Path(os.readlink(f"/proc/self/fd/{descriptor}")).relative_to(directory)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return flushed


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = watch_fsync(tmp_path, monkeypatch)
    Run(tmp_path).write_checkpoint(1, fill, {"step": 1}, keep=2)
    partial = "checkpoints/.partial_000001"
    assert flushed == [f"{partial}/loop.json", partial, "checkpoints"]


def test_what_a_run_was_told_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = watch_fsync(tmp_path, monkeypatch)
    Run(tmp_path).create(recipe.resolve({"name": "run", "env": {"name": "keydoor"}}))
    assert flushed == ["config.json.partial", "."]


def test_clearing_leaves_the_log_of_the_running_server_and_what_a_run_did_not_write(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.create(recipe.resolve({"name": "run", "env": {"name": "keydoor"}}))
    run.write_checkpoint(1, fill, {"step": 1}, keep=2)
    (tmp_path / "notes.txt").write_text("mine")
    run.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "server.log"]


def test_the_newest_checkpoint_of_a_run_or_one_by_its_path_is_found(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.create(recipe.resolve({"name": "run", "env": {"name": "keydoor"}}))
    with pytest.raises(BadConfig, match="no checkpoint yet"):
        find_checkpoint(tmp_path)
    old = run.write_checkpoint(1, fill, {"step": 1}, keep=2)
    run.write_checkpoint(2, fill, {"step": 2}, keep=2)
    assert find_checkpoint(tmp_path).step == 2
    assert find_checkpoint(old.path).step == 1
    assert find_checkpoint(old.path).run == tmp_path


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="is no run"):
        find_checkpoint(tmp_path / "nothing")

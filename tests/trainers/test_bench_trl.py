"""A step of GRPO beside TRL's, each in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tiny import tiny_model

from trainers.bench import Timing, against_trl, bench_model, grpo_table
from trainers.bench_trl import ours, spent

ASKED = {
    "model": "",
    "prompts": [[5, 6, 7], [8, 9]],
    "group": 2,
    "answer_tokens": 3,
    "rows": 2,
    "steps": 1,
    "threads": 1,
}


def test_our_step_draws_and_learns() -> None:
    found = ours(**ASKED | {"model": str(tiny_model())})  # type: ignore[arg-type]
    assert found["draw_s"] > 0
    assert found["learn_s"] > 0


def test_a_python_without_trl_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no Python that can be run"):
        spent(tmp_path / "python", ASKED)
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(RuntimeError, match="the step failed: ModuleNotFoundError"):
        spent(bare, ASKED)


def test_the_table_says_what_theirs_took_over_ours() -> None:
    ours = (Timing("ours", 300, 1.0, 2.0), Timing("ours", 1000, 1.0, 1.0), 50.0)
    other = (Timing("theirs", 300, 3.0, 8.0), Timing("theirs", 1000, 2.0, 1.5), 80.0)
    assert grpo_table([ours, other]).splitlines()[2:] == [
        "| ours | 300 | 1.0 x, 1.0 x | 1,000 | 1.0 x, 1.0 x | 50 |",
        "| theirs | 100 | 3.0 x, 4.0 x | 500 | 2.0 x, 1.5 x | 80 |",
    ]


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.skipif("TRL_PYTHON" not in os.environ, reason="$TRL_PYTHON names no Python that has TRL")
def test_trl_reads_and_draws_the_same_tokens() -> None:
    # `theirs` raises where the numbers of tokens are others.
    mine, other = against_trl(bench_model(), Path(os.environ["TRL_PYTHON"]), quick=True)
    assert min(part.rate for row in (mine, other) for part in row[:2]) > 0

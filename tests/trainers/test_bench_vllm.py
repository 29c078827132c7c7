"""vLLM's rollout, run by a Python that is not ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from trainers.bench import bench_model, rollout_vllm
from trainers.bench_vllm import spent


def test_a_python_without_vllm_or_none_at_all_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"is no Python that can be run: .*No such file"):
        spent(tmp_path / "bin" / "python", {}, 1)
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"vLLM failed: ModuleNotFoundError: No module named"):
        spent(bare, {"model": "", "prompts": [], "shown": [], "answer_tokens": 1}, 1)


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif("VLLM_PYTHON" not in os.environ, reason="$VLLM_PYTHON names no Python that has vLLM")
def test_vllm_plays_the_rollout_that_is_asked_for() -> None:
    played = rollout_vllm(bench_model(), sessions=4, turns=2, python=Path(os.environ["VLLM_PYTHON"]))
    assert played.tokens == 4 * 2 * 20
    assert min(played.wall_s, played.cpu_s) > 0

"""The bench's rollout by vLLM, in an installation of vLLM's own: it pins a torch and a transformers of its own.

`PYTHON -P trainers/bench_vllm.py` reads a rollout as JSON on stdin; what it cost is JSON on stdout.
That Python has none of our packages, so the standard library is all that is imported before vLLM.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["rollout", "spent"]

START_AND_PLAY_S = 1800.0
"""Longest wait for an engine's start and its rollout."""


def spent(python: Path, asked: dict[str, Any], threads: int) -> tuple[float, float]:
    """Wall and CPU seconds of `rollout(**asked)` run by `python`; starting the engine is not counted.

    Raises RuntimeError with vLLM's last words where it fails.
    """
    from trainers.bench_peer import answered, environment  # this file runs where there is no package of ours

    own = {
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; else a share of the machine's memory
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, range(threads))),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    env = environment(own)
    cost = answered(python, ["-P", __file__], asked, env=env, timeout_s=START_AND_PLAY_S, what="vLLM")
    return cost["wall_s"], cost["cpu_s"]


def rollout(model: str, prompts: list[list[int]], shown: list[list[list[int]]], answer_tokens: int) -> dict[str, float]:
    """Play every turn of `shown`, `[turn][session]`, with the prefix cache, all sessions in lockstep."""
    import psutil
    import vllm

    engine = vllm.LLM(model, skip_tokenizer_init=True, dtype="float32", enable_prefix_caching=True, enforce_eager=True)
    settings = vllm.SamplingParams(
        temperature=1.0, max_tokens=answer_tokens, ignore_eos=True, logprobs=0, detokenize=False
    )

    def cpu_s() -> float:
        own = psutil.Process()
        return sum(sum(one.cpu_times()[:2]) for one in [own, *own.children(recursive=True)])

    began_s, before_s = time.perf_counter(), cpu_s()
    for shown_next in shown:
        asked = [{"prompt_token_ids": prompt} for prompt in prompts]
        for prompt, answer, more in zip(
            prompts, engine.generate(asked, settings, use_tqdm=False), shown_next, strict=True
        ):
            prompt += [*answer.outputs[0].token_ids, *more]
    return {"wall_s": time.perf_counter() - began_s, "cpu_s": cpu_s() - before_s}


if __name__ == "__main__":
    # Only here: vLLM starts processes that import this file again. What they print goes elsewhere.
    stdout = os.dup(1)
    os.dup2(2, 1)
    cost = rollout(**json.load(sys.stdin))
    os.write(stdout, json.dumps(cost).encode())

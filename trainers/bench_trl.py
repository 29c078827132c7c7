"""A step of GRPO by TRL's GRPOTrainer and by ours: same model, prompts and numbers of tokens, a process for each.

`PYTHON -P trainers/bench_trl.py` reads what to play as JSON on stdin and plays it by TRL; what it cost is JSON on
stdout. That Python has none of our packages, so the standard library is all that is imported before TRL. `--ours` plays
the same by our engine and learner.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["ours", "spent", "theirs"]

PLAY_S = 1800.0
"""Longest wait for all steps."""


def spent(python: Path, asked: dict[str, Any], *flags: str) -> dict[str, float]:
    """What `theirs(**asked)`, or with `--ours` `ours(**asked)`, cost in a process of `python`.

    Raises RuntimeError with its last words where it fails.
    """
    from trainers.bench_peer import answered, environment  # this file runs where there is no package of ours

    own = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "ACCELERATE_USE_CPU": "true"}
    program = ["-m", "trainers.bench_trl", *flags] if flags else ["-P", __file__]
    env = environment(own, path=bool(flags))
    return answered(python, program, asked, env=env, timeout_s=PLAY_S, what="the step")


def theirs(
    model: str, prompts: list[list[int]], group: int, answer_tokens: int, rows: int, steps: int, threads: int
) -> dict[str, float]:
    """Seconds of drawing and of learning in `steps` steps after a first one, and MiB that they took.

    A batch holds `rows` answers; the loss is their defaults' with one update a step and no reference.
    """
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(threads)
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    # A word for each id, so that a prompt as text is the same ids.
    known = {f"t{n}": n for n in range(3, policy.config.vocab_size)} | {"<pad>": 0, "<end>": 1, "<unknown>": 2}
    words = Tokenizer(models.WordLevel(known, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unknown>")
    texts = [" ".join(f"t{n}" for n in prompt) for prompt in prompts]
    spent_s = {"draw": _Watch(), "made": _Watch(), "step": _Watch()}

    class Timed(GRPOTrainer):  # type: ignore[misc]
        def _generate_single_turn(self, *args: Any, **named: Any) -> Any:
            with spent_s["draw"]:
                return super()._generate_single_turn(*args, **named)

        def _generate_and_score_completions(self, *args: Any, **named: Any) -> Any:
            with spent_s["made"]:
                found = super()._generate_and_score_completions(*args, **named)
            tokens.append(int(found["completion_mask"].sum()))
            lengths.append(int(found["prompt_mask"].sum()))
            return found

    class Steps(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            if state.global_step == 1:  # the first one warms up
                spent_s.update(draw=_Watch(), made=_Watch())
                spent_s["step"].__enter__()

        def on_train_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            spent_s["step"].__exit__()

    tokens: list[int] = []
    lengths: list[int] = []
    batch = len(prompts) * group
    settings = GRPOConfig(
        output_dir=str(Path(model) / "trl"),
        use_cpu=not torch.cuda.is_available(),
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=batch // rows,
        num_generations=group,
        max_completion_length=answer_tokens,
        generation_kwargs={"min_new_tokens": answer_tokens, "top_k": 0},
        max_steps=steps + 1,
        learning_rate=1e-4,
        beta=0.0,
        gradient_checkpointing=False,
        bf16=False,
        save_strategy="no",
        report_to=[],
        logging_strategy="no",
        disable_tqdm=True,
        shuffle_dataset=False,
    )
    before = _peak_mib()
    trainer = Timed(
        policy,
        reward_funcs=lambda completions, **named: [float(len(text) % 7) for text in completions],
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": texts * (steps + 1)}),
        processing_class=tokenizer,
        callbacks=[Steps()],
    )
    trainer.train()
    if tokens[-1] != batch * answer_tokens or lengths[-1] != group * sum(map(len, prompts)):
        raise RuntimeError(
            f"TRL read {lengths[-1]} and drew {tokens[-1]} tokens, which are not those that were asked for"
        )
    draw, made, step = spent_s["draw"], spent_s["made"], spent_s["step"]
    return {
        "draw_s": draw.wall_s,
        "draw_cpu_s": draw.cpu_s,
        "learn_s": step.wall_s - made.wall_s,
        "learn_cpu_s": step.cpu_s - made.cpu_s,
        "mib": _peak_mib() - before,
    }


def ours(
    model: str, prompts: list[list[int]], group: int, answer_tokens: int, rows: int, steps: int, threads: int
) -> dict[str, float]:
    """The same by our engine and learner."""
    import asyncio

    import torch
    from transformers import AutoModelForCausalLM

    from trainers.algorithms.grpo import Grpo, GrpoConfig
    from trainers.batch import Row, collate
    from trainers.config import LearnerConfig
    from trainers.engines.local import Local
    from trainers.learner import Learner
    from trainers.segments import Segment
    from trainers.tasks import TaskPool

    torch.set_num_threads(threads)
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    batch = len(prompts) * group
    before = _peak_mib()
    learner = Learner(policy, LearnerConfig(lr=1e-4))
    algorithm = Grpo(GrpoConfig(kl=0.0, aggregate="token"), TaskPool("-", ["-"], seed=0))
    draw, learn = _Watch(), _Watch()

    async def play() -> None:
        engine = Local(policy, stop_ids=[], max_sessions=batch)
        for step in range(steps + 1):
            await engine.load(learner.weights(), step)
            if step == 1:  # the first one warms up
                draw.clear()
                learn.clear()
            asked = [
                engine.sample(prompt, max_tokens=answer_tokens, temperature=1.0)
                for prompt in prompts
                for _ in range(group)
            ]
            with draw:
                drawn = await asyncio.gather(*asked)
            made = []
            for number, sample in enumerate(drawn):
                prompt = prompts[number // group]
                credit = 1.0 if number % 2 else -1.0
                n, m = len(prompt), len(sample.ids)
                mask, values = [False] * n + [True] * m, [0.0] * n + [credit] * m
                ids, turns = [*prompt, *sample.ids], [-1] * n + [0] * m
                made.append(
                    Row(Segment(ids, mask, [0.0] * n + sample.logprobs, values, turns), number, number // group, credit)
                )
            with learn:
                cut = [collate(made[start : start + rows], scale=rows / batch) for start in range(0, batch, rows)]
                algorithm.update(learner, cut)
        await engine.close()

    asyncio.run(play())
    return {
        "draw_s": draw.wall_s,
        "draw_cpu_s": draw.cpu_s,
        "learn_s": learn.wall_s,
        "learn_cpu_s": learn.cpu_s,
        "mib": _peak_mib() - before,
    }


class _Watch:
    """Wall and CPU seconds of its blocks."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        self.wall_s += time.perf_counter() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


def _peak_mib() -> float:
    """The most this process has held. Linux's own count, where it is: `getrusage` hands on what the parent held."""
    status = Path("/proc/self/status")
    if status.exists():
        held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(held.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    # What libraries print goes elsewhere.
    stdout = os.dup(1)
    os.dup2(2, 1)
    played = (ours if "--ours" in sys.argv else theirs)(**json.load(sys.stdin))
    os.write(stdout, json.dumps(played).encode())

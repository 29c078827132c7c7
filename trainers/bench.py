"""What sampling and learning cost here, beside their peers in the same run, and where a training step's time goes.

    trainer bench [--quick] [--json] [--model PATH] [--vllm PYTHON] [--trl PYTHON]

A rollout is 64 sessions of 10 turns: a prompt of 300 ids, then 20 sampled and 10 shown ids a turn, nothing shared
between sessions. `generate` gives no log-probabilities and gets one batch without padding, which favours it. The model
is the same for all and has random weights. Read the ratios, best those of CPU time: wall times hang on what else the
machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
import uvloop
from rich.console import Console
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from trainers import bench_trl
from trainers.batch import Batch, Row, collate
from trainers.bench_notes import as_table, what_notes_cost
from trainers.bench_step import where_time_goes
from trainers.bench_vllm import spent
from trainers.config import LearnerConfig
from trainers.engines.local import Local
from trainers.learner import Learner
from trainers.models import parameter_count
from trainers.rows import packed
from trainers.segments import Segment

__all__ = ["main"]

VOCABULARY = 4096
PROMPT_TOKENS, ANSWER_TOKENS, SHOWN_TOKENS = 300, 20, 10


@dataclass(frozen=True)
class Timing:
    """One row of a table."""

    what: str
    tokens: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.wall_s


GrpoStep = tuple[Timing, Timing, float]
"""Drawing, learning, and MiB that both took beyond the model."""


def main(args: Sequence[str]) -> None:
    """Measure and print Markdown, or JSON."""
    parser = argparse.ArgumentParser("trainer bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="16 sessions of 3 turns, a minute in all")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads of torch; never more than free cores")
    parser.add_argument(
        "--model", type=Path, default=None, help="plays with notes, instead of a small one from nothing"
    )
    found = os.environ.get("VLLM_PYTHON") or (sys.executable if find_spec("vllm") is not None else None)
    parser.add_argument(
        "--vllm",
        type=Path,
        metavar="PYTHON",
        default=Path(found) if found else None,
        help="a Python that has vLLM, such as bin/python of its environment; else $VLLM_PYTHON, or this one",
    )
    parser.add_argument(
        "--trl",
        type=Path,
        metavar="PYTHON",
        default=Path(os.environ["TRL_PYTHON"]) if "TRL_PYTHON" in os.environ else None,
        help="a Python that has TRL, for its GRPOTrainer beside ours; else $TRL_PYTHON",
    )
    options = parser.parse_args(list(args))
    if options.threads is not None:
        if options.threads < 1:
            parser.error("--threads must be positive")
        torch.set_num_threads(options.threads)
    sessions, turns, steps = (16, 3, 2) if options.quick else (64, 10, 5)
    console = Console(stderr=True)
    with console.status("sampling"):
        model = bench_model()
        rollouts = [
            timed("local engine", sessions * turns * ANSWER_TOKENS, lambda: rollout_local(model, sessions, turns)),
            timed(
                "Hugging Face generate, turn by turn on the whole history",
                sessions * turns * ANSWER_TOKENS,
                lambda: rollout_generate(model, sessions, turns),
            ),
        ]
        if options.vllm is not None:
            rollouts.append(rollout_vllm(model, sessions, turns, options.vllm))
    with console.status("learning"):
        shown = bench_batches(sessions // 2, turns)
        tokens = sum(int(batch.real_BL.sum()) for batch in shown)
        updates = [
            timed("learner, logits at sampled positions", tokens, lambda: learn(bench_model(), shown)),
            timed("plain loop, logits at every position", tokens, lambda: learn_plainly(bench_model(), shown)),
        ]
        uneven = [
            timed(what, real, functools.partial(learn, bench_model(), cut, packing=packing))
            for what, packing, cut, real in uneven_batches(sessions, turns)
        ]
    steps_of_grpo = []
    if options.trl is not None:
        with console.status("beside TRL"):
            steps_of_grpo = against_trl(model, options.trl, quick=options.quick)
    with console.status("training on keydoor"):
        shares = uvloop.run(where_time_goes(steps))
    with console.status("playing with notes"):
        notes = what_notes_cost(options.model, **({"tasks": 2, "entries": 500, "rounds": 1} if options.quick else {}))
    setting = {
        "parameters": parameter_count(model),
        "sessions": sessions,
        "turns": turns,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    if options.json:
        measured: dict[str, Any] = {"setting": setting, "shares": shares, "notes": [asdict(row) for row in notes]}
        measured["rollout"] = [asdict(row) | {"tokens_per_s": row.rate} for row in rollouts]
        measured["uneven"] = [asdict(row) | {"tokens_per_s": row.rate} for row in uneven]
        measured["grpo"] = [[asdict(drawn), asdict(learned), mib] for drawn, learned, mib in steps_of_grpo]
        measured["update"] = [asdict(row) | {"tokens_per_s": row.rate} for row in updates]
        print(json.dumps(measured, indent=2))
        return
    print(" · ".join(f"{value} {name}" for name, value in setting.items()), end="\n\n")
    print(table("rollout", "action tokens/s", rollouts))
    if options.vllm is None:
        print("| vLLM on the same CPU | not installed | | | | |")
    print()
    print(table("update: forward, backward, step", "tokens/s", updates), end="\n\n")
    print(table("update of uneven rows", "tokens/s, no padding", uneven), end="\n\n")
    if steps_of_grpo:
        print(grpo_table(steps_of_grpo), end="\n\n")
    print("| a training step on keydoor, served | share of wall time |\n|---|---:|")
    for name, share in shares.items():
        print(f"| {name} | {share:.0%} |")
    print("\n" + as_table(notes))


def table(title: str, unit: str, rows: Sequence[Timing]) -> str:
    """Markdown; the first row is ours."""
    lines = [
        f"| {title} | {unit} | wall s | CPU s | wall over ours | CPU over ours |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        wall, cpu = row.wall_s / rows[0].wall_s, row.cpu_s / rows[0].cpu_s
        lines.append(
            f"| {row.what} | {row.rate:,.0f} | {row.wall_s:.1f} | {row.cpu_s:.1f} | {wall:.1f} x | {cpu:.1f} x |"
        )
    return "\n".join(lines)


def timed(what: str, tokens: int, work: Callable[[], object]) -> Timing:
    """Wall and CPU time of one call."""
    wall_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(what, tokens, time.perf_counter() - wall_s, cpu_s)


def bench_model() -> LlamaForCausalLM:
    """Four million parameters, the size that a small agent needs."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def ids(rng: random.Random, n: int) -> list[int]:
    """Any n ids but the special ones."""
    return [rng.randrange(5, VOCABULARY) for _ in range(n)]


def rollout_local(model: LlamaForCausalLM, sessions: int, turns: int) -> None:
    """Sessions that do not wait for each other, as they are played."""

    async def session(engine: Local, number: int) -> None:
        rng = random.Random(number)
        prompt = ids(rng, PROMPT_TOKENS)
        for turn in range(turns):
            sample = await engine.sample(prompt, max_tokens=ANSWER_TOKENS, temperature=1.0, seed=number * turns + turn)
            prompt = prompt + sample.ids + ids(rng, SHOWN_TOKENS)

    async def play() -> None:
        engine = Local(model, stop_ids=[], max_sessions=sessions)
        await asyncio.gather(*(session(engine, number) for number in range(sessions)))
        await engine.close()

    uvloop.run(play())


@torch.no_grad()
def rollout_generate(model: LlamaForCausalLM, sessions: int, turns: int) -> None:
    """All sessions as one batch of equal lengths, so that nothing is lost to padding."""
    rng, generator = random.Random(0), cast(Any, model)
    prompt_BL = torch.tensor([ids(rng, PROMPT_TOKENS) for _ in range(sessions)])
    for _ in range(turns):
        answered_BL = generator.generate(
            prompt_BL,
            attention_mask=torch.ones_like(prompt_BL),
            do_sample=True,
            top_k=0,
            min_new_tokens=ANSWER_TOKENS,
            max_new_tokens=ANSWER_TOKENS,
        )
        shown_BL = torch.tensor([ids(rng, SHOWN_TOKENS) for _ in range(sessions)])
        prompt_BL = torch.cat([answered_BL, shown_BL], 1)


def rollout_vllm(model: LlamaForCausalLM, sessions: int, turns: int, python: Path) -> Timing:
    """vLLM with its prefix cache, all sessions in lockstep, by a Python that has it; starting it is not counted."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        asked = {
            "model": directory,
            "prompts": [ids(rng, PROMPT_TOKENS) for _ in range(sessions)],
            "shown": [[ids(rng, SHOWN_TOKENS) for _ in range(sessions)] for _ in range(turns)],
            "answer_tokens": ANSWER_TOKENS,
        }
        wall_s, cpu_s = spent(python, asked, torch.get_num_threads())
    return Timing("vLLM on the same CPU", sessions * turns * ANSWER_TOKENS, wall_s, cpu_s)


def bench_batches(rows: int, turns: int) -> list[Batch]:
    """Episodes of the rollout's shape as batches of eight rows."""
    rng = random.Random(0)
    made = []
    for number in range(rows):
        mask = [False] * PROMPT_TOKENS + ([True] * ANSWER_TOKENS + [False] * SHOWN_TOKENS) * turns
        n = len(mask)
        found = Segment(ids(rng, n), mask, [-8.0 * m for m in mask], [1.0 * m for m in mask], [m - 1 for m in mask])
        made.append(Row(found, number, 0, 1.0))
    return [collate(made[start : start + 8], scale=8 / rows) for start in range(0, rows, 8)]


def uneven_batches(rows: int, turns: int) -> list[tuple[str, bool, list[Batch], int]]:
    """Episodes of one to `turns` turns over a short prompt, cut both ways: name, packing, batches, tokens in them."""
    rng, units = random.Random(1), []
    for number in range(rows):
        mask = [False] * SHOWN_TOKENS + ([True] * ANSWER_TOKENS + [False] * SHOWN_TOKENS) * rng.randint(1, turns)
        n = len(mask)
        found = Segment(ids(rng, n), mask, [-8.0 * m for m in mask], [1.0 * m for m in mask], [m - 1 for m in mask])
        units.append([Row(found, number, 0, 1.0)])
    real = sum(len(unit[0].segment) for unit in units)
    made = []
    for what, beside in (("padded, sorted by length", False), ("side by side", True)):
        runs = packed(units, 8 * max(len(unit[0].segment) for unit in units), beside=beside)
        made.append((what, beside, [collate(run, scale=len(run) / rows) for run in runs], real))
    return made


def against_trl(model: LlamaForCausalLM, python: Path, *, quick: bool) -> list[GrpoStep]:
    """Steps of GRPO by ours and by TRL's GRPOTrainer, one after the other, each in a process of its own."""
    rng = random.Random(0)
    prompts, group, answer, steps = (2, 4, 16, 1) if quick else (4, 8, 64, 3)
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        asked = {
            "model": directory,
            "prompts": [ids(rng, PROMPT_TOKENS) for _ in range(prompts)],
            "group": group,
            "answer_tokens": answer,
            "rows": 8,
            "steps": steps,
            "threads": torch.get_num_threads(),
        }
        found = [
            ("ours", bench_trl.spent(Path(sys.executable), asked, "--ours")),
            ("TRL's GRPOTrainer", bench_trl.spent(python, asked)),
        ]
    rows = steps * prompts * group
    drawn, learned = rows * answer, rows * (PROMPT_TOKENS + answer)
    return [
        (
            Timing(who, drawn, one["draw_s"], one["draw_cpu_s"]),
            Timing(who, learned, one["learn_s"], one["learn_cpu_s"]),
            one["mib"],
        )
        for who, one in found
    ]


def grpo_table(rows: Sequence[GrpoStep]) -> str:
    """Markdown; the first row is ours."""
    lines = [
        "| a step of GRPO | drawn tokens/s | wall, CPU over ours | learned tokens/s | wall, CPU over ours | MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for drawn, learned, mib in rows:
        cells = []
        for part, own in ((drawn, rows[0][0]), (learned, rows[0][1])):
            cells += [f"{part.rate:,.0f}", f"{part.wall_s / own.wall_s:.1f} x, {part.cpu_s / own.cpu_s:.1f} x"]
        lines.append(f"| {drawn.what} | {' | '.join(cells)} | {mib:,.0f} |")
    return "\n".join(lines)


def learn(model: LlamaForCausalLM, batches: Sequence[Batch], *, packing: bool = False) -> None:
    """One optimizer step of the learner."""
    learner = Learner(model, LearnerConfig(packing=packing))
    for batch in batches:
        learner.backward(-learner.forward(batch).logp_BL.sum() / batch.sampled_tokens * batch.scale)
    learner.step()


def learn_plainly(model: LlamaForCausalLM, batches: Sequence[Batch]) -> None:
    """The same step as it is usually written."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for batch in batches:
        logits_BMV = model(input_ids=batch.ids_BL, use_cache=False).logits[:, :-1]
        labels_BM = batch.ids_BL[:, 1:].masked_fill(~batch.mask_BL[:, 1:], -100)
        loss = functional.cross_entropy(logits_BMV.reshape(-1, VOCABULARY), labels_BM.reshape(-1))
        (loss * batch.scale).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


if __name__ == "__main__":
    main(sys.argv[1:])

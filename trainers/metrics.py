"""Everything a run logs, in one table: name, unit, meaning. `docs/metrics.md` is generated from it.

Rule: a name that is not in the table is an `UndeclaredMetric` warning (an error in our tests) and is logged all the
same, so a third party's algorithm never loses a number. A plugin adds its own with `declare`.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from agents.types import StopReason

__all__ = ["TABLE", "Metric", "MetricsLog", "UndeclaredMetric", "declare", "metrics_markdown", "read"]


class UndeclaredMetric(UserWarning):
    """A name was logged that `trainers/metrics.py` does not declare."""


class Metric(NamedTuple):
    """One logged number."""

    name: str
    unit: str
    meaning: str


TABLE: dict[str, Metric] = {}
"""Every declared metric by name."""


def declare(name: str, unit: str, meaning: str) -> None:
    """Add a metric to the table; the same name declared twice with another meaning is a ValueError.

    A name that ends in `/*` declares every name with one more part in that place.
    """
    metric = Metric(name, unit, meaning)
    if TABLE.setdefault(name, metric) != metric:
        raise ValueError(f"metric '{name}' is already declared as: {TABLE[name].meaning}")


for _name, _unit, _meaning in (
    ("reward/mean", "reward", "mean raw return of the step's valid episodes"),
    ("reward/std", "reward", "standard deviation of those returns (population)"),
    ("reward/shaped_mean", "reward", "mean return after the shapers"),
    ("episode/success", "share", "valid episodes that solved their task"),
    ("episode/turns", "turns", "mean turns of a valid episode"),
    ("episode/count", "episodes", "episodes played in this step, invalid ones included"),
    ("episode/total", "episodes", "episodes played since the run began"),
    ("episode/invalid", "episodes", "episodes whose world or wire broke: reward null, no gradient, in no baseline"),
    ("episode/invalid_share", "share", "those episodes of all that were played in the step"),
    ("episode/failure_share", "share", "valid episodes that did not solve their task"),
    ("action/refused_share", "share", "turns whose action the world did not accept, or whose text could not be parsed"),
    ("action/repeated_share", "share", "turns whose action was taken before in the episode while the same was shown"),
    ("tag/*", "share", "turns with this tag of reasoning, `none` among them; where the format has tags"),
    ("success_of/*", "share", "valid episodes of this type that solved their task; where the world names types"),
    ("format/complaint_share", "share", "turns, summaries not counted, whose text could not be parsed into an action"),
    ("kernel/correct", "share", "attempts at a kernel that are correct and no decoys; where the world judges kernels"),
    ("kernel/coverage", "share", "mean share of the time of correct attempts that their kernels take"),
    ("kernel/lazy", "share", "correct attempts whose kernels take less than 30 % of their time"),
    ("kernel/best_speedup", "ratio", "mean speed-up of an episode's best attempt, 0 where none is correct"),
    ("fast/*", "share", "fast_p: valid episodes whose best attempt is correct and more than p times as fast"),
    ("fast_last/*", "share", "the same of an episode's last attempt"),
    ("mrs/rejected_share", "share", "sampled positions of episodes that MRS rejected (`trloo`)"),
    ("profile/rejected_share", "share", "turns that `profile_reject` took out (`trloo`)"),
    ("summary/episode_share", "share", "valid episodes in which the policy summed up"),
    ("summary/count", "summaries", "mean summaries of a valid episode"),
    ("summary/success", "share", "valid episodes with a summary that solved their task"),
    ("summary/working_tokens", "tokens", "mean of the longest prompt with its answer that an episode held at once"),
    ("summary/effective_tokens", "tokens", "mean length of an episode's stretches between summaries together"),
    ("sample/truncated_share", "share", "turns that were cut by `player.max_tokens`"),
    ("tokens/sampled", "tokens", "ids the policy sampled in this step"),
    (
        "tokens/prompt",
        "tokens",
        "prompt ids of this step's last turns: what the episodes grew to, less the last answers",
    ),
    ("tokens/per_s", "tokens/s", "sampled ids over the time of the rollout"),
    ("group/count", "groups", "groups trained on"),
    ("group/lost", "groups", "groups thrown away because more than half of their episodes were invalid"),
    ("group/refused", "groups", "groups the algorithm did not admit"),
    ("group/replaced", "groups", "groups played in the place of lost or refused ones"),
    ("group/zero_variance_share", "share", "groups whose returns are all equal: no signal for a group baseline"),
    ("task/value", "value", "mean value of the step's tasks that were drawn by value, when they were drawn"),
    ("task/valued", "groups", "groups that replaced others and whose task was drawn by value"),
    ("task/damping", "factor", "mean factor on their advantages, as they come again and again"),
    ("task/open", "tasks", "tasks that were played and have a value above 0"),
    ("rows/count", "rows", "segments of the admitted groups"),
    ("rows/zero", "rows", "segments whose advantages are all zero: counted in every mean, never computed"),
    ("async/queue", "episodes", "those of later steps that are over and wait when a step begins to learn"),
    ("async/staleness_mean", "updates", "mean over tokens: updates between the weights that drew and those that learn"),
    ("async/staleness_max", "updates", "the largest of these; never above `sampling.staleness`"),
    ("async/mixed_share", "share", "episodes whose turns were drawn from more than one version"),
    ("async/dropped", "episodes", "those begun anew because weights changed under them (`sampling.partial`)"),
    ("async/wasted_tokens", "tokens", "ids that were sampled in these for nothing"),
    ("policy/drift_nats", "nats", "mean |trainer - sampler| log-probability over all rows of the probe, old ones too"),
    ("policy/rows_ess", "share", "effective sample size of the probe's rows, over their number: 1 where none is old"),
    ("policy/entropy_nats", "nats", "mean entropy at sampled positions, before the update (of the probe's rows)"),
    ("policy/mismatch_mean_nats", "nats", "mean |trainer - sampler| log-probability before the update (probe)"),
    ("policy/mismatch_max_nats", "nats", "largest |trainer - sampler| log-probability before the update (probe)"),
    ("policy/ratio_mean", "ratio", "mean importance ratio of the updates"),
    ("policy/clip_frac", "share", "sampled positions where the clip took the gradient"),
    ("policy/truncated_share", "share", "sampled positions whose weight, policy to sampler, was truncated"),
    (
        "correction/ratio_mean",
        "ratio",
        "mean of trainer to sampler at sampled positions, before the step's first update",
    ),
    ("correction/truncated_share", "share", "sampled positions whose weight, trainer to sampler, was truncated"),
    ("correction/masked_share", "share", "sampled positions left out because trainer and sampler disagree"),
    ("policy/ess", "share", "effective sample size over the number of episodes of an update"),
    ("policy/entropy_threshold_nats", "nats", "entropy from which a token is learned from"),
    ("policy/kl_behaviour_nats", "nats", "k3 estimate of KL(sampler || policy) during the updates"),
    ("policy/kl_reference_nats", "nats", "k3 estimate of KL(policy || reference)"),
    ("learner/grad_norm", "norm", "mean norm of the policy's gradient, before the clip"),
    ("learner/critic_grad_norm", "norm", "mean norm of the critic's gradient, before the clip"),
    ("learner/lr", "rate", "learning rate of the policy"),
    ("learner/skipped", "updates", "optimizer steps that were skipped because the gradient was not finite"),
    ("loss/policy", "loss", "the algorithm's loss, without the critic's"),
    ("shown/episodes", "episodes", "the expert's episodes that were learned from beside the policy's own"),
    ("otr/match_share", "share", "tokens drawn in the place of those imitated that are those"),
    ("remix/old_share", "share", "groups of earlier steps that were learned from once more"),
    ("remix/lambda", "share", "of the KL, what is to the base; the rest is to the policy the step began with"),
    ("loss/imitation", "loss", "mean negative log-probability of the tokens that are imitated, before its weight"),
    ("loss/contrast", "loss", "the loss of pairs of a solved and a failed episode, before its weight"),
    ("loss/value", "loss", "the critic's loss, before its weight"),
    ("critic/value_mean", "reward", "mean value of the sampled positions during the updates"),
    ("critic/target_mean", "reward", "mean of the returns that the critic learns to foretell"),
    ("critic/error_rms", "reward", "root mean square of value - target"),
    ("time/step_s", "s", "wall time of the step"),
    ("time/rollout_s", "s", "wall time of collecting, from the first episode of the step to its last"),
    ("time/wait_s", "s", "wall time that the learner waited for play"),
    ("time/update_s", "s", "wall time of rows, probe and updates"),
    ("sync/parity_max_nats", "nats", "largest difference of a server's log-probability from the trainer's, on probes"),
    ("sync/time_s", "s", "until every server that is up sampled from the new weights, and was seen to"),
    ("engine/asked_again", "answers", "answers that were asked for once more: a server died, or dropped them"),
    ("engine/full", "answers", "times a server's queue had no room"),
    ("engine/servers_lost", "servers", "servers that died or were started anew by others"),
    ("time/load_s", "s", "wall time of handing the weights to the engine"),
    ("time/total_s", "s", "wall time of the run, over every resume"),
    ("time/memory_s", "s", "wall time of crediting notes and learning lessons"),
    ("time/skills_s", "s", "wall time of learning skills from failures"),
    ("memory/entries", "entries", "entries of the library after the step"),
    ("memory/open", "0 or 1", "whether the next step is played with notes"),
    ("memory/threshold", "reward", "return above which an episode taught strategies"),
    ("memory/offered", "lessons", "lessons the distiller drew from the step"),
    ("memory/admitted", "entries", "lessons that became entries"),
    ("memory/known", "lessons", "lessons that were entries already"),
    ("memory/merged", "lessons", "lessons whose advice an entry gives already"),
    ("memory/refused", "lessons", "lessons beyond the rate, or no better than the lowest entry of a full level"),
    ("memory/retired", "entries", "entries that a better one took the place of"),
    ("memory/forgotten", "entries", "entries that were retired as harmful or unused"),
    ("memory/failed", "0 or 1", "whether a step taught nothing because a model or the database did not answer"),
    ("recall/turns_share", "share", "turns played with notes"),
    ("recall/notes", "notes", "mean notes a turn that were found for it"),
    ("recall/note_tokens", "tokens", "mean length of the notes put into a turn's prompt, headings included"),
    ("recall/skills", "skills", "mean skills in a turn's prompt"),
    ("recall/skill_tokens", "tokens", "mean length of the skills put into an episode's prompt"),
    (
        "recall/read_tokens",
        "tokens",
        "mean prompt ids a turn beyond those it shares with the turn before: what is read",
    ),
    ("recall/known_share", "share", "questions to the library that had been asked since it last changed"),
    ("recall/search_s", "s", "time of the library's searches, which overlap"),
    ("recall/failed", "searches", "searches that the database did not answer"),
    ("recall/success_with", "share", "episodes with notes in some turn that solved their task"),
    ("recall/success_without", "share", "episodes without any note that solved their task"),
    ("skills/generation", "evolutions", "evolutions so far in which failures taught skills"),
    ("skills/support", "episodes", "episodes of admitted groups that did not train, as they had taught or were older"),
    ("skills/read", "episodes", "failed episodes that the evolver read"),
    ("skills/offered", "skills", "skills that the evolver wrote"),
    ("skills/added", "skills", "those that came into use"),
    ("skills/known", "skills", "those whose name was taken"),
    ("skills/refused", "skills", "those that memory could not keep"),
    ("skills/failed", "0 or 1", "whether the model or the database did not answer"),
    ("serving/sessions", "sessions", "sessions of the update's batch"),
    ("serving/turns", "turns", "turns of the batch that were learned from"),
    ("serving/lag", "versions", "mean optimizer steps between the weights that answered and those that learn from it"),
    ("serving/pauses", "pauses", "times that an update gave way to a request, since the server began"),
    ("serving/flushed", "sessions", "rated sessions that may not train any more, since the server began"),
    ("sft/loss", "nats", "negative log-likelihood of a demonstration's ids in the last epoch"),
    ("sft/accuracy", "share", "ids of a demonstration that were the likeliest ones in the last epoch"),
    ("sft/demonstrations", "episodes", "demonstrations that were learned from"),
):
    declare(_name, _unit, _meaning)
for _name, _unit, _meaning in (
    ("success", "share", "held-out episodes that solved their task"),
    ("success_low", "share", "lower end of the Wilson 95 % interval"),
    ("success_high", "share", "upper end of the Wilson 95 % interval"),
    ("reward", "reward", "mean raw return on held-out tasks"),
    ("turns", "turns", "mean turns on held-out tasks"),
    ("episodes", "episodes", "valid held-out episodes"),
    ("action/refused_share", "share", "held-out turns whose action was not accepted or could not be parsed"),
    ("action/repeated_share", "share", "held-out turns whose action was taken before while the same was shown"),
    ("tag/*", "share", "held-out turns with this tag of reasoning"),
    ("success_of/*", "share", "held-out episodes of this type that solved their task"),
    ("kernel/correct", "share", "held-out attempts at a kernel that are correct and no decoys"),
    ("kernel/coverage", "share", "mean share of the time of correct held-out attempts that their kernels take"),
    ("kernel/lazy", "share", "correct held-out attempts whose kernels take less than 30 % of their time"),
    ("kernel/best_speedup", "ratio", "mean speed-up of a held-out episode's best attempt, 0 where none is correct"),
    ("fast/*", "share", "fast_p: held-out episodes whose best attempt is correct and more than p times as fast"),
    ("fast_last/*", "share", "the same of a held-out episode's last attempt"),
    ("summary/episode_share", "share", "held-out episodes in which the policy summed up"),
    ("summary/count", "summaries", "mean summaries of a held-out episode"),
    ("summary/success", "share", "held-out episodes with a summary that solved their task"),
    ("summary/working_tokens", "tokens", "mean of the longest prompt with its answer that a held-out episode held"),
    ("summary/effective_tokens", "tokens", "mean length of a held-out episode's stretches together"),
    ("time_s", "s", "wall time of the evaluation"),
):
    declare(f"eval/{_name}", _unit, _meaning)
    declare(f"untrained/{_name}", _unit, f"{_meaning}; before SFT, in the row of step 0")
for _reason in StopReason:
    declare(f"episode/stop/{_reason.value}", "share", f"episodes that stopped with `{_reason.value}`")


class MetricsLog:
    """`metrics.jsonl`: one JSON object a step, appended and flushed; a step is in it at most once."""

    def __init__(self, path: Path, *, last_step: int | None = None) -> None:
        """Open for appending; `last_step` is the last step to keep, None keeps all. Later rows and a torn line go."""
        self.path = path
        if path.exists():
            kept = [row for row in read(path) if last_step is None or row["step"] <= last_step]
            whole = "".join(json.dumps(row) + "\n" for row in kept)
            if whole != path.read_text():
                partial = path.with_suffix(".partial")
                partial.write_text(whole)
                os.replace(partial, path)
        self._file = path.open("a")

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one step; a value that is not finite is written as null."""
        row: dict[str, float | None] = {"step": step}
        for name, value in metrics.items():
            if name not in TABLE and f"{name.rpartition('/')[0]}/*" not in TABLE:
                warnings.warn(f"metric '{name}' is not declared in trainers/metrics.py", UndeclaredMetric, stacklevel=2)
            row[name] = round(float(value), 9) if math.isfinite(value) else None
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Safe to call twice."""
        self._file.close()


def read(path: Path) -> Iterator[dict[str, float]]:
    """Rows of a `metrics.jsonl`, nulls left out; a torn last line is passed over."""
    with path.open() as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the process was killed while it wrote this line
            yield {name: value for name, value in row.items() if value is not None}


def metrics_markdown() -> str:
    """The table as a page."""
    importlib.import_module("trainers.alarms")  # declares its flags
    lines = ["# Metrics", "", "Every number a run logs in `metrics.jsonl` and in its TensorBoard files.", ""]
    lines += ["| name | unit | what |", "|---|---|---|"]
    lines += [f"| `{m.name}` | {m.unit} | {m.meaning} |" for m in sorted(TABLE.values())]
    return "\n".join(lines)

"""What a step learns from its groups: advantages, rows, minibatches, updates, and a look at the policy before them.

Rule: trainer and sampler are compared on the very rows that are learned from, before the first update of the step;
there any difference is an error of the machinery, and not yet of the policy. What older weights drew is left out of
that: there the policy differs too, and by how much is a number of its own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.algorithms.base import Algorithm, Group, Metrics
from trainers.batch import Batch, Row, collate
from trainers.learner import Learner
from trainers.parts import Parts
from trainers.rows import credited, is_zero, minibatches, packed, rows
from trainers.shown import shown_rows

__all__ = ["learn", "learn_rows"]


def learn(parts: Parts, groups: Sequence[Group]) -> tuple[list[list[list[float]]], Metrics]:
    """[N][G][T] advantages as they were learned from, and what the updates report.

    Runs in a thread; where play runs ahead, the sampler has weights of its own.
    """
    algorithm, new = parts.algorithm, len(groups)
    old = algorithm.again(groups)
    groups = [*groups, *(old if parts.skills is None else parts.skills.data.query(old))]
    advantages = algorithm.advantages(groups)
    found = [*rows(groups, advantages), *shown_rows(groups)]
    flat, metrics = learn_rows(
        algorithm,
        parts.learner,
        found,
        micro_tokens=parts.learner.config.micro_tokens,
        rng=parts.rng("learn"),
        probed=[row for row in found if row.group < new and not row.shown],
    )
    return (credited(groups, flat) if algorithm.raw_credit else advantages)[:new], metrics


def learn_rows(
    algorithm: Algorithm,
    learner: Learner,
    found: Sequence[Row],
    *,
    micro_tokens: int,
    rng: random.Random,
    probed: Sequence[Row] | None = None,
) -> tuple[list[Batch], Metrics]:
    """The batches of these rows as `prepare` gave them, and what the probe and the updates report.

    `probed` are those that the policy as it is has sampled; none: all.
    """
    metrics: Metrics = {"rows/count": len(found), "rows/zero": sum(is_zero([row]) for row in found)}
    metrics |= probe(learner, found if probed is None else probed, micro_tokens, rng)
    cut = minibatches(
        found,
        algorithm,
        count=algorithm.config.minibatches,
        micro_tokens=micro_tokens,
        rng=rng,
        processes=learner.processes,
        beside=learner.config.packing and learner.critic is None and algorithm.teacher is None,
    )
    flat = algorithm.prepare(learner, [batch for part in cut for batch in part]) if cut else []
    if algorithm.config.correction is not None:
        flat = algorithm.remembered(learner, flat)
    prepared = iter(flat)
    cut = [[next(prepared) for _ in part] for part in cut]
    updates: list[Metrics] = []
    for _ in range(algorithm.passes):
        rng.shuffle(cut)
        updates += [algorithm.update(learner, part) for part in cut]
    for name in {name for update in updates for name in update}:
        values = [update[name] for update in updates if name in update]
        # What the probe measured before the updates stands.
        metrics.setdefault(name, sum(values) / (1 if name == "learner/skipped" else len(values)))
    return flat, metrics


def probe(learner: Learner, found: Sequence[Row], micro_tokens: int, rng: random.Random) -> Metrics:
    """Entropy, and how far trainer and sampler disagree, on one batch of random rows before anything is updated.

    Ours: the effective sample size of the rows, by their weights policy to sampler.
    """
    if not found:
        return {}
    chosen = rng.choice(packed([[row] for row in found], micro_tokens, processes=learner.processes))
    batch = collate(chosen)
    with torch.no_grad():
        forward = learner.forward(batch, frozenset({"entropy"}))
    assert forward.entropy_BL is not None
    gap_BL = (forward.logp_BL - batch.behaviour_BL).masked_fill(~batch.mask_BL, 0.0)
    metrics = {
        "policy/entropy_nats": float(forward.entropy_BL[batch.mask_BL].mean()),
        "policy/drift_nats": float(gap_BL[batch.mask_BL].abs().mean()),
        "policy/rows_ess": float(torch.softmax(gap_BL.sum(1).double(), 0).square().sum().reciprocal()) / len(chosen),
    }
    gap = gap_BL[batch.mask_BL & drawn_now(chosen, batch, learner.version)].abs()
    if len(gap):
        metrics |= {"policy/mismatch_mean_nats": float(gap.mean()), "policy/mismatch_max_nats": float(gap.max())}
    return metrics


def drawn_now(rows: Sequence[Row], batch: Batch, version: int) -> Tensor:
    """(B, L) bool: where an id was drawn from the weights of this version; everywhere in a row of unknown versions."""
    now_BL = torch.ones_like(batch.mask_BL)
    for b, row in enumerate(rows):
        old = [turn for turn, drew in enumerate(row.versions) if drew != version]
        now_BL[b] = ~torch.isin(batch.turn_BL[b], torch.tensor(old, dtype=torch.int64))
    return now_BL

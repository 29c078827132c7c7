"""What a step learns from its groups: advantages, rows, minibatches, updates, and a look at the policy before them.

Rule: trainer and sampler are compared on the very rows that are learned from, before the first update of the step;
there any difference is an error of the machinery, and not yet of the policy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from trainers.algorithms.base import Algorithm, Group, Metrics
from trainers.batch import Batch, Row, collate
from trainers.learner import Learner
from trainers.parts import Parts
from trainers.rows import credited, is_zero, minibatches, packed, rows
from trainers.shown import shown_rows

__all__ = ["learn", "learn_rows"]


def learn(parts: Parts, groups: Sequence[Group]) -> tuple[list[list[list[float]]], Metrics]:
    """[N][G][T] advantages as they were learned from, and what the updates report.

    Runs in a thread; nobody samples meanwhile.
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
        micro_tokens=parts.config.learner.micro_tokens,
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
    cut = minibatches(found, algorithm, count=algorithm.config.minibatches, micro_tokens=micro_tokens, rng=rng)
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
    """Entropy, and how far trainer and sampler disagree, on one batch of random rows before anything is updated."""
    if not found:
        return {}
    batch = collate(rng.choice(packed([[row] for row in found], micro_tokens)))
    with torch.no_grad():
        forward = learner.forward(batch, frozenset({"entropy"}))
    assert forward.entropy_BL is not None
    gap = (forward.logp_BL - batch.behaviour_BL).abs()[batch.mask_BL]
    return {
        "policy/entropy_nats": float(forward.entropy_BL[batch.mask_BL].mean()),
        "policy/mismatch_mean_nats": float(gap.mean()),
        "policy/mismatch_max_nats": float(gap.max()),
    }

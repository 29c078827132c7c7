"""Supervised fine-tuning: the negative log-likelihood of what an expert said, at the positions it said it.

Demonstrations are episodes like any other, so SFT and RL share segments, batches and learner. A turn that the world did
not accept is read and not imitated. What a summary dropped is in no segment of RL; the expert's answer there is
imitated all the same, in a row of its own, for a policy must answer there before it is asked to sum up. The rate rises
over the first twentieth of the steps and falls to a tenth along a cosine; that is ours.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import replace

from agents.conduct import accepted, shown
from agents.types import Episode
from trainers.algorithms.base import Metrics
from trainers.batch import Batch, Row, collate
from trainers.config import SftConfig
from trainers.display import Display
from trainers.learner import Learner
from trainers.rows import packed
from trainers.segments import Segment, segments
from trainers.unbroken import unbroken

__all__ = ["lessons", "sft", "sft_batches"]


async def sft(
    learner: Learner, episodes: Sequence[Episode], config: SftConfig, *, seed: int, display: Display
) -> Metrics:
    """Learn from episodes that carry token ids; then the learner is rebased, so RL's reference is what was learned.

    Returns loss (nats a token) and token accuracy of the last epoch, and prints each epoch's. Raises ValueError where
    no episode holds a token to learn from.
    """
    units = [unit for number, episode in enumerate(episodes) if (unit := lessons(number, episode))]
    if not units:
        raise ValueError("there is nothing to learn from: no demonstration carries token ids; play them with a chat")
    rng = random.Random(f"{seed}/sft")
    steps = config.epochs * math.ceil(len(units) / config.batch_episodes)
    metrics: Metrics = {}
    micro_tokens = learner.config.micro_tokens
    with display.bar("learning from demonstrations", steps) as bar:
        done = 0
        for epoch in range(config.epochs):
            seen = loss = hits = 0.0
            for batches in sft_batches(units, config.batch_episodes, micro_tokens, rng, processes=learner.processes):
                rate = (config.lr or learner.config.lr) * _share(done, steps)
                tokens = sum(batch.sampled_tokens for batch in batches)
                nats, right = await unbroken(asyncio.to_thread(_learn, learner, batches, rate))
                seen, loss, hits, done = seen + tokens, loss + nats, hits + right, done + 1
                bar.advance()
            metrics = {"sft/loss": loss / seen, "sft/accuracy": hits / seen, "sft/demonstrations": len(units)}
            display.say(f"sft epoch {epoch + 1}: loss {loss / seen:.4f} nats a token, accuracy {hits / seen:.3f}")
    learner.rebase()
    return metrics


def sft_batches(
    units: Sequence[list[Row]], batch_episodes: int, micro_tokens: int, rng: random.Random, *, processes: int = 1
) -> list[list[Batch]]:
    """One epoch: shuffled episodes, `batch_episodes` an optimizer step, each step in Batches of `micro_tokens` for each
    of the `processes` that read it.

    `scale` is a Batch's share of its step's tokens.
    """
    order = list(units)
    rng.shuffle(order)
    steps = []
    for start in range(0, len(order), batch_episodes):
        lone = [[row] for unit in order[start : start + batch_episodes] for row in unit]
        batches = [collate(run) for run in packed(lone, micro_tokens, processes=processes)]
        tokens = sum(batch.sampled_tokens for batch in batches)
        steps.append([replace(batch, scale=batch.sampled_tokens / tokens) for batch in batches])
    return steps


def lessons(number: int, episode: Episode) -> list[Row]:
    """The rows of a demonstration; what the world did not accept is shown in them, and not sampled."""
    if not all(turn.move.sample.ids for turn in episode.turns):
        return []
    right = [
        turn.prompt.kind == "summary" or accepted(turn, before)
        for turn, before in zip(episode.turns, shown(episode), strict=True)
    ]
    found = [_imitated(segment, right) for segment in segments(episode, [1.0] * len(right))]
    for index, after in enumerate(episode.turns[1:]):
        if after.prompt.drops_last:
            [alone] = segments(replace(episode, turns=[episode.turns[index]]), [1.0])
            found.append(_imitated(alone, right[index : index + 1]))
    return [Row(segment, episode=number, group=number, ret=1.0) for segment in found if any(segment.mask)]


def _imitated(segment: Segment, right: Sequence[bool]) -> Segment:
    """The segment in which the answers of turns that are not right were shown, and not sampled."""
    turns = [turn if turn >= 0 and right[turn] else -1 for turn in segment.turns]
    mask = [turn >= 0 for turn in turns]
    return replace(segment, mask=mask, advantages=[float(learned) for learned in mask], turns=turns)


def _learn(learner: Learner, batches: Sequence[Batch], rate: float) -> tuple[float, float]:
    """One optimizer step; the summed loss and how many ids were the likeliest, before it."""
    nats = hits = 0.0
    for batch in batches:
        forward = learner.forward(batch, frozenset({"greedy"}))
        loss = -forward.logp_BL.sum() / batch.sampled_tokens
        learner.backward(loss * batch.scale)
        assert forward.greedy_BL is not None
        nats += float(loss.detach()) * batch.sampled_tokens
        hits += int(forward.greedy_BL.sum())
    learner.step(lr=rate)
    return nats, hits


def _share(step: int, steps: int) -> float:
    """Share of the peak rate at a step."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

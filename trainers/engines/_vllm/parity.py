"""Whether trainer and server mean the same distribution: both are asked for the log-probabilities of drawn ids.

A server draws short answers to probes, at two temperatures; the trainer reads the same ids. They differ where weights
did not arrive (all, or some: a tied head), where a cache of older weights was kept, where the server serves another
model, and where it answers with log-probabilities of another distribution than it draws from.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trainers.batch import token_logprobs
from trainers.engines._vllm.wire import Answer
from trainers.models import causal_lm, weights_lock

__all__ = ["TOKENS", "Probe", "probes", "widest_gap"]

TOKENS = 8
"""Ids drawn for a probe."""
TEMPERATURES = (1.0, 0.5)
RANDOM, RECENT = 2, 4
"""Probes of random ids, and of what was played last."""
RANDOM_TOKENS, RECENT_TOKENS = 48, 2048
"""Ids of a random prompt, and at most of one that was played: the trainer reads it in one piece."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A prompt to draw an answer to."""

    prompt: list[int]
    temperature: float


def probes(recent: Sequence[Sequence[int]], vocabulary: int, context_tokens: int) -> list[list[Probe]]:
    """Random prompts, always the same, and the last ones that were played: one wave of them at each temperature.

    One wave after the other, so that the second is drawn from what the first left in the cache.
    """
    rng = random.Random(0)
    room = context_tokens - TOKENS
    length = max(1, min(RANDOM_TOKENS, room))
    prompts = [[rng.randrange(vocabulary) for _ in range(length)] for _ in range(RANDOM)]
    prompts += [list(prompt) for prompt in recent[-RECENT:] if len(prompt) <= min(room, RECENT_TOKENS)]
    return [[Probe(prompt, temperature) for prompt in prompts] for temperature in TEMPERATURES]


@torch.no_grad()
def widest_gap(
    model: nn.Module, weights: Mapping[str, Tensor], asked: Sequence[Probe], answers: Sequence[Answer]
) -> float:
    """The largest |trainer - server| in nats over all drawn ids, under `weights`.

    Others than the model's own are put into a copy of it: a learner may be reading the model.
    """
    policy = causal_lm(model)
    own = {id(parameter): name for name, parameter in policy.named_parameters()}
    swapped = {
        inner: weights[name]
        for name, parameter in model.named_parameters()
        if name in weights and (inner := own.get(id(parameter))) and weights[name].data_ptr() != parameter.data_ptr()
    }
    if swapped:
        with weights_lock(model):
            policy = copy.deepcopy(policy)
    device = next(policy.parameters()).device
    widest = 0.0
    for probe, answer in zip(asked, answers, strict=True):
        ids_1L = torch.tensor([[*probe.prompt, *answer.ids]], device=device)
        with weights_lock(model):
            logits_1LV = functional_call(policy, swapped, (), {"input_ids": ids_1L, "use_cache": False}).logits
        logp_A = token_logprobs(logits_1LV.float() / probe.temperature, ids_1L)[0, len(probe.prompt) :]
        gap_A = logp_A - torch.tensor(answer.logprobs, device=device)
        widest = max(widest, float(gap_A.abs().max()) if bool(torch.isfinite(gap_A).all()) else float("inf"))
    return widest

"""Groups and batches from plain numbers, for tests whose results are worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, StepResult, Task
from trainers.algorithms.base import Algorithm, Forward, Group
from trainers.batch import Batch, Row, collate
from trainers.segments import Segment
from trainers.tasks import TaskPool

TASK = Task(env="keydoor", key="doors-3/train/0000")


def algorithm(kind: type[Algorithm], **settings: Any) -> Any:
    """The algorithm with these settings, over a pool of one task."""
    return kind(kind.Config(**settings), TaskPool("keydoor", [TASK.key]))


def episode(
    rewards: Sequence[float], *, tokens: int = 1, stop: StopReason = StopReason.DONE, solved: bool | None = None
) -> Episode:
    """An episode of one turn a reward, of `tokens` sampled ids each; every prompt continues the turn before. `solved`
    is what the last result says."""
    turns: list[Turn] = []
    ids: list[int] = []
    for number, reward in enumerate(rewards, 1):
        prompt_ids = [*ids, 1]
        sample = Sample(ids=[2] * tokens, logprobs=[-1.0] * tokens, stop="stop", temperature=1.0, version=0)
        ids = prompt_ids + sample.ids
        ended = {"success": solved, "terminated": True} if solved is not None and number == len(rewards) else {}
        result = StepResult(observation=Observation(text="."), reward=reward, **ended)
        turns.append(Turn(Prompt([]), Move(prompt_ids, sample, "go"), Reply(Action(text="go")), result))
    return Episode(TASK, turns, stop)


def group(*returns: float) -> Group:
    """A group of episodes of one turn with these returns."""
    return group_of(*(episode([value]) for value in returns))


def group_of(*episodes: Episode) -> Group:
    """A group of these episodes, rewards unshaped."""
    return Group(TASK, list(episodes), [episode.rewards for episode in episodes])


def row(
    advantages: Sequence[float | None],
    *,
    episode: int = 0,
    behaviour: float = -1.0,
    turns: Sequence[int] | None = None,
    group: int = 0,
    ret: float = 0.0,
) -> Row:
    """A row with one id an entry; None stands for an id that was shown. All sampled ids are of turn 0 unless told."""
    mask = [value is not None for value in advantages]
    found = Segment(
        ids=list(range(3, 3 + len(mask))),
        mask=mask,
        logprobs=[behaviour if sampled else 0.0 for sampled in mask],
        advantages=[value or 0.0 for value in advantages],
        turns=list(turns) if turns else [0 if sampled else -1 for sampled in mask],
    )
    return Row(found, episode, group=group, ret=ret)


def batch(*rows: Row, scale: float = 1.0) -> Batch:
    """These rows, padded."""
    return collate(rows, scale=scale)


def policy(batch: Batch, log_ratios: Sequence[Sequence[float]]) -> Tensor:
    """(B, L) leaf: the log-probabilities that have these log-ratios to the ones sampled from, 0 beyond each list."""
    out = batch.behaviour_BL.clone()
    for b, values in enumerate(log_ratios):
        out[b, : len(values)] += torch.tensor(values)
    return out.requires_grad_()


def distribution(logp_S: Tensor, ids_S: Tensor, vocab: int = 16) -> Tensor:
    """(S, V): the distributions in which these ids have these log-probabilities and all others share the rest."""
    rest_S = torch.log1p(-logp_S.clamp(max=-1e-3).exp()) - math.log(vocab - 1)
    return rest_S[:, None].expand(-1, vocab).scatter(1, ids_S[:, None], logp_S[:, None])


def gradient(algorithm: Algorithm, batch: Batch, logp_BL: Tensor, **more: Tensor) -> Tensor:
    """(B, L): the derivative of the loss by each log-probability."""
    loss, _ = algorithm.loss(Forward(logp_BL, **more), batch)
    return torch.autograd.grad(loss, logp_BL)[0]

"""The plan of a run: its model loaded or made, measured, and put to what the run asks for."""

from __future__ import annotations

from torch import nn

from trainers.algorithms.base import Algorithm
from trainers.config import RunConfig
from trainers.costs import measured
from trainers.models import add_lora, context_tokens, load_model, untrained
from trainers.plan import Plan, Setting, machine_bytes
from trainers.plugged import BadConfig, build
from trainers.tasks import TaskPool

__all__ = ["planned"]

GIB = 2**30


def planned(config: RunConfig, *, context: int | None, memory_gib: float | None, processes: int) -> Plan:
    """Measure the run's model on its device, which takes seconds for a small one. Raises BadConfig, ValueError."""
    algorithm: Algorithm = build("trainers.algorithms", "Algorithm", config.algorithm, TaskPool("-", ["-"], seed=0))
    model = _model(config)
    longest = context_tokens(model)
    allowed = min(config.engine.context_tokens or longest, longest)
    if context is not None and context > longest:
        raise BadConfig(f"an episode of {context} tokens does not fit the {longest} positions of this model")
    device = config.model.device
    # Processes on the CPU have one memory between them; each GPU has its own.
    memory = memory_gib * GIB if memory_gib else machine_bytes(device) / (processes if device == "cpu" else 1)
    setting = Setting.of(
        config,
        memory_bytes=memory,
        processes=processes,
        context=context or allowed,
        longest=longest,
        reference="reference" in algorithm.keeps,
        critic=algorithm.needs_critic,
        passes=algorithm.passes,
        minibatches=algorithm.config.minibatches,
        teacher_bytes=_teacher_bytes(algorithm),
    )
    share = setting.sampled_tokens / setting.context
    costs = measured(config, model, critic=setting.critic, reference=setting.reference, share=share)
    return Plan(costs, setting)


def _teacher_bytes(algorithm: Algorithm) -> int:
    if algorithm.teacher is None:
        return 0
    path, dtype = algorithm.teacher
    return sum(p.nbytes for p in load_model(path, dtype=dtype)[0].parameters())


def _model(config: RunConfig) -> nn.Module:
    if config.model.path is not None:
        return load_model(config.model)[0]
    import torch

    made: nn.Module = untrained(config.model.scratch, config.model.scratch.vocab, config.seed)
    if config.model.lora is not None:
        made = add_lora(made, config.model.lora)
    return made.to(config.model.device, getattr(torch, config.model.dtype)).eval()

"""A learner on many processes: `torchrun --nproc-per-node N -m trainers train FILE`.

The first process plays, keeps the books and computes the losses; each of them has a share of the weights and moments
(`shards`) and reads a share of a batch's rows. What travels between them beside FSDP's own traffic is rows, and what is
known of each of their tokens: so an algorithm sees whole batches and does not know of it.

The others (`serve`) make the same calls on the same learner in the same order: a call is told before it is made. They
pay no heed to SIGINT and SIGTERM, so that the first one can still write a checkpoint, and end when it does.
"""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainers import channel, checkpoint
from trainers.algorithms.base import Forward, Metrics
from trainers.batch import Batch, Row, collate
from trainers.channel import Channel
from trainers.config import LearnerConfig
from trainers.learner import Learner
from trainers.models import causal_lm
from trainers.segments import Segment

__all__ = ["Crew", "learner_for", "serve"]


_LEARN = ("logp_BL", "entropy_BL", "value_BL")
"""What of a forward pass has a gradient."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the others need to build the same learner, without a value in it."""

    model: PretrainedConfig
    dtype: torch.dtype
    adapters: Any
    """peft's config; None where all weights learn."""
    learns: frozenset[str]
    """Names of the parameters that do."""
    config: LearnerConfig
    reference: bool
    critic: bool

    @staticmethod
    def of(model: nn.Module, config: LearnerConfig, *, reference: bool, critic: bool) -> _Plan:
        inner: Any = causal_lm(model)
        return _Plan(
            model=inner.config,
            dtype=next(inner.parameters()).dtype,
            adapters=model.peft_config["default"] if hasattr(model, "peft_config") else None,  # type: ignore[index]
            learns=frozenset(name for name, p in model.named_parameters() if p.requires_grad),
            config=config,
            reference=reference,
            critic=critic,
        )

    def hollow(self) -> nn.Module:
        """The model without its values."""
        with torch.device("meta"):
            kind: Any = AutoModelForCausalLM
            model: nn.Module = kind.from_config(self.model, dtype=self.dtype)
            if self.adapters is not None:
                import peft

                model = peft.get_peft_model(model, self.adapters)
        for name, p in model.named_parameters():
            p.requires_grad_(name in self.learns)
        return model


class _Hand(Learner):
    """The learner of one process among many."""

    def __init__(self, model: nn.Module, plan: _Plan, line: Channel, tokenizer: Any = None) -> None:
        self._line = line
        self._graphs: list[Forward | None] = []
        """What was read with gradients since the last step, until it is gone back through."""
        super().__init__(
            model,
            plan.config,
            device=line.device,
            reference=plan.reference,
            critic=plan.critic,
            tokenizer=tokenizer,
            mesh=line.mesh,
        )

    def read(self, needs: frozenset[str], grad: bool, parts: Sequence[Batch | None] | None = None) -> list[Forward]:
        """What the processes say of their rows; one without rows reads a token, for all have to read."""
        part = self._line.dealt(parts)
        with torch.set_grad_enabled(grad):
            found = Learner.forward(self, _IDLE if part is None else part, needs)
        if grad:
            self._graphs.append(found)
        return self._line.collected(_each(found, Tensor.detach))

    def go_back(self, number: int, names: Sequence[str], parts: Sequence[list[Tensor]] | None = None) -> None:
        """Back through what was read as the `number`th, with the loss's slopes at its values of these names."""
        slopes = self._line.dealt(parts)
        found = self._graphs[number]
        assert found is not None, "many processes go back through a forward pass once"
        self._graphs[number] = None
        ends = [getattr(found, name) for name in names]
        given = [slope[:, : end.shape[1]] for slope, end in zip(slopes, ends, strict=False)]
        torch.autograd.backward(ends, given or [torch.zeros_like(end) for end in ends])

    def step(self, lr_scale: float = 1.0, *, lr: float | None = None) -> Metrics:
        self._graphs.clear()
        return super().step(lr_scale, lr=lr)

    def part(self) -> None:
        """The end: everybody is done with everything."""
        self._line.collected(None)


class Crew(_Hand):
    """The learner as the first process sees it."""

    def __init__(
        self,
        model: nn.Module,
        config: LearnerConfig,
        *,
        device: str | torch.device = "cpu",
        reference: bool = False,
        critic: bool = False,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        """`model` stays whole, for a sampler in this process; the others are told what to build."""
        self._open: list[tuple[Forward, list[Tensor]]] = []
        """What was read with gradients since the last step, and the rows that each process had of it."""
        self._turn = threading.RLock()
        self._parted = False
        self._told = False
        line = Channel(str(device))
        plan = line.said(_Plan.of(model, config, reference=reference, critic=critic))
        super().__init__(copy.deepcopy(model), plan, line, tokenizer)
        self._told = True

    @property
    def processes(self) -> int:
        return channel.size()

    def forward(self, batch: Batch, needs: frozenset[str] = frozenset()) -> Forward:
        self._refuse(batch, needs)
        order_B = batch.real_BL.sum(1).argsort(descending=True, stable=True).cpu()
        rows = [order_B[number :: channel.size()] for number in range(channel.size())]
        parts = [_part(batch, own_B) if len(own_B) else None for own_B in rows]
        grad = torch.is_grad_enabled()
        with self._turn:
            found = _assembled(self._all("read", needs, grad, only_here=(parts,)), rows, batch)
            if grad:
                for name in _LEARN:
                    if (value := getattr(found, name)) is not None:
                        value.requires_grad_()
                self._open.append((found, rows))
        return found

    def backward(self, loss: Tensor) -> None:
        super().backward(loss)
        with self._turn:
            for number, (found, rows) in enumerate(self._open):
                slopes = {name: value.grad for name in _LEARN if (value := getattr(found, name)) is not None}
                slopes = {name: slope for name, slope in slopes.items() if slope is not None}
                if not slopes:
                    continue
                for name in slopes:
                    getattr(found, name).grad = None
                parts = [[slope[own_B].cpu() for slope in slopes.values()] if len(own_B) else [] for own_B in rows]
                self._all("go_back", number, list(slopes), only_here=(parts,))

    def step(self, lr_scale: float = 1.0, *, lr: float | None = None) -> Metrics:
        with self._turn:
            self._open.clear()
            found: Metrics = self._all("step", lr_scale, lr=lr)
        return found

    def weights(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self._all("weights")
        return found

    def rebase(self) -> None:
        self._all("rebase")

    def save(self, directory: Path) -> None:
        self._all("save", directory.absolute())

    def load(self, directory: Path) -> None:
        checkpoint.check(self, directory)
        self._all("load", directory.absolute())

    def close(self) -> None:
        if not self._parted:
            self._parted = True
            self._all("part")

    def _all(self, name: str, *args: Any, only_here: tuple[Any, ...] = (), **named: Any) -> Any:
        """A call that everybody makes, once the others have been told; what it gives here."""
        with self._turn:
            self._line.settle()
            if self._told:  # before, everybody is still being built
                self._line.said((name, args, named))
            try:
                return getattr(super(), name)(*args, *only_here, **named)
            except BaseException:
                # The others may wait in the midst of the call: to be asked to part would be to wait for them.
                self._parted = True
                raise


def learner_for(
    model: nn.Module,
    config: LearnerConfig,
    *,
    device: str,
    reference: bool,
    critic: bool,
    tokenizer: PreTrainedTokenizerBase,
) -> Learner:
    """A learner of one process, or where torchrun has started more, of all of them."""
    kind = Crew if channel.size() > 1 else Learner
    return kind(model, config, device=device, reference=reference, critic=critic, tokenizer=tokenizer)


def serve() -> None:
    """Be one of the others until the first process ends."""
    line = Channel()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    plan: _Plan = line.said()
    hand = _Hand(plan.hollow(), plan, line)
    name = ""
    while name != "part":
        try:
            name, args, named = line.said()
        except RuntimeError:  # the first process is gone, and has said why
            return
        getattr(hand, name)(*args, **named)


_IDLE = collate([Row(Segment([0, 0], [False, True], [0.0] * 2, [0.0] * 2, [-1, 0]), episode=0, group=0, ret=0.0)])
"""What a process without rows reads; nothing comes of it."""


def _part(batch: Batch, own_B: Tensor) -> Batch:
    """These rows in this order, on the CPU, without the padding that they do not need."""
    length = int(batch.real_BL[own_B].sum(1).max())
    found = {
        one.name: value[own_B][:, :length].cpu() if value.ndim == 2 else value[own_B].cpu()
        for one in fields(Batch)
        if isinstance(value := getattr(batch, one.name), Tensor)
    }
    return replace(batch, **found)  # type: ignore[arg-type]


def _assembled(gathered: Sequence[Forward], rows: Sequence[Tensor], batch: Batch) -> Forward:
    """What all processes said, each of its rows, as if one had said it of the batch."""
    found: dict[str, Tensor | None] = {}
    for one in fields(Forward):
        first = getattr(gathered[0], one.name)
        if first is not None:
            whole_BL = torch.zeros(batch.ids_BL.shape, dtype=first.dtype)
            for part, own_B in zip(gathered, rows, strict=True):
                if len(own_B):
                    values = getattr(part, one.name)
                    whole_BL[own_B, : values.shape[1]] = values
            found[one.name] = whole_BL.to(batch.ids_BL.device)
    return Forward(**found)  # type: ignore[arg-type]


def _each(found: Forward, what: Callable[[Tensor], Tensor | None]) -> Forward:
    """The same of every value that is there."""
    values = {one.name: getattr(found, one.name) for one in fields(Forward)}
    return Forward(**{name: None if value is None else what(value) for name, value in values.items()})  # type: ignore[arg-type]

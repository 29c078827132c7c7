"""A policy as the learner reads it: the trunk's states, the head's logits where an id was sampled, their logarithms.

The head computes in float32 whatever the trunk does: its logits are exponents, and bfloat16 has three digits. One
module holds both, so that whoever shards it has one forward pass to attend to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainers.batch import Read, sampled_logprobs
from trainers.models import blocks, causal_lm, sees_all
from trainers.packing import pack

__all__ = ["Reader", "recomputed"]


class Reader(nn.Module):
    """Log-probabilities of a batch's sampled ids under the policy."""

    def __init__(self, model: nn.Module, *, autocast: bool = False, packing: bool = False) -> None:
        """Raises ValueError where rows of this model cannot be packed exactly."""
        super().__init__()
        if packing and not sees_all(model):
            raise ValueError("learner.packing needs a model whose every layer attends to all that was before")
        self.model = model
        self.packing = packing
        """Whether rows lie side by side in long ones."""
        self.autocast = autocast
        """Whether the trunk computes in bfloat16 with the weights' own precision kept."""
        self.plain_head = self._head_is_plain()
        """Whether the logits are the head's of the trunk's states, with nothing done to them after."""

    def forward(
        self,
        ids_BL: Tensor,
        mask_BL: Tensor,
        temperature_B: Tensor,
        needs: frozenset[str] = frozenset(),
        lengths: Sequence[int] = (),
        weights: Mapping[str, Tensor] | None = None,
    ) -> Read:
        """What the model, some of its `weights` replaced by their names in it, says of the sampled ids.

        `lengths` are those of the rows without padding, for packing.
        """
        replaced = weights or {}
        found = pack(ids_BL, lengths) if self.packing and lengths else None
        with mixed(self.autocast, ids_BL.device.type):
            if found is None:
                states_BLX = self._states(replaced, ids_BL)
            else:
                where = {"position_ids": found.position_RK, "attention_mask": found.mask(self._dtype)}
                states_BLX = found.unpacked(self._states(replaced, found.ids_RK, where))
        head = self._head(replaced) if self.plain_head else nn.Identity()
        return sampled_logprobs(states_BLX, head, ids_BL, mask_BL, temperature_B, needs)

    @property
    def _dtype(self) -> torch.dtype:
        """Of the trunk's arithmetic."""
        return torch.bfloat16 if self.autocast else next(self.model.parameters()).dtype

    def _states(
        self, weights: Mapping[str, Tensor], ids_BL: Tensor, where: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """(B, L, D) hidden states of the trunk, or (B, L, V) logits of a model that does more with them."""
        policy = causal_lm(self.model)
        inner = policy.base_model if self.plain_head else policy
        asked = {"input_ids": ids_BL, "use_cache": False, **(where or {})}
        if weights:
            prefix = _name_of(self.model, inner)
            own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            out: Any = functional_call(inner, own, (), asked)
        else:
            out = inner(**asked)
        found: Tensor = out.last_hidden_state if self.plain_head else out.logits
        return found

    def _head(self, weights: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """The output embedding in float32, maybe with other weights; a tied one is replaced by its input twin."""
        policy: Any = causal_lm(self.model)
        head = policy.get_output_embeddings()
        own = dict(head.named_parameters())
        if weights:
            by_storage = {p.data_ptr(): weights[name] for name, p in self.model.named_parameters() if name in weights}
            own = {name: by_storage.get(p.data_ptr(), p) for name, p in own.items()}
        exact = {name: tensor.float() for name, tensor in own.items()}
        if type(head) is nn.Linear:  # not through the module, whose weights somebody may be sampling from
            return lambda hidden_SD: functional.linear(hidden_SD.float(), exact["weight"], exact.get("bias"))
        return lambda hidden_SD: functional_call(head, exact, (hidden_SD.float(),))

    @torch.no_grad()
    def _head_is_plain(self) -> bool:
        policy: Any = causal_lm(self.model)
        if policy.get_output_embeddings() is None or policy.device.type == "meta":
            return False
        ids_BL = torch.arange(4, device=policy.device)[None]
        hidden_BLD = policy.base_model(input_ids=ids_BL, use_cache=False).last_hidden_state
        logits_BLV = policy(input_ids=ids_BL, use_cache=False).logits
        return torch.allclose(policy.get_output_embeddings()(hidden_BLD), logits_BLV, rtol=1e-3, atol=1e-4)


class _Recomputed:
    """In front of a layer's class: what is inside is not kept, and computed again on the way back."""

    def forward(self, *args: Any, **named: Any) -> Any:
        inner = super().forward  # type: ignore[misc]
        return (
            checkpoint(inner, *args, use_reentrant=False, **named) if torch.is_grad_enabled() else inner(*args, **named)
        )


def recomputed(model: nn.Module) -> None:
    """From now on a pass with gradients keeps what enters each layer, and computes the rest again on its way back.

    A pass without gradients, such as a sampler's over the same module, is what it was. It is the layers' class that
    changes, so that a copy of the model does the same with weights of its own.
    """
    for block in blocks(model):
        kind = type(block)
        if not issubclass(kind, _Recomputed):
            block.__class__ = type(kind.__name__, (_Recomputed, kind), {})


def mixed(autocast: bool, device: str) -> contextlib.AbstractContextManager[Any]:
    """Where asked for, the context in which matrices are multiplied in bfloat16."""
    return torch.autocast(device, torch.bfloat16) if autocast else contextlib.nullcontext()


def _name_of(model: nn.Module, inner: nn.Module) -> str:
    """Prefix of the names of `inner`'s parameters in `model`."""
    name = next(name for name, module in model.named_modules() if module is inner)
    return f"{name}." if name else ""

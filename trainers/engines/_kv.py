"""A key-value cache with preallocated rows, behind the protocol of transformers' Cache.

A token at position p of a row lies in slot p of that row, so a row is continued, cut back or copied without moving
anything else. One slot more than the context is spare: padding writes there and nobody reads it. Nothing is
concatenated while decoding, and attention reads views of the rows, cut to the longest one in use.

Shape suffixes: `R` rows of the cache, `S` slots, `K` key-value heads, `E` width of a head, `B` rows of a forward pass,
`T` its query tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

__all__ = ["Plan", "RowCache"]


@dataclass(slots=True)
class Plan:
    """Which rows and slots one forward pass touches."""

    rows: slice | Tensor
    """(B,) rows of the cache; a slice where they are contiguous, for then attention reads views."""
    index_B1: Tensor
    """int64, the same rows."""
    slot_BT: Tensor
    """int64, where each query token is written; the spare slot for padding."""
    seen: int
    """Attention reads slots [0, seen)."""


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's rows; heads and widths are learned from the first keys."""

    is_croppable = False

    def __init__(self, cache: RowCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cache = cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, slots = self.cache.rows, self.cache.slots + 1
        self.keys = key_states.new_zeros((rows, key_states.shape[1], slots, key_states.shape[3]))
        self.values = value_states.new_zeros((rows, value_states.shape[1], slots, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        plan = self.cache.plan
        self.keys[plan.index_B1, :, plan.slot_BT] = key_states.transpose(1, 2)
        self.values[plan.index_B1, :, plan.slot_BT] = value_states.transpose(1, 2)
        return self.keys[plan.rows, :, : plan.seen], self.values[plan.rows, :, : plan.seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.cache.plan.seen, 0

    def get_seq_length(self) -> int:
        return self.cache.plan.seen - self.cache.plan.slot_BT.shape[1]

    def get_max_length(self) -> int:
        return self.cache.slots


class RowCache(Cache):
    """Keys and values of `rows` sequences; grows in slots, never beyond `limit`."""

    plan: Plan

    def __init__(self, rows: int, limit: int) -> None:
        super().__init__(layer_class_to_replicate=lambda: _Layer(self))  # type: ignore[arg-type]
        self.rows = rows
        self.limit = limit
        self.slots = min(limit, 256)

    @property
    def spare(self) -> int:
        """The slot that padding is written to."""
        return self.slots

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(t.numel() * t.element_size() for t in self._tensors())

    def grow(self, slots: int) -> None:
        """Make room for `slots` tokens a row, at least doubling."""
        if slots <= self.slots:
            return
        self.slots = min(self.limit, max(slots, 2 * self.slots))
        for layer in self.layers:
            for name in ("keys", "values"):
                old = getattr(layer, name)
                grown = old.new_zeros((*old.shape[:2], self.slots + 1, old.shape[3]))
                grown[:, :, : old.shape[2] - 1] = old[:, :, :-1]
                setattr(layer, name, grown)

    def copy(self, source: int, target: int, tokens: int) -> None:
        """The first `tokens` slots of a row, into another row."""
        for tensor in self._tensors():
            tensor[target, :, :tokens] = tensor[source, :, :tokens]

    def swap(self, one: int, other: int, tokens: int) -> None:
        """Exchange the first `tokens` slots of two rows."""
        for tensor in self._tensors():
            kept = tensor[one, :, :tokens].clone()
            tensor[one, :, :tokens] = tensor[other, :, :tokens]
            tensor[other, :, :tokens] = kept

    def clear(self) -> None:
        """Forget everything, values that are not finite included: masked attention still multiplies them by zero."""
        for tensor in self._tensors():
            tensor.zero_()

    def _tensors(self) -> list[Tensor]:
        layers = cast(list[_Layer], self.layers)
        return [tensor for layer in layers for tensor in (layer.keys, layer.values) if tensor is not None]

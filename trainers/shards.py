"""Weights that many processes share: FSDP2 (`torch.distributed.fsdp.fully_shard`) over the layers a model names.

Gradients are summed over the processes and not averaged, for each of them computes other rows of one batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from trainers.models import blocks

__all__ = ["agreed", "first", "placed", "put", "shard", "spread", "whole"]

M = TypeVar("M", bound=nn.Module)


def placed(module: M, device: torch.device) -> M:
    """The module on a device; one without values stays without."""
    return module if any(p.is_meta for p in module.parameters()) else module.to(device)


def shard(module: nn.Module, mesh: DeviceMesh, device: torch.device, *, half: bool) -> None:
    """Leave each process of the mesh its share of every weight, with the values of the first process.

    The others may come with a module without values. With `half` the layers' weights travel in bfloat16.
    """
    values = dict(module.named_parameters()) if first(mesh) else None
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in blocks(module):
        fully_shard(block, mesh=mesh, reshard_after_forward=True, mp_policy=policy if half else MixedPrecisionPolicy())
    fully_shard(module, mesh=mesh, reshard_after_forward=True)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)  # gloo has no other, and NCCL's average needs a factor
    if any(p.is_meta for p in module.parameters()):
        module.to_empty(device=device)
    spread(dict(module.named_parameters()), values)
    for buffer in module.buffers():
        dist.broadcast(buffer, src=0)


@torch.no_grad()
def spread(own: Mapping[str, Tensor], values: Mapping[str, Tensor] | None) -> None:
    """Into `own`, or everybody's shares of it, the whole tensors that the first process has as `values`."""
    for name, share in own.items():
        if not isinstance(share, DTensor):
            assert values is not None
            share.copy_(values[name])
            continue
        device = share.to_local().device
        if values is None:
            full = torch.empty(share.shape, dtype=share.dtype, device=device)
        else:
            full = values[name].detach().to(device, share.dtype).contiguous()
        dist.broadcast(full, src=0)
        placed_here = distribute_tensor(full, share.device_mesh, share.placements, src_data_rank=None)
        share.to_local().copy_(placed_here.to_local())


@torch.no_grad()
def put(own: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Into the shares of this process those of other values, laid out alike."""
    for name, share in own.items():
        share.copy_(values[name])


def agreed(value: bool, device: torch.device) -> bool:
    """What the first process says."""
    word = torch.tensor([value], device=device)
    dist.broadcast(word, src=0)
    return bool(word)


def first(mesh: DeviceMesh | None) -> bool:
    """Whether this is the process that writes and reads what is written once."""
    return mesh is None or mesh.get_rank() == 0


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be shared; then every process has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def learned(model: nn.Module, mesh: DeviceMesh | None) -> dict[str, Tensor]:
    """The weights that learn, by the model's names, in the first process; one alone shares memory."""
    found = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            tensor = whole(p.detach())
            if first(mesh):
                found[name] = tensor  # the others let go of each at once
    return found

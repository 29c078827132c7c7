"""Which way weights travel in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from trainers.engines._vllm.cuda import CudaTransfer
from trainers.engines._vllm.transfer import AdapterTransfer, FileTransfer, Transfer
from trainers.engines._vllm.wire import ServerError
from trainers.models import causal_lm

if TYPE_CHECKING:
    from trainers.engine_config import VllmConfig

__all__ = ["transfer_for"]


def transfer_for(settings: VllmConfig, model: nn.Module, nonce: str) -> Transfer:
    """The transfer that is asked for, or that fits the model. Raises ServerError where it cannot work here."""
    adapters, kind = hasattr(model, "peft_config"), settings.transfer
    if kind == "auto":
        kind = "lora" if adapters else "file"
    if (kind == "lora") != adapters:
        raise ServerError(
            f"engine.vllm.transfer={kind} does not fit the model: "
            + ("it has no adapter, see model.lora" if kind == "lora" else "only its adapter is trained; use lora")
        )
    if kind == "lora":
        return AdapterTransfer(settings.directory, nonce, model)
    if kind == "file":
        return FileTransfer(settings.directory, nonce)
    return CudaTransfer(kind, next(causal_lm(model).parameters()).device, settings.master)

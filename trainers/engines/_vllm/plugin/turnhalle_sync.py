"""vLLM's plugin `turnhalle`: weights from a safetensors file, over vLLM's own routes of weight transfer.

A server finds it where this folder is on its PYTHONPATH, and uses it where it is started with
--weight-transfer-config '{"backend": "file"}'. It runs in vLLM's processes and knows nothing of ours. vLLM 0.32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["register"]


def register() -> None:
    """Make the backend `file` known; vLLM calls this in each of its processes, maybe twice in one."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory as Factory

    if "file" not in Factory._registry:
        Factory.register_engine("file", _engine())


def _engine() -> type:
    from vllm.distributed.weight_transfer.base import (
        WeightTransferEngine,
        WeightTransferInitInfo,
        WeightTransferUpdateInfo,
    )

    @dataclass
    class FileInit(WeightTransferInitInfo):  # type: ignore[misc]
        """Nothing has to be agreed."""

    @dataclass
    class FileUpdate(WeightTransferUpdateInfo):  # type: ignore[misc]
        path: str = ""

    class FileTransfer(WeightTransferEngine):  # type: ignore[misc]
        """Reads the file at `path`; every rank takes its part of it."""

        init_info_cls = FileInit
        update_info_cls = FileUpdate

        def init_transfer_engine(self, init_info: Any) -> None:
            """There is nobody to meet."""

        def start_weight_update(self) -> None:
            from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

            initialize_layerwise_reload(self.model)

        def receive_weights(self, update_info: Any) -> None:
            from safetensors import safe_open

            # Opening it reads its table of contents, and refuses a file that was cut.
            with safe_open(update_info.path, framework="pt") as file:
                self.model.load_weights((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118

        def update_weights(self, update_info: Any) -> None:
            import torch

            self.receive_weights(self.parse_update_info(update_info))
            if torch.accelerator.is_available():
                torch.accelerator.synchronize()

        def finish_weight_update(self) -> None:
            from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

            finalize_layerwise_reload(self.model, self.model_config)
            _repack(self.model)

        def shutdown(self) -> None:
            """There is nobody to leave."""

    return FileTransfer


def _repack(model: Any) -> None:
    """On a CPU a tied head keeps a packed copy of the old embedding, which a reload passes over: pack it anew."""
    head = getattr(model, "lm_head", None)
    if head is not None and hasattr(head, "cpu_linear"):
        from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

        dispatch_cpu_unquantized_gemm(head, remove_weight=False)

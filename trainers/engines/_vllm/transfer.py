"""How weights travel to a server: a file that both see, or an adapter's directory. Between GPUs: `cuda`.

Rule: a name is given to weights before they travel, and the server answers with it what it draws from them; what is
laid down under a name never changes, so a server that comes back is given the very same bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainers.engines._vllm.wire import Refused, ServerError

if TYPE_CHECKING:
    from trainers.engines._vllm.fleet import Server

__all__ = ["AdapterTransfer", "FileTransfer", "Transfer"]


class Transfer(Protocol):
    """A way for weights."""

    named_in_answers: bool
    """Whether an answer names the weights it was drawn from; else the model it was asked of does."""

    async def lay(self, weights: Mapping[str, Tensor], name: str) -> None:
        """Get ready to send these weights under this name; those before them are not sent again."""
        ...

    def laid(self) -> Mapping[str, Tensor] | None:
        """What is sent, whatever was learned since, by the model's names; None where it is read from the learner."""
        ...

    async def send(self, server: Server, within_s: float) -> None:
        """Give a paused server the weights that are laid. Raises ServerError."""
        ...

    def forget(self, server: Server) -> None:
        """The server died: what was agreed with it holds no more."""
        ...

    def close(self) -> None:
        """Take away what is laid."""
        ...


class FileTransfer:
    """A safetensors file in memory or on a disk; the server's plugin `turnhalle` reads it."""

    named_in_answers = True

    def __init__(self, directory: Path, nonce: str) -> None:
        self._folder = directory / f"turnhalle-{nonce}"
        self._name = ""

    @property
    def path(self) -> Path:
        """The file that is laid."""
        return self._folder / f"{self._name}.safetensors"

    async def lay(self, weights: Mapping[str, Tensor], name: str) -> None:
        """Write the file whole under another name, then rename it."""
        before, self._name = (self.path if self._name else None), name
        await asyncio.to_thread(self._write, dict(weights))
        if before is not None:
            before.unlink(missing_ok=True)

    def laid(self) -> Mapping[str, Tensor]:
        """What the file holds."""
        return load_file(self.path)

    async def send(self, server: Server, within_s: float) -> None:
        """Official routes: init, start, update, finish with the name."""
        post = server.wire.post
        await post("/init_weight_transfer_engine", {"init_info": {}}, within_s=within_s)
        await post("/start_weight_update", within_s=within_s)
        await post("/update_weights", {"update_info": {"path": str(self.path)}}, within_s=within_s)
        await post("/finish_weight_update", {"weight_version": self._name}, within_s=within_s)

    def forget(self, server: Server) -> None:
        """Nothing was agreed."""

    def close(self) -> None:
        """Delete the file."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, weights: dict[str, Tensor]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".partial")
            save_file({name: tensor.contiguous() for name, tensor in weights.items()}, partial)
            partial.chmod(0o644)
            os.replace(partial, self.path)
        except OSError as error:
            raise ServerError(
                f"new weights cannot be laid down in {self._folder}: {error}; set engine.vllm.directory to a place "
                "with room that the servers see too"
            ) from error


class AdapterTransfer:
    """A peft adapter's directory, loaded beside the server's base model under the name of its weights."""

    named_in_answers = False

    def __init__(self, directory: Path, nonce: str, model: nn.Module) -> None:
        self._folder = directory / f"turnhalle-{nonce}"
        self._model = model
        self._name = ""
        self._copy: dict[str, Tensor] = {}

    async def lay(self, weights: Mapping[str, Tensor], name: str) -> None:
        """Write the adapter."""
        before, self._name = (self._folder / self._name if self._name else None), name
        await asyncio.to_thread(self._write, dict(weights))
        if before is not None:
            shutil.rmtree(before, ignore_errors=True)

    def laid(self) -> Mapping[str, Tensor]:
        """A copy of the adapter."""
        return self._copy

    async def send(self, server: Server, within_s: float) -> None:
        """Load it, ask for it from then on, and drop the one before it."""
        path = str(self._folder / self._name)
        body = {"lora_name": self._name, "lora_path": path}
        try:
            await server.wire.tell("/v1/load_lora_adapter", body, within_s=within_s)
        except Refused as error:
            raise Refused(
                f"{error}; a server that is to take adapters is started with --enable-lora, a --max-lora-rank of at "
                "least the run's, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
                error.status,
            ) from error
        before, server.model = server.model, self._name
        if before.startswith(self._name.rpartition("-")[0]) and before != self._name:
            with contextlib.suppress(Refused):
                await server.wire.tell("/v1/unload_lora_adapter", {"lora_name": before}, within_s=within_s)

    def forget(self, server: Server) -> None:
        """A server that comes back has no adapter."""

    def close(self) -> None:
        """Delete the directory."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, weights: dict[str, Tensor]) -> None:
        import peft

        path = self._folder / self._name
        self._copy = {name: tensor.clone() for name, tensor in weights.items()}
        try:
            path.mkdir(parents=True, exist_ok=True)
            state = peft.get_peft_model_state_dict(self._model, state_dict=weights)
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, path / "adapter_model.safetensors")
            self._model.peft_config["default"].save_pretrained(str(path))  # type: ignore[union-attr, index]
        except OSError as error:
            raise ServerError(
                f"the adapter cannot be laid down in {path}: {error}; set engine.vllm.directory to a place with room "
                "that the servers see too"
            ) from error

"""How weights travel between GPUs: NCCL where trainer and server have a GPU each, CUDA IPC where they share one.

Both are vLLM's own trainer sides (vllm.distributed.weight_transfer, of vLLM 0.32), so vLLM has to be importable here;
a server keeps a communicator of its own, so that the death of one does not end the others.
"""

from __future__ import annotations

import asyncio
import base64
import pickle
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import httpx
import torch
from torch import Tensor

from trainers.engines._vllm.wire import Gone, Refused, ServerError, Silent

if TYPE_CHECKING:
    from trainers.engines._vllm.fleet import Server

__all__ = ["CudaTransfer", "SyncRoutes"]


class SyncRoutes:
    """The four routes a trainer side of vLLM's calls, from its own thread; `finish` gives the weights their name."""

    def __init__(self, url: str, headers: Mapping[str, str], within_s: float) -> None:
        self.name = ""
        self.within_s = within_s
        self._url = url
        self._headers = dict(headers)

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Meet the trainer."""
        self._post("init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        """Get ready."""
        self._post("start_weight_update", None)

    def update_weights(self, update_info: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Receive. Handles of memory are no JSON: they travel pickled, as vLLM reads them."""
        infos = update_info if isinstance(update_info, list) else [update_info]
        plain = []
        for info in infos:
            left = {key: value for key, value in info.items() if key != "ipc_handles"}
            if info.get("ipc_handles") is not None:
                left["ipc_handles_pickled"] = base64.b64encode(pickle.dumps(info["ipc_handles"])).decode()
            plain.append(left)
        self._post("update_weights", {"update_info": plain if isinstance(update_info, list) else plain[0]})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Use them from now on."""
        self._post("finish_weight_update", {"weight_version": weight_version or self.name})

    def _post(self, route: str, body: object) -> None:
        try:
            answer = httpx.post(f"{self._url}/{route}", json=body, headers=self._headers, timeout=self.within_s)
        except httpx.TimeoutException as error:
            raise Silent(f"{self._url} did not answer /{route} within {self.within_s:g} s") from error
        except httpx.HTTPError as error:
            raise Gone(f"{self._url} is not there: {error}") from error
        if not answer.is_success:
            raise Refused(
                f"{self._url} refused /{route} with {answer.status_code}: {answer.text[:300]}", answer.status_code
            )


class CudaTransfer:
    """Weights from this process' GPU to a server's."""

    named_in_answers = True

    def __init__(self, kind: Literal["nccl", "ipc"], device: torch.device, master: str) -> None:
        """`master` is this machine's address as servers reach it. Raises ServerError where this cannot work here."""
        if device.type != "cuda":
            raise ServerError(
                f"the transfer '{kind}' is between GPUs, and the model is on '{device}'; use engine.vllm.transfer=file"
            )
        try:
            from vllm.distributed.weight_transfer import factory
        except ImportError as error:
            raise ServerError(
                f"the transfer '{kind}' is vLLM's own and needs vLLM in the trainer's Python, too: pip install "
                f"'turnhalle[vllm]' ({error}); or use engine.vllm.transfer=file"
            ) from error
        self._factory: Any = factory.WeightTransferTrainerFactory
        self._kind = kind
        self._device = device
        self._master = master
        self._weights: dict[str, Tensor] = {}
        self._name = ""
        self._met: dict[Server, tuple[Any, SyncRoutes]] = {}

    async def lay(self, weights: Mapping[str, Tensor], name: str) -> None:
        """Nothing is copied: weights are read where they are when they are sent."""
        self._weights.clear()
        self._weights.update(weights)
        self._name = name

    def laid(self) -> None:
        """Nothing is: see `lay`."""

    async def send(self, server: Server, within_s: float) -> None:
        """Meet the server where that was not done, then send."""
        world = int((await server.wire.get("/get_world_size"))["world_size"])
        try:
            await _apart(lambda: self._send(server, world, within_s), within_s, server.wire.url)
        except BaseException:
            self.forget(server)  # a communicator that failed once is of no use
            raise

    def forget(self, server: Server) -> None:
        """Meet it again before anything is sent."""
        self._met.pop(server, None)

    def close(self) -> None:
        """Leave every server."""
        for engine, _ in self._met.values():
            engine.shutdown()
        self._met.clear()

    def _send(self, server: Server, world: int, within_s: float) -> None:
        with torch.cuda.device(self._device):
            if server not in self._met:
                routes = SyncRoutes(server.wire.url, server.wire.headers, within_s)
                engine = self._factory.trainer_init(self._meeting(world), client=routes, source=_source(self._weights))
                self._met[server] = engine, routes
            engine, routes = self._met[server]
            routes.name, routes.within_s = self._name, within_s
            engine.send_weights()
            torch.cuda.synchronize(self._device)

    def _meeting(self, world: int) -> Any:
        if self._kind == "ipc":
            from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo

            return IPCTrainerInitInfo(packed=True, rank=0)
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        return NCCLTrainerInitInfo(self._master, port, 1 + world, packed=True, rank=0)


def _source(weights: Mapping[str, Tensor]) -> Any:
    """vLLM's source of weights, read anew at every send."""
    from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource

    class Source(WeightSource):  # type: ignore[misc]
        def metadata(self) -> list[Any]:
            return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()]

        def __iter__(self) -> Iterator[tuple[str, Tensor]]:
            return iter(weights.items())

    return Source()


async def _apart(work: Callable[[], None], within_s: float, url: str) -> None:
    """Run in a thread that nobody waits for at exit: a collective that hangs cannot be ended."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(None)

    def run() -> None:
        try:
            work()
        except Exception as error:
            # Copied: what is raised here may belong to a library that raises it again elsewhere.
            found = error if isinstance(error, ServerError) else Refused(f"{url} was not given weights: {error}", 0)
            loop.call_soon_threadsafe(tell, found)
        else:
            loop.call_soon_threadsafe(tell, None)

    threading.Thread(target=run, name="weights", daemon=True).start()
    try:
        async with asyncio.timeout(within_s):
            await done
    except TimeoutError as error:
        raise Silent(f"{url} had not received the weights within {within_s:g} s") from error

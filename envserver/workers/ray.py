"""Worlds on the nodes of a Ray cluster: an actor a worker, one call at a time an actor, a deadline a call.

The pool is that of `process.py`; only how a worker comes to be and how it is asked differ. Where a node goes, its
actors go with it, others take their place as far as the cluster has room, and the sessions rebuild their worlds there.
A worker's age is looked at, its memory is Ray's to bound. What a world keeps on disk, as TextWorld its games, it makes
on its own node. Every node has this package, and the packages of the worlds it plays, installed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

from envserver.catalogue import load_env
from envserver.workers.base import Served, WorldLost, Worlds
from envserver.workers.process import START_S, Call, Processes, Worker
from envserver.workers.template import Verb, answered

__all__ = ["Cluster", "NoCluster"]


JOIN_S = 5.0
"""What a named cluster gets to take a connection."""


class NoCluster(RuntimeError):
    """Raised where no Ray cluster answers; one sentence."""


class Seat:
    """What runs in an actor: the live worlds of one process."""

    def __init__(self, specs: dict[str, str], options: dict[str, dict[str, Any]], max_steps: int) -> None:
        served = {}
        for name, spec in specs.items():
            kind = load_env(spec)
            if kind.weight == "worker":
                kind.warm(kind.Config.model_validate(options.get(name, {})))
                served[name] = Served(kind, options.get(name, {}))
        self.worlds = Worlds(served, max_steps)

    def ready(self) -> int:
        """The process id, once every environment is loaded."""
        return os.getpid()

    def ask(self, verb: int, world: int, body: bytes) -> tuple[int, bytes]:
        """Answer a call."""
        return answered(self.worlds, Verb(verb), world, body)


class RayWorker(Worker):
    """One actor, seen from the server."""

    def __init__(self, pid: int, actor: ActorHandle[Seat], on_end: Callable[[Worker], None]) -> None:
        super().__init__(pid, on_end)
        self._actor = actor
        self._loop = asyncio.get_running_loop()

    def ask(self, verb: Verb, world: int, body: bytes, timeout_s: float) -> asyncio.Future[tuple[int, bytes]]:
        """Queue a call; an actor answers in the order of asking."""
        answer: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        if not self.alive:
            answer.set_exception(WorldLost(f"worker {self.pid} is gone"))
            return answer
        if not self.calls:
            self.head_since = time.monotonic()
        call = Call(answer, timeout_s)
        self.calls.append(call)
        asked: Any = self._actor.ask.remote(int(verb), world, body).future()
        asked.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._hear, call, done))
        return answer

    def kill(self) -> None:
        """End the actor; its worlds are lost."""
        if self.alive:
            self.asked = True
            ray.kill(self._actor)
            self._end()

    def hang_up(self) -> None:
        """The same: Ray lets an actor's process go with it."""
        self.kill()

    async def answers(self) -> bool:
        """Whether an idle actor is still there: of one that went with its node nothing is heard until it is asked."""
        if self.calls:
            return True
        try:
            await asyncio.wrap_future(self._actor.ready.remote().future())
        except RayError:
            self._end()
        return self.alive

    def _hear(self, call: Call, done: Any) -> None:
        if not self.alive or call not in self.calls:
            return
        if done.cancelled() or done.exception() is not None:
            self._end()
            return
        self.calls.remove(call)
        self.answered += 1
        self.head_since = time.monotonic()
        if not call.answer.done():
            call.answer.set_result(done.result())


class Cluster(Processes):
    """The pool, on a cluster."""

    @staticmethod
    def join() -> None:
        """Join the cluster that RAY_ADDRESS names, or the one of this machine. Raises NoCluster."""
        address = os.environ.get("RAY_ADDRESS", "auto")
        host, _, port = address.rpartition(":")
        try:
            if host and port.isdecimal() and "/" not in host:
                # Ray asks a cluster that is gone for minutes.
                socket.create_connection((host.strip("[]"), int(port)), JOIN_S).close()
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RayError, RuntimeError, ValueError) as error:
            raise NoCluster(
                f"no Ray cluster answers ({str(error).splitlines()[0][:200]}); begin one with `ray start --head`, "
                "or name it in RAY_ADDRESS"
            ) from None

    async def close(self) -> None:
        """End every actor and leave the cluster."""
        await super().close()
        await asyncio.to_thread(ray.shutdown)

    def _wanted(self) -> int:
        _, _, told = str(self.config.workers).partition(":")
        cluster: Any = ray  # Its types are there only where it is installed.
        return int(told) if told else max(1, int(cluster.cluster_resources().get("CPU", 1)))

    async def _pick(self) -> Worker:
        # A call that finds its actor dead counts against itself; one node takes many actors with it.
        while True:
            worker = await super()._pick()
            assert isinstance(worker, RayWorker)
            if await worker.answers():
                return worker

    async def _recruited(self) -> Worker:
        specs = {name: spec for name, spec in self.nursery.specs.items() if not self.nursery.absent(name)}
        spread: Any = ray.remote(Seat).options(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")
        actor = spread.remote(specs, self.nursery.options, self.nursery.max_steps)
        try:
            pid = await asyncio.wait_for(asyncio.wrap_future(actor.ready.remote().future()), START_S)
        except (RayError, TimeoutError) as error:
            ray.kill(actor)
            await asyncio.sleep(1.0)  # A cluster without room would be asked in a tight loop.
            raise WorldLost(f"no actor could be started: {error}") from None
        return RayWorker(pid, actor, self._ended)

    def _weigh(self, worker: Worker, now: float) -> None:
        if now - worker.born > self.config.worker_age_limit_s and not worker.draining:
            worker.draining = True
            self.recycled += 1
            self._short.set()

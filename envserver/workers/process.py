"""Worlds in worker processes: a fixed pool, many worlds a worker, one call at a time a worker, a deadline a call.

A worker that hangs is killed, one that grows or ages is recycled, and another is forked for it. Worlds on it are then
lost; to rebuild them is the sessions' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import psutil
from pydantic import JsonValue

from envserver.config import ServerConfig
from envserver.errors import WorldFailed, WorldSilent, from_problem
from envserver.schema import Problem, Task
from envserver.workers.base import Home, Result, World, WorldLost
from envserver.workers.nursery import Nursery
from envserver.workers.template import ANSWER, ASK, TOLD, Flag, Verb

__all__ = ["ProcessWorld", "Processes", "Worker", "landed"]

SWEEP_S = 0.25
"""Pause between two looks at deadlines."""
MEMORY_EVERY = 4
"""Sweeps between two looks at memory."""
GOODBYE_S = 1.0
"""What workers get to close their worlds when the server ends."""
START_S = 60.0
"""Longest wait for a worker when there is none."""


class Call(NamedTuple):
    """A call that a worker has not answered."""

    answer: asyncio.Future[tuple[int, bytes]]
    timeout_s: float


class Worker(asyncio.Protocol):
    """One worker process, seen from the server."""

    def __init__(self, pid: int, on_end: Callable[[Worker], None]) -> None:
        self.pid = pid
        self.born = time.monotonic()
        self.alive = True
        self.asked = False
        """Whether its end was asked for."""
        self.gone = asyncio.Event()
        self.draining = False
        self.worlds = 0
        self.pinned = 0
        """Worlds that cannot be rebuilt elsewhere: a draining worker waits for them."""
        self.memory_bytes = 0
        self.answered = 0
        self.calls: deque[Call] = deque()
        self.head_since = 0.0
        self._on_end = on_end
        self._out: list[bytes] = []
        self._in = bytearray()
        self._transport: asyncio.Transport | None = None

    def ask(self, verb: Verb, world: int, body: bytes, timeout_s: float) -> asyncio.Future[tuple[int, bytes]]:
        """Queue a call; what is asked of a busy worker in one turn of the loop travels in one write."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        if not self.alive:
            answer.set_exception(WorldLost(f"worker {self.pid} is gone"))
            return answer
        asked = ASK.pack(len(body), verb, world)
        if not self.calls:
            self.head_since = time.monotonic()
            if self._transport is not None and not self._out:
                # An idle worker begins at once; what is asked after this waits for it anyway.
                self.calls.append(Call(answer, timeout_s))
                self._transport.write(asked + body)
                return answer
        self.calls.append(Call(answer, timeout_s))
        if not self._out:
            loop.call_soon(self._flush)
        self._out.append(asked)
        self._out.append(body)
        return answer

    def kill(self) -> None:
        """End the process and whatever it started; its worlds are lost."""
        if self.alive:
            self.asked = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._end()

    def hang_up(self) -> None:
        """Let the process close its worlds and end by itself."""
        self.asked = True
        if self.alive and self._transport is not None:
            self._transport.write_eof()

    def overdue(self, now: float) -> bool:
        """True where the call that is being played has had its time."""
        return bool(self.calls) and now - self.head_since > self.calls[0].timeout_s

    def silence(self) -> None:
        """Kill the worker for the call it hangs in."""
        call = self.calls.popleft()
        self.kill()
        if not call.answer.done():
            call.answer.set_exception(
                WorldSilent(f"the world did not answer within {call.timeout_s:g} s; open another")
            )

    def shown(self) -> dict[str, JsonValue]:
        """This worker in /health."""
        state = "draining" if self.draining else "busy" if self.calls else "idle"
        return {
            "pid": self.pid,
            "sessions": self.worlds,
            "memory_bytes": self.memory_bytes,
            "age_s": round(time.monotonic() - self.born, 1),
            "waiting": len(self.calls),
            "state": state,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._in
        buffer += data
        start = 0
        while len(buffer) - start >= ANSWER.size:
            length, flags = ANSWER.unpack_from(buffer, start)
            end = start + ANSWER.size + length
            if len(buffer) < end:
                break
            body = bytes(buffer[start + ANSWER.size : end])
            start = end
            if not self.calls:
                break
            call = self.calls.popleft()
            self.answered += 1
            self.head_since = time.monotonic()
            if not call.answer.done():
                call.answer.set_result((flags, body))
        del buffer[:start]

    def connection_lost(self, _: Exception | None) -> None:
        self._end()

    def _flush(self) -> None:
        if self.alive and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _end(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self.gone.set()
        culprit = True
        while self.calls:
            call = self.calls.popleft()
            if not call.answer.done():
                call.answer.set_exception(WorldLost(f"worker {self.pid} died", culprit=culprit))
            culprit = False
        if self._transport is not None:
            self._transport.close()
        self._on_end(self)


class ProcessWorld(World):
    """A world in a worker."""

    __slots__ = ("closed", "home", "number", "pinned", "told", "worker")

    def __init__(self, home: Processes, worker: Worker, pinned: bool) -> None:
        self.home = home
        self.worker = worker
        self.number = next(home.numbers)
        self.pinned = pinned
        self.closed = False
        self.told = b""
        worker.worlds += 1
        worker.pinned += pinned

    @property
    def lost(self) -> bool:
        return not self.worker.alive or (self.worker.draining and not self.pinned)

    async def step(self, action: bytes) -> Result:
        return landed(await self.send(action))

    def send(self, action: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Begin a step; `landed` reads what comes back. Raises WorldSilent or WorldLost inside the future."""
        return self._call(Verb.STEP, action, self.home.config.call_timeout_s)

    async def copy(self) -> ProcessWorld | None:
        twin = ProcessWorld(self.home, self.worker, self.pinned)
        try:
            flags, _ = await self._ask(Verb.COPY, str(twin.number).encode())
        except BaseException:
            twin.close()
            raise
        if flags & Flag.NONE:
            twin.close()
            return None
        return twin

    async def expert(self) -> bytes:
        return (await self._ask(Verb.EXPERT, b""))[1]

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.worker.worlds -= 1
        self.worker.pinned -= self.pinned
        if self.worker.alive:
            # Nobody waits for this answer; a loss of the worker closes the world too.
            self._call(Verb.CLOSE, b"", self.home.config.call_timeout_s).add_done_callback(_hush)

    async def begin(self, task: bytes) -> Result:
        """Open the world for `task`."""
        flags, body = _checked(await self._call(Verb.OPEN, task, self.home.config.open_timeout_s))
        if flags & Flag.TOLD:
            end = TOLD.size + TOLD.unpack_from(body)[0]
            self.told, body = body[TOLD.size : end], body[end:]
        return landed((flags, body))

    async def _ask(self, verb: Verb, body: bytes) -> tuple[int, bytes]:
        return _checked(await self._call(verb, body, self.home.config.call_timeout_s))

    def _call(self, verb: Verb, body: bytes, timeout_s: float) -> asyncio.Future[tuple[int, bytes]]:
        return self.worker.ask(verb, self.number, body, timeout_s)


class Processes(Home):
    """The pool."""

    def __init__(self, nursery: Nursery, config: ServerConfig) -> None:
        self.nursery = nursery
        self.config = config
        self.size = self._wanted()
        self.workers: list[Worker] = []
        self.numbers = itertools.count(1)
        self.recycled = 0
        self.killed = 0
        """Workers killed for a call that hung."""
        self.died = 0
        """Workers that ended unasked."""
        self._changed = asyncio.Event()
        self._short = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    def _wanted(self) -> int:
        assert not isinstance(self.config.workers, str)
        return self.config.workers or os.cpu_count() or 1

    def start(self) -> None:
        """Begin to fork and to watch; returns at once."""
        self._tasks = [asyncio.create_task(self._refill()), asyncio.create_task(self._watch())]
        self._short.set()

    async def close(self) -> None:
        """End every worker; none outlives this."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = list(self.workers)
        for worker in workers:
            worker.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                for worker in workers:
                    await worker.gone.wait()
        for worker in workers:
            worker.kill()

    async def open(self, task: Task) -> tuple[ProcessWorld, Result]:
        card = await self.nursery.card(task.env)
        world = ProcessWorld(self, await self._pick(), pinned=not card.deterministic)
        try:
            return world, await world.begin(task.model_dump_json().encode())
        except BaseException:
            world.close()
            raise

    async def tasks(self, env: str, split: str, offset: int, limit: int, options: Mapping[str, JsonValue]) -> bytes:
        asked = {"env": env, "split": split, "offset": offset, "limit": limit, "options": options}
        return await self._ask_any(Verb.TASKS, json.dumps(asked).encode())

    async def demonstration(self, task: Task) -> bytes:
        return await self._ask_any(Verb.DEMONSTRATION, task.model_dump_json().encode())

    async def _ask_any(self, verb: Verb, body: bytes) -> bytes:
        for _ in range(3):
            worker = await self._pick()
            with contextlib.suppress(WorldLost):
                return _checked(await worker.ask(verb, 0, body, self.config.open_timeout_s))[1]
        raise WorldFailed(f"{verb.name.lower()} killed its worker three times")

    async def _pick(self) -> Worker:
        deadline = time.monotonic() + START_S
        while not (free := [worker for worker in self.workers if worker.alive and not worker.draining]):
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                raise WorldFailed(f"no worker could be started within {START_S:g} s") from None
        return min(free, key=lambda worker: (worker.worlds, len(worker.calls)))

    async def _refill(self) -> None:
        while True:
            await self._short.wait()
            self._short.clear()
            await self.nursery.ready.wait()
            if not any(card.weight == "worker" for card in await self.nursery.cards()):
                continue
            while sum(worker.alive and not worker.draining for worker in self.workers) < self.size:
                with contextlib.suppress(WorldLost):
                    self.workers.append(await self._recruited())
                    self._changed.set()

    async def _recruited(self) -> Worker:
        """A fresh worker. Raises WorldLost where none came to be."""
        pid, link = await self.nursery.fork()
        worker = Worker(pid, self._ended)
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=link)
        return worker

    async def _watch(self) -> None:
        pause_s = min(SWEEP_S, self.config.call_timeout_s / 4)
        for turn in itertools.count():
            await asyncio.sleep(pause_s)
            now = time.monotonic()
            for worker in list(self.workers):
                if worker.overdue(now):
                    self.killed += 1
                    worker.silence()
                elif turn % MEMORY_EVERY == 0:
                    self._weigh(worker, now)
                if worker.draining and not worker.calls and not worker.pinned:
                    worker.kill()

    def _weigh(self, worker: Worker, now: float) -> None:
        try:
            worker.memory_bytes = psutil.Process(worker.pid).memory_info().rss
        except psutil.Error:
            return
        aged = now - worker.born > self.config.worker_age_limit_s
        if (aged or worker.memory_bytes > self.config.worker_memory_limit_bytes) and not worker.draining:
            worker.draining = True
            self.recycled += 1
            self._short.set()

    def _ended(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        if self._closing:
            return
        self.died += not worker.asked
        if worker.answered:
            self._short.set()
        else:
            # A worker that dies before its first answer would be forked in a tight loop.
            asyncio.get_running_loop().call_later(1.0, self._short.set)


def landed(answer: tuple[int, bytes]) -> Result:
    """A worker's answer as a Result. Raises the GymError that it may be."""
    flags, body = _checked(answer)
    return Result(body, bool(flags & Flag.OVER), bool(flags & Flag.TRUNCATED))


def _checked(answer: tuple[int, bytes]) -> tuple[int, bytes]:
    if answer[0] & Flag.ERROR:
        raise from_problem(Problem.model_validate_json(answer[1]))
    return answer


def _hush(answer: asyncio.Future[tuple[int, bytes]]) -> None:
    if not answer.cancelled():
        answer.exception()

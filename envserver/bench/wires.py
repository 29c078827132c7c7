"""The load of one wire: sessions that each send a step, wait for its answer and send the next, for some seconds.

`python -m envserver.bench.wires` reads an Asked as JSON on stdin and prints a Measured as JSON. One connection a
session, requests spliced from bytes, answers counted and every hundredth decoded, as `envserver/bench/load.py` does it.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from envserver.bench import meter
from envserver.bench.frames import UPGRADE, framed, posted, unframed, unwrapped
from envserver.bench.meter import Measured, Meter

__all__ = ["WIRES", "Asked", "drive", "play", "seen"]

KEY = "null/train/0"
COMMAND = "go to room 7 and look around"


@dataclass(frozen=True)
class Asked:
    """What to send, where and for how long."""

    wire: str
    port: int
    sessions: int
    seconds: float
    core: int | None = None


class Wire(ABC):
    """One session of one protocol: how it begins, and its step number `index`."""

    transport: ClassVar[str]
    mark: ClassVar[bytes] = b'"reward":0.0'
    """What an answer to a step holds."""

    def __init__(self, ask: Callable[[bytes], Any]) -> None:
        self.ask = ask

    @abstractmethod
    async def begin(self) -> None:
        """Open the session."""

    @abstractmethod
    def step(self, index: int) -> bytes:
        """A step's request."""

    def decoded(self, payload: bytes) -> Any:
        """The JSON of an answer."""
        return json.loads(payload[payload.index(b"{") :])

    def text(self, answer: Any) -> str:
        """The observation's text in an answer."""
        return str(answer["observation"]["text"])


class Socket(Wire):
    """A wire over a WebSocket."""

    transport = "WebSocket"
    path: ClassVar[bytes]

    async def upgraded(self) -> None:
        head = await self.ask(UPGRADE.replace(b"/v1/ws", self.path))
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise ConnectionError(f"the server did not upgrade: {head[:80]!r}")


class NativeSocket(Socket):
    """`WS /v1/ws`."""

    path = b"/v1/ws"

    async def begin(self) -> None:
        await self.upgraded()
        body = {"id": 0, "verb": "open", "body": {"task": {"env": "null", "key": KEY}}}
        self.id = json.loads(await self.ask(framed(json.dumps(body).encode())))["ok"]["session"].encode()

    def step(self, index: int) -> bytes:
        return framed(
            b'{"id":%d,"verb":"step","session":"%b","body":{"index":%d,"action":{"text":"%b"}}}'
            % (index, self.id, index, COMMAND.encode())
        )

    def text(self, answer: Any) -> str:
        return str(answer["ok"]["observation"]["text"])


class OpenEnv(Socket):
    """`WS /openenv/null/ws`."""

    path = b"/openenv/null/ws"
    request = framed(b'{"type":"step","data":{"command":"%b"}}' % COMMAND.encode(), 0x81)

    async def begin(self) -> None:
        await self.upgraded()
        answer = json.loads(await self.ask(framed(b'{"type":"reset","data":{"seed":1}}', 0x81)))
        if answer["type"] != "observation":
            raise ConnectionError(f"a session did not open: {answer}")

    def step(self, index: int) -> bytes:
        return self.request

    def text(self, answer: Any) -> str:
        return str(answer["data"]["observation"]["text"])


class OpenEnvPeer(OpenEnv):
    """OpenEnv's own server."""

    path = b"/ws"


class Http(Wire):
    """A wire over HTTP that is kept alive."""

    transport = "HTTP"

    async def post(self, path: str, body: Any, headers: str = "") -> tuple[dict[str, str], Any]:
        """Headers and JSON of an answer."""
        answer = await self.ask(posted(path.encode(), json.dumps(body).encode(), headers.encode()))
        head, _, payload = answer.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        if not head.split()[1].startswith(b"2"):
            raise ConnectionError(f"a session did not open: {answer[:300]!r}")
        return {name.lower(): value for name, _, value in lines}, json.loads(payload)


class NativeHttp(Http):
    """`POST /v1/sessions/{id}/steps`."""

    async def begin(self) -> None:
        _, opened = await self.post("/v1/sessions", {"task": {"env": "null", "key": KEY}})
        self.path = f"/v1/sessions/{opened['session']}/steps".encode()

    def step(self, index: int) -> bytes:
        return posted(self.path, b'{"index":%d,"action":{"text":"%b"}}' % (index, COMMAND.encode()))


class OpenEnvHttp(Http):
    """`POST /openenv/null/step`."""

    async def begin(self) -> None:
        head, _ = await self.post("/openenv/null/reset", {"seed": 1})
        headers = f"X-Session-ID: {head['x-session-id']}\r\n".encode()
        self.request = posted(b"/openenv/null/step", b'{"action":{"command":"%b"}}' % COMMAND.encode(), headers)

    def step(self, index: int) -> bytes:
        return self.request


class Mcp(Http):
    """`POST /mcp`: tools/call."""

    def accepting(self, session: str = "") -> str:
        return "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n" + session

    async def begin(self) -> None:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        begun = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        head, _ = await self.post(f"/mcp?env=null&key={KEY}", begun, self.accepting())
        self.headers = self.accepting(f"Mcp-Session-Id: {head['mcp-session-id']}\r\n").encode()

    def step(self, index: int) -> bytes:
        params = b'{"name":"act","arguments":{"text":"%b"}}' % COMMAND.encode()
        body = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":%b}' % (index, params)
        return posted(b"/mcp", body, self.headers)

    def text(self, answer: Any) -> str:
        return str(answer["result"]["content"][0]["text"])


class AgentGym(Http):
    """`POST /agentgym/null/step`."""

    async def begin(self) -> None:
        _, made = await self.post("/agentgym/null/create", {})
        await self.post("/agentgym/null/reset", {"id": made["id"], "data_idx": 0})
        body = b'{"id":%d,"action":"%b"}' % (made["id"], COMMAND.encode())
        self.request = posted(b"/agentgym/null/step", body)

    def step(self, index: int) -> bytes:
        return self.request

    def text(self, answer: Any) -> str:
        return str(answer["observation"])


class Nemo(Http):
    """`POST /nemo/null/step`."""

    root: ClassVar[str] = "/nemo/null"

    async def begin(self) -> None:
        head, _ = await self.post(f"{self.root}/reset", {"responses_create_params": {"input": []}, "index": 0})
        cookie = f"Cookie: {head['set-cookie'].partition(';')[0]}\r\n".encode()
        content = [{"type": "output_text", "text": COMMAND, "annotations": []}]
        item = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
        response = {
            "id": "r",
            "created_at": 0.0,
            "model": "bench",
            "object": "response",
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        body = {"responses_create_params": {"input": []}, "response": response}
        self.request = posted(f"{self.root}/step".encode(), json.dumps(body).encode(), cookie)

    def step(self, index: int) -> bytes:
        return self.request

    def text(self, answer: Any) -> str:
        return str(answer["observation"]).partition("\nAccepted")[0]


class NemoPeer(Nemo):
    """NeMo Gym's own server."""

    root = ""


class Ors(Http):
    """`POST /ors/null/call`, which is answered by a stream of events."""

    root: ClassVar[str] = "/ors"

    async def begin(self) -> None:
        session = f"X-Session-ID: {uuid.uuid4()}\r\n"
        await self.post(f"{self.root}/create", {"env_name": "null", "split": "train", "index": 0}, session)
        body = b'{"name":"act","input":{"text":"%b"}}' % COMMAND.encode()
        self.request = posted(f"{self.root}/null/call".encode(), body, session.encode())

    def step(self, index: int) -> bytes:
        return self.request

    def decoded(self, payload: bytes) -> Any:
        events = payload.replace(b"\r\n", b"\n").split(b"\n\n")
        parts = [
            event.partition(b"data: ")[2] for event in events if event.startswith((b"event: chunk", b"event: end"))
        ]
        return json.loads(b"".join(parts))

    def text(self, answer: Any) -> str:
        return str(answer["output"]["blocks"][0]["text"])


class OrsPeer(Ors):
    """ORS' own server."""

    root = ""


WIRES: dict[str, type[Wire]] = {
    "native": NativeSocket,
    "openenv": OpenEnv,
    "openenv_peer": OpenEnvPeer,
    "native_http": NativeHttp,
    "openenv_http": OpenEnvHttp,
    "mcp": Mcp,
    "agentgym": AgentGym,
    "nemo": Nemo,
    "nemo_peer": NemoPeer,
    "ors": Ors,
    "ors_peer": OrsPeer,
}


class Player(asyncio.Protocol):
    """One connection."""

    def __init__(self, kind: type[Wire], meter: Meter) -> None:
        self.wire = kind(self.ask)
        self.socket = kind.transport == "WebSocket"
        self.meter = meter
        self.data = b""
        self.index = 0
        self.sent = 0.0
        self.reply: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> bytes:
        """One answer, outside the measured time."""
        self.reply = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await asyncio.wait_for(self.reply, 60)

    def play(self) -> None:
        """Send the next step."""
        self.sent = time.perf_counter()
        self.transport.write(self.wire.step(self.index))
        self.index += 1

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.socket and self.upgraded:
            payload, rest, whole = unframed(self.data)
        else:
            payload, rest, whole = unwrapped(self.data)
        if not whole:
            return
        self.data, self.upgraded = rest, True
        if self.reply is not None:
            reply, self.reply = self.reply, None
            reply.set_result(payload)
        elif not self.index:
            raise ConnectionError(f"an answer that nobody asked for: {payload[:200]!r}")
        elif self.meter.going:
            took_s = time.perf_counter() - self.sent
            self.meter.count(took_s, self.wire.mark in payload, lambda: seen(payload, self.wire))
            self.play()

    def connection_lost(self, exc: Exception | None) -> None:
        self.meter.errors += self.meter.going
        if self.reply is not None:
            self.reply.set_exception(exc or ConnectionError("the server hung up"))
            self.reply = None


def seen(payload: bytes, wire: Wire) -> bool:
    """Whether the whole observation came."""
    return len(wire.text(wire.decoded(payload))) == 785


async def play(asked: Asked) -> Measured:
    """Connect, open, warm up, measure."""
    loop, counts, kind = asyncio.get_running_loop(), Meter(), WIRES[asked.wire]

    async def ready() -> Player:
        _, player = await loop.create_connection(lambda: Player(kind, counts), "127.0.0.1", asked.port)
        await player.wire.begin()
        return player

    sessions = (ready() for _ in range(asked.sessions))
    return await counts.measure(sessions, Player.play, lambda player: player.transport.close(), asked.seconds)


def drive(asked: Asked) -> Measured:
    """Run a load in a process of its own. Raises RuntimeError where it fails or a step was refused."""
    return meter.drive("envserver.bench.wires", asked, f"steps of {asked.wire}")


if __name__ == "__main__":
    meter.run(Asked, play)

"""The short way of frames: the same answers however the bytes arrive, and without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

from envserver.app import create_app
from envserver.bench.frames import UPGRADE, framed, unframed
from envserver.config import ServerConfig
from envserver.lane import SHORT_BYTES, WEBSOCKET
from envserver.launch import Launched

GOLDEN = Path(__file__).parents[1] / "wire"
TEXT, PING = 0x81, 0x89


def step(session: str, index: int, text: str = "go") -> bytes:
    body = {"index": index, "action": {"text": text}}
    return json.dumps({"id": index, "verb": "step", "session": session, "body": body}).encode()


def of_kind(kind: int, frame: bytes) -> bytes:
    return bytes((kind,)) + frame[1:]


async def talk(server: Launched, session: str, sent: bytes, chunk: int, answers: int) -> list[tuple[int, bytes]]:
    """First byte and payload of each frame that answers `sent`, which is written in pieces."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        task = {"env": "trivial", "key": "train/0", "options": {"goal": 50}}
        opening = {"id": 0, "verb": "open", "body": {"task": task, "session": session}}
        data, seen = b"", list[tuple[int, bytes]]()
        writer.write(framed(json.dumps(opening).encode()))
        pieces = iter([sent[at : at + chunk] for at in range(0, len(sent), chunk)])
        while len(seen) < answers + 1:
            data += await asyncio.wait_for(reader.read(1 << 20), 20)
            while data and (found := unframed(data))[2]:
                seen.append((data[0], found[0]))
                data = found[1]
            if len(seen) == 1:
                for piece in pieces:
                    writer.write(piece)
                    # Long enough for the server to read this piece alone.
                    await asyncio.sleep(0.002)
        return seen[1:]
    finally:
        writer.close()


@pytest.mark.parametrize("chunk", [1, 7, 100, 1 << 20])
async def test_frames_are_answered_in_whatever_pieces_they_arrive(server: Launched, chunk: int) -> None:
    session = f"lane-{chunk}"
    sent = [
        framed(step(session, 0)),
        framed(b"[%b,%b]" % (step(session, 1), step(session, 2))),
        of_kind(PING, framed(b"still there?")),
        of_kind(TEXT, framed(step(session, 3))),
    ]
    seen = await talk(server, session, b"".join(sent), chunk, answers=4)
    assert (0x8A, b"still there?") in seen
    answers = [json.loads(payload) for kind, payload in seen if kind != 0x8A]
    flat = [answer for frame in answers for answer in (frame if isinstance(frame, list) else [frame])]
    assert sorted(answer["id"] for answer in flat) == [0, 1, 2, 3]
    assert all("ok" in answer for answer in flat)


@pytest.mark.parametrize(("size", "width"), [(119, 0), (125, 0), (126, 2), (119, 8)])
async def test_a_frame_that_arrives_whole_is_answered_however_its_length_is_written(
    server: Launched, size: int, width: int
) -> None:
    session = f"lane-whole-{size}-{width}"
    length = bytes((0x80 | size,)) if not width else bytes((0xFE if width == 2 else 0xFF,)) + size.to_bytes(width)
    frames = [b"\x82" + length + b"\0\0\0\0" + step(session, index).ljust(size) for index in range(2)]
    seen = await talk(server, session, b"".join(frames), len(frames[0]), answers=2)
    assert [json.loads(payload)["id"] for _, payload in seen] == [0, 1]
    assert all(b'"ok"' in payload for _, payload in seen)


async def test_a_frame_too_long_to_wait_for_is_answered_as_the_ones_around_it(server: Launched) -> None:
    long = framed(step("lane-long", 1, "x" * (SHORT_BYTES + 1)))
    last, mask = step("lane-long", 2), b"\x01\x02\x03\x04"
    head = framed(last)[: -len(last) - len(mask)]
    masked = head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(last))
    sent = framed(step("lane-long", 0)) + long + masked
    seen = await talk(server, "lane-long", sent, 100_000, answers=3)
    assert sorted(json.loads(payload)["id"] for _, payload in seen) == [0, 1, 2]
    assert all(b'"ok"' in payload for _, payload in seen)


@asynccontextmanager
async def plain() -> AsyncIterator[str]:
    """URL of our application under uvicorn's own WebSocket."""
    config = ServerConfig(envs=("worlds:Counter", "worlds:Trivial"), workers=1, expert=True)
    settings = uvicorn.Config(create_app(config), port=0, ws="auto", log_level="warning")
    listener = settings.bind_socket()
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        for _ in range(1000):
            if server.started:
                break
            await asyncio.sleep(0.02)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/ws"
    finally:
        server.should_exit = True
        await serving


async def test_without_the_lane_every_golden_frame_is_answered_as_written() -> None:
    assert WEBSOCKET != "auto", "the lane does not know this uvicorn: it is slower, and no test sees its short way"
    async with plain() as url:
        for path in sorted(GOLDEN.glob("ws-*.json")):
            async with connect(url, compression=None) as socket:
                exchanges: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
                for exchange in exchanges:
                    sent = exchange["send"] if isinstance(exchange["send"], str) else json.dumps(exchange["send"])
                    await socket.send(sent.encode())
                    assert json.loads(await asyncio.wait_for(socket.recv(), 20)) == exchange["receive"]

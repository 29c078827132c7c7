"""The WebSocket: golden frames, arrays, what runs beside what, and frames that cannot be read."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from envserver.launch import Launched, launch

GOLDEN = Path(__file__).parents[1] / "wire"


def dial(server: Launched, **options: Any) -> connect:
    return connect(f"{server.url.replace('http', 'ws', 1)}/v1/ws", compression=None, **options)


async def ask(socket: ClientConnection, frame: str | bytes) -> Any:
    await socket.send(frame)
    return json.loads(await asyncio.wait_for(socket.recv(), 20))


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("ws-*.json")))
async def test_golden_frames_are_answered_as_written(server: Launched, name: str, binary: bool) -> None:
    exchanges = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    async with dial(server) as socket:
        for exchange in exchanges:
            sent = exchange["send"] if isinstance(exchange["send"], str) else json.dumps(exchange["send"])
            await socket.send(sent.encode() if binary else sent)
            reply = await asyncio.wait_for(socket.recv(), 20)
            assert isinstance(reply, bytes) is binary
            assert json.loads(reply) == exchange["receive"]


async def test_a_slow_world_holds_nobody_up_and_pings_are_answered(server: Launched) -> None:
    async with dial(server) as socket:
        for session, env in (("ws-slow", "wild"), ("ws-quick", "trivial")):
            body = {"task": {"env": env, "key": "train/0"}, "session": session}
            await ask(socket, json.dumps({"id": session, "verb": "open", "body": body}))
        began = time.monotonic()
        step = {"index": 0, "action": {"text": "sleep 1"}}
        await socket.send(json.dumps({"id": "slow", "verb": "step", "session": "ws-slow", "body": step}))
        await asyncio.wait_for(await socket.ping(), 5)
        quick = await ask(socket, json.dumps({"id": "quick", "verb": "step", "session": "ws-quick", "body": step}))
        assert quick["id"] == "quick"
        slow = json.loads(await asyncio.wait_for(socket.recv(), 20))
        assert slow["id"] == "slow"
        assert "ok" in slow
        assert time.monotonic() - began > 0.9
        for session in ("ws-slow", "ws-quick"):
            assert await ask(socket, json.dumps({"id": 1, "verb": "close", "session": session})) == {
                "id": 1,
                "ok": None,
            }


async def test_a_sender_of_single_frames_never_gets_an_array(server: Launched) -> None:
    async with dial(server) as socket:
        for number in range(8):
            body = {"task": {"env": "counter", "key": "train/0", "seed": number}}
            await socket.send(json.dumps({"id": number, "verb": "open", "body": body}))
        replies = [json.loads(await asyncio.wait_for(socket.recv(), 20)) for _ in range(8)]
        assert sorted(reply["id"] for reply in replies) == list(range(8))
        sessions = [reply["ok"]["session"] for reply in replies]
        closing = [{"id": number, "verb": "close", "session": session} for number, session in enumerate(sessions)]
        seen: list[Any] = []
        await socket.send(json.dumps(closing))
        while len(seen) < 8:
            answers = json.loads(await asyncio.wait_for(socket.recv(), 20))
            assert isinstance(answers, list)
            seen += answers
        assert sorted(answer["id"] for answer in seen) == list(range(8))


async def test_each_request_of_an_array_is_answered_or_refused_on_its_own(server: Launched) -> None:
    async with dial(server) as socket:
        body = {"task": {"env": "trivial", "key": "train/0"}, "session": "ws-array"}
        await ask(socket, json.dumps({"id": 0, "verb": "open", "body": body}))
        step = {"id": 1, "verb": "step", "session": "ws-array", "body": {"index": 0, "action": {"text": "a"}}}
        answers = await ask(
            socket,
            json.dumps(
                [
                    step,
                    {**step, "id": 'the "same"'},
                    {**step, "id": 2, "body": {"index": 5, "action": {"text": "a"}}},
                    {**step, "id": 3, "session": "nobody"},
                    {**step, "id": 4, "more": 1},
                    {**step, "id": 5, "body": {"index": 1, "action": {"text": "b", "tool": None}}},
                    {**step, "id": 6, "body": {"index": 2, "action": {"text": "c"}}},
                ]
            ),
        )
        assert [answer["id"] for answer in answers] == [1, 'the "same"', 2, 3, 4, 5, 6]
        kinds = [answer.get("problem", {}).get("type", "ok") for answer in answers]
        assert kinds == ["ok", "ok", "OutOfTurn", "UnknownSession", "BadRequest", "ok", "ok"]
        assert answers[0]["ok"] == answers[1]["ok"] != answers[5]["ok"]
        await ask(socket, json.dumps({"id": 7, "verb": "close", "session": "ws-array"}))


BAD = {
    "not JSON": "{",
    "NaN": '{"id": 1, "verb": "open", "body": NaN}',
    "a number": "3",
    "an empty array": "[]",
    "no id": '{"verb": "close", "session": "x"}',
    "a boolean id": '{"id": true, "verb": "close", "session": "x"}',
    "no verb": '{"id": 1}',
    "an unknown verb": '{"id": 1, "verb": "reset"}',
    "a verb of another type": '{"id": 1, "verb": ["step"]}',
    "an unknown key": '{"id": 1, "verb": "close", "session": "x", "sesion": "y"}',
    "a step without a body": '{"id": 1, "verb": "step", "session": "x"}',
    "a step of no session": '{"id": 1, "verb": "step", "body": {"index": 0, "action": {}}}',
    "a session of another type": '{"id": 1, "verb": "step", "session": [], "body": {"index": 0, "action": {}}}',
    "a close with a body": '{"id": 1, "verb": "close", "session": "x", "body": {}}',
    "a negative index": '{"id": 1, "verb": "step", "session": "x", "body": {"index": -1, "action": {}}}',
    "a misspelt action": '{"id": 1, "verb": "step", "session": "x", "body": {"index": 0, "action": {"txt": ""}}}',
    "a lone surrogate": '{"id": 1, "verb": "close", "session": "\\ud800"}',
}


async def test_a_frame_that_cannot_be_read_is_refused_and_the_connection_lives(server: Launched) -> None:
    async with dial(server) as socket:
        for what, frame in BAD.items():
            answer = await ask(socket, frame)
            assert answer["problem"]["type"] == "BadRequest", what
            assert answer["id"] in (1, None), what
        refused = await ask(socket, json.dumps([json.loads(BAD["no verb"]), 7, []]))
        while len(refused) < 3:
            refused += json.loads(await asyncio.wait_for(socket.recv(), 20))
        assert {answer["problem"]["type"] for answer in refused} == {"BadRequest"}
        too_many = await ask(socket, json.dumps([{"id": 1, "verb": "close", "session": "x"}] * 1025))
        assert "at most 1024" in json.dumps(too_many)


async def test_a_frame_over_the_limit_or_not_utf8_closes_the_connection_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with launch(["worlds:Trivial"], frame_limit_bytes=4096, token="t", log=log) as server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await dial(server)
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body or b"")["type"] == "Unauthorized"
        headers = {"Authorization": "Bearer t"}
        async with dial(server, additional_headers=headers) as bystander:
            async with dial(server, additional_headers=headers) as socket:
                with pytest.raises(websockets.ConnectionClosedError) as closed:
                    await ask(socket, "x" * 5000)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009
            async with dial(server, additional_headers=headers) as socket:
                await socket.send(b"\xff\xfe", text=True)
                with pytest.raises(websockets.ConnectionClosedError) as closed:
                    await asyncio.wait_for(socket.recv(), 20)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1007
            assert await ask(bystander, '{"id": 1, "verb": "close", "session": "x"}') == {"id": 1, "ok": None}
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(f"{server.url.replace('http', 'ws', 1)}/v1/wss", additional_headers=headers)
        assert refused.value.response.status_code == 404
    said = log.read_text()
    assert "serving at" in said
    assert "handshake" not in said

"""OpenEnv's wire over the session table."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import websockets

from envserver.launch import launch
from envserver.plugins import NoSuchPlugin, load
from envserver.protocols.base import Protocol, split
from envserver.schema import Observation, StepResult

WIRE = Path(__file__).parent.parent / "wire"
TASK = {"key": "doors-3/train/0005", "seed": 3}


def _socket(url, path="keydoor/ws"):
    return websockets.connect(f"ws{url.removeprefix('http')}/openenv/{path}", compression=None)


async def _ask(socket, frame):
    await socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))
    answer = await asyncio.wait_for(socket.recv(), 20)
    assert isinstance(answer, str)
    return json.loads(answer)


def test_a_protocol_is_a_file_of_its_name():
    assert load("envserver.protocols", "openenv", Protocol).__name__ == "OpenEnv"
    with pytest.raises(NoSuchPlugin, match="no protocol is named 'openenf'; did you mean 'openenv'"):
        load("envserver.protocols", "openenf", Protocol)


def test_a_result_is_split_where_its_observation_ends():
    result = StepResult(observation=Observation(text='a]},"reward":9', choices=['"]},"reward":1,']), info={"reward": 2})
    observation, rest = split(result.model_dump_json().encode())
    assert json.loads(observation) == result.observation.model_dump()
    assert json.loads(b"{%b}" % rest) == result.model_dump(exclude={"observation"})


async def test_an_episode_is_played_in_golden_frames(gym_url):
    async with _socket(gym_url) as socket:
        for sent, answer in json.loads((WIRE / "openenv-episode.json").read_text()):
            assert await _ask(socket, sent) == answer


async def test_the_sessions_are_ordinary_ones_and_end_with_their_connection(gym_url):
    async with httpx.AsyncClient(base_url=gym_url) as http:
        async with _socket(gym_url) as socket:
            await _ask(socket, {"type": "reset", "data": {**TASK, "episode_id": "mine"}})
            await _ask(socket, {"type": "step", "data": {"command": "wait"}})
            mine = [state for state in (await http.get("/v1/sessions")).json() if state["owner"] == "mine"]
            assert [state["index"] for state in mine] == [1]
            transcript = (await http.get(f"/v1/sessions/{mine[0]['session']}")).json()
            assert transcript["actions"] == [{"text": "wait", "tool": None, "arguments": {}}]
            await _ask(socket, {"type": "reset", "data": {**TASK, "episode_id": "next"}})
        for _ in range(100):
            owners = {state["owner"] for state in (await http.get("/v1/sessions")).json()}
            if not owners & {"mine", "next"}:
                break
            await asyncio.sleep(0.05)
        assert not owners & {"mine", "next"}


async def test_frames_sent_together_are_answered_in_their_order(gym_url):
    async with _socket(gym_url) as socket:
        await socket.send(json.dumps({"type": "reset", "data": {**TASK, "options": {"max_steps": 50}}}))
        for count in range(20):
            await socket.send(json.dumps({"type": "step", "data": {"command": f"wait {count}"}}))
            await socket.send(json.dumps({"type": "state"}))
        answers = [json.loads(await asyncio.wait_for(socket.recv(), 20)) for _ in range(41)]
        assert [answer["data"]["step_count"] for answer in answers[2::2]] == list(range(1, 21))
        assert {answer["type"] for answer in answers[1::2]} == {"observation"}


async def test_a_refused_reset_loses_nothing(gym_url):
    async with _socket(gym_url) as socket:
        await _ask(socket, {"type": "reset", "data": TASK})
        await _ask(socket, {"type": "step", "data": {"command": "wait"}})
        refused = await _ask(socket, {"type": "reset", "data": {"key": "nowhere"}})
        assert (refused["data"]["code"], refused["data"]["kind"]) == ("EXECUTION_ERROR", "UnknownTask")
        assert (await _ask(socket, {"type": "state"}))["data"]["step_count"] == 1


async def test_http_has_sessions_by_header_cookie_or_body(gym_url):
    async with httpx.AsyncClient(base_url=f"{gym_url}/openenv/keydoor") as http:
        assert (await http.get("/state")).json() == {"episode_id": None, "step_count": 0}
        lost = await http.post("/step", json={"action": {"command": "wait"}})
        assert (lost.status_code, lost.json()["kind"]) == (422, "BadRequest")
        first = await http.post("/reset", json={**TASK, "episode_id": "ep 1"})
        session = first.headers["x-session-id"]
        assert first.json()["metadata"]["session_id"] == session
        for _ in range(2):
            stepped = await http.post("/step", json={"action": {"command": "wait"}, "index": 0})
            assert (stepped.json()["reward"], stepped.json()["done"]) == (0.0, False)
        assert (await http.get("/state")).json() == {"episode_id": "ep 1", "step_count": 1}
        http.cookies.clear()
        await http.post("/step", json={"action": {"command": "wait"}}, headers={"X-Session-ID": session})
        await http.post("/step", json={"action": {"command": "wait"}, "session_id": session})
        assert (await http.get("/state", params={"session_id": session})).json()["step_count"] == 3
        wrong = await http.post("/step", json={"action": {"comand": "wait"}, "session_id": session})
        assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "action", "command"])
        unknown = await http.post("/step", json={"action": {"command": "wait"}, "session_id": "nope"})
        assert (unknown.status_code, unknown.json()["kind"]) == (404, "UnknownSession")
        nowhere = await http.get(f"{gym_url}/openenv/keydor/health")
        assert (nowhere.status_code, nowhere.json()["kind"]) == (404, "UnknownEnv")


async def test_the_tasks_of_a_split_are_shown_as_what_a_reset_takes(gym_url):
    async with httpx.AsyncClient(base_url=f"{gym_url}/openenv/keydoor") as http:
        env = (await http.get("/list_environments")).json()
        assert env == ["keydoor"]
        assert {"name": "valid", "type": "validation"} in (await http.get("/keydoor/splits")).json()
        count = (await http.post("/keydoor/num_tasks", json={"split": "train"})).json()["num_tasks"]
        last = (await http.post("/keydoor/task", json={"split": "train", "index": -1})).json()["task"]
        page = (await http.post("/keydoor/task_range", json={"split": "train", "start": count - 2})).json()
        assert (len(page["tasks"]), page["tasks"][-1], page["env_name"]) == (2, last, "keydoor")
        assert (await http.post("/reset", json=last)).status_code == 200
        for body, status in (({"split": "train", "index": count}, 400), ({"split": "nope"}, 404), ({}, 422)):
            assert (await http.post("/keydoor/task", json=body)).status_code == status


async def test_a_server_speaks_the_protocols_it_is_told(tmp_path):
    with launch(["null"], workers=1, protocols=(), log=tmp_path / "log") as server:
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{server.url}/openenv/null/health")).status_code == 404
        with pytest.raises(websockets.InvalidStatus, match="404"):
            async with _socket(server.url, "null/ws"):
                pass


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A world that does as it is told, with room for two sessions, short leases and small frames."""
    log = tmp_path_factory.mktemp("narrow") / "log"
    limits = {"max_sessions": 2, "lease_s": 3.0, "call_timeout_s": 1.5, "frame_limit_bytes": 1 << 16}
    with launch(["worlds:Wild", "keydoor"], workers=1, log=log, **limits) as server:
        yield server.url


async def _emptied(url):
    """Until no session is left."""
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(200):
            if (await http.get("/health")).json()["sessions"] == 0:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("sessions are left")


async def test_a_full_gym_says_so_and_the_connection_may_reset_again(narrow):
    async with _socket(narrow, "wild/ws") as first, _socket(narrow, "wild/ws") as second:
        for socket in (first, second):
            assert (await _ask(socket, {"type": "reset"}))["type"] == "observation"
        async with _socket(narrow, "wild/ws") as third:
            full = (await _ask(third, {"type": "reset"}))["data"]
            assert (full["code"], full["active_sessions"], full["max_sessions"]) == ("CAPACITY_REACHED", 2, 2)
            async with httpx.AsyncClient(base_url=f"{narrow}/openenv/wild") as http:
                refused = await http.post("/reset")
                assert (refused.status_code, refused.json()["kind"]) == (429, "GymFull")
                assert refused.headers["retry-after"] == "1"
            # One that has an episode resets in a full gym, too.
            assert (await _ask(first, {"type": "reset"}))["type"] == "observation"
            await second.send('{"type":"close"}')
            with pytest.raises(websockets.ConnectionClosedOK):
                await second.recv()
            assert (await _ask(third, {"type": "reset"}))["type"] == "observation"
    await _emptied(narrow)


async def test_clients_that_vanish_free_their_slots_and_a_silent_one_within_its_lease(narrow):
    for turn in range(4):
        socket = await _socket(narrow, "wild/ws")
        assert (await _ask(socket, {"type": "reset"}))["type"] == "observation"
        await socket.send(json.dumps({"type": "step", "data": {"command": "sleep 0.3"}}))
        socket.transport.abort()
        await asyncio.sleep(0.1)
        if turn % 2:
            await _emptied(narrow)
    async with _socket(narrow, "wild/ws") as silent:
        await _ask(silent, {"type": "reset"})
        await _emptied(narrow)
        lost = (await _ask(silent, {"type": "step", "data": {"command": "1"}}))["data"]
        assert (lost["code"], lost["kind"]) == ("EXECUTION_ERROR", "UnknownSession")
        assert (await _ask(silent, {"type": "reset"}))["type"] == "observation"
    await _emptied(narrow)


async def test_a_world_that_fails_hangs_or_ends_is_an_error_and_a_reset_goes_on(narrow):
    async with _socket(narrow, "wild/ws") as socket:
        for command, kind in (("raise", "WorldFailed"), ("sleep 9", "WorldSilent"), ("exit", "WorldFailed")):
            assert (await _ask(socket, {"type": "reset"}))["type"] == "observation"
            failed = (await _ask(socket, {"type": "step", "data": {"command": command}}))["data"]
            assert (failed["code"], failed["kind"]) == ("EXECUTION_ERROR", kind)
            after = (await _ask(socket, {"type": "step", "data": {"command": "1"}}))["data"]
            assert (after["code"], after["kind"]) == ("EXECUTION_ERROR", "EpisodeOver")
    async with _socket(narrow, "keydoor/ws") as socket:
        await _ask(socket, {"type": "reset", "data": {**TASK, "options": {"max_steps": 5}}})
        done = [(await _ask(socket, {"type": "step", "data": {"command": "wait"}}))["data"]["done"] for _ in range(5)]
        assert done == [False] * 4 + [True]
        after = (await _ask(socket, {"type": "step", "data": {"command": "wait"}}))["data"]
        assert after["message"] == "the episode is over (truncated); open another"
        assert (await _ask(socket, {"type": "reset", "data": TASK}))["data"]["done"] is False


async def test_binary_frames_are_refused_and_large_ones_end_the_connection(narrow):
    async with _socket(narrow, "keydoor/ws") as socket:
        await _ask(socket, {"type": "reset", "data": TASK})
        assert (await _ask(socket, b'{"type":"state"}'))["data"]["code"] == "INVALID_JSON"
        await socket.send(["{", '"type":"state"', "}"])
        assert json.loads(await socket.recv())["data"]["step_count"] == 0
        assert (await _ask(socket, "[" * 5000))["data"]["code"] == "INVALID_JSON"
        await socket.send("x" * (1 << 17))
        with pytest.raises(websockets.ConnectionClosedError, match="1009"):
            await socket.recv()
    for path, says in (("nowhere/ws", "SESSION_ERROR"), ("keydoor/ws?session_id=nope", "SESSION_ERROR")):
        async with _socket(narrow, path) as socket:
            assert json.loads(await socket.recv())["data"]["code"] == says
            with pytest.raises(websockets.ConnectionClosedOK):
                await socket.recv()
    with pytest.raises(websockets.InvalidStatus):
        async with _socket(narrow, "keydoor/nope"):
            pass
    await _emptied(narrow)


async def test_a_client_that_does_not_read_holds_up_nobody(narrow):
    async with _socket(narrow, "keydoor/ws") as slow, _socket(narrow, "keydoor/ws") as other:
        await _ask(slow, {"type": "reset", "data": {**TASK, "options": {"max_steps": 1000}}})
        slow.transport.pause_reading()
        for _ in range(900):
            slow.transport.write(_masked(b'{"type":"step","data":{"command":"wait"}}'))
        await _ask(other, {"type": "reset", "data": TASK})
        for _ in range(4):
            assert (await _ask(other, {"type": "step", "data": {"command": "wait"}}))["type"] == "observation"
        slow.transport.resume_reading()
        for _ in range(900):
            assert json.loads(await asyncio.wait_for(slow.recv(), 20))["type"] == "observation"
        assert (await _ask(slow, {"type": "state"}))["data"]["step_count"] == 900
    await _emptied(narrow)


def _masked(payload):
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload


async def test_an_attached_session_is_one_for_socket_and_messages(narrow):
    async with httpx.AsyncClient(base_url=f"{narrow}/openenv/keydoor") as http:

        async def rpc(method, **params):
            return (
                await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            ).json()

        session = (await rpc("openenv/session/create", **TASK))["result"]["session_id"]
        wait = {"name": "act", "arguments": {"text": "wait"}, "session_id": session}
        async with _socket(narrow, f"keydoor/ws?session_id={session}") as socket:
            assert "data" in (await rpc("tools/call", **wait))["result"]
            await _ask(socket, {"type": "step", "data": {"command": "wait"}})
            assert "data" in (await rpc("tools/call", **wait))["result"]
            assert (await _ask(socket, {"type": "state"}))["data"]["step_count"] == 3
            await _ask(socket, {"type": "reset", "data": TASK})
            assert (await _ask(socket, {"type": "state"}))["data"]["step_count"] == 0
        assert "data" in (await rpc("tools/call", **wait))["result"]
        assert (await rpc("openenv/session/close", session_id=session))["result"]["closed"] is True
        for method, params in (("openenv/session/close", {"session_id": session}), ("tools/call", wait)):
            assert (await rpc(method, **params))["error"]["message"] == f"Unknown session_id: {session}"
        assert (await rpc("openenv/session/create", key="nowhere"))["error"]["code"] == -32602
        assert (await rpc("tools/call", name="act"))["error"]["message"].startswith("no session: send session_id")
        assert (await http.post("/mcp", json={})).json()["error"]["code"] == -32600
        assert (await http.post("/mcp", content=b"\xff")).json()["error"]["code"] == -32600

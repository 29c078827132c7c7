"""MCP over the session table, as its specification has it; tests/peers runs the official client."""

import asyncio
import json

import httpx
import pytest

from envserver.launch import launch

BOTH = {"accept": "application/json, text/event-stream"}
KEY = {"env": "keydoor", "key": "doors-3/train/0005", "seed": "3"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Worlds of texts, of tools, and one that takes its time, with room for three sessions."""
    log = tmp_path_factory.mktemp("mcp") / "log"
    worlds = ["keydoor", "tooluse", "worlds:Wild"]
    with launch(worlds, workers=1, log=log, max_sessions=3, lease_s=60) as server:
        yield server.url


@pytest.fixture
async def http(served):
    async with httpx.AsyncClient(base_url=served, headers=BOTH, timeout=30) as http:
        yield http
        for state in (await http.get("/v1/sessions")).json():
            await http.delete(f"/v1/sessions/{state['session']}")


def _message(method, id=1, **params):
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


async def _begin(http, query, version="2025-11-25"):
    asked = _message("initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "t", "version": "1"})
    answer = await http.post("/mcp", params=query, json=asked)
    headers = {"mcp-protocol-version": version}
    if "mcp-session-id" in answer.headers:
        headers["mcp-session-id"] = answer.headers["mcp-session-id"]
    return answer.json(), headers


async def _call(http, headers, name, id=2, meta=None, **arguments):
    more = {"_meta": meta} if meta else {}
    return await http.post(
        "/mcp", json=_message("tools/call", id, name=name, arguments=arguments, **more), headers=headers
    )


def _events(text):
    """(id, data) of each event."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.partition(":")[::2] for line in block.splitlines())
        found.append((lines["id"].strip(), lines["data"].strip()))
    return found


async def test_a_session_is_opened_listed_played_and_closed(http):
    answer, headers = await _begin(http, KEY)
    assert answer["result"]["protocolVersion"] == "2025-11-25"
    assert answer["result"]["capabilities"] == {"tools": {}}
    assert "The way out is the brown door." in answer["result"]["instructions"]
    assert "open red door" in answer["result"]["instructions"]
    assert (await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})).status_code == 202
    tools = (await http.post("/mcp", json=_message("tools/list"), headers=headers)).json()["result"]["tools"]
    assert [(tool["name"], tool["inputSchema"]["required"]) for tool in tools] == [("act", ["text"])]
    played = (await _call(http, headers, "act", text="open red door")).json()["result"]
    assert played["isError"] is False
    assert played["content"][0]["text"].startswith("The red door is locked.")
    assert played["content"][1]["text"].startswith("Accepted here:\n")
    assert played["_meta"]["turnhalle/step"]["index"] == 1
    assert "reward" not in json.dumps(played["content"])
    session = headers["mcp-session-id"]
    state = (await http.get(f"/v1/sessions/{session}")).json()
    assert (state["owner"], state["index"], state["actions"][0]["text"]) == ("t", 1, "open red door")
    assert (await http.delete("/mcp", headers=headers)).status_code == 204
    assert (await http.delete("/mcp", headers=headers)).status_code == 404
    gone = await _call(http, headers, "act", text="wait")
    assert (gone.status_code, gone.json()["error"]["data"]["kind"]) == (404, "UnknownSession")


async def test_a_worlds_tools_are_the_sessions(http):
    _, headers = await _begin(http, {"env": "tooluse", "seed": "5"})
    tools = (await http.post("/mcp", json=_message("tools/list"), headers=headers)).json()["result"]["tools"]
    names = [tool["name"] for tool in tools]
    assert names[-1] == "done"
    assert all(tool["inputSchema"]["type"] == "object" and tool["description"] for tool in tools)
    answer = (await _call(http, headers, names[0], id="a")).text
    (primer, empty), (_, data) = _events(answer) if answer.startswith("event") else (("", ""), ("", answer))
    assert (empty, json.loads(data)["id"]) == ("", "a")
    assert json.loads(data)["result"]["_meta"]["turnhalle/step"]["reward"] == 0.0
    unknown = (await _call(http, headers, "no_such")).json()["error"]
    assert (unknown["code"], unknown["message"].startswith("Unknown tool: no_such; there are: ")) == (-32602, True)
    assert primer


async def test_a_stream_that_was_cut_is_resumed_and_its_step_played_once(http):
    _, headers = await _begin(http, {"env": "wild", "key": "train/0"})
    async with http.stream(
        "POST", "/mcp", json=_message("tools/call", "x", name="act", arguments={"text": "sleep 1"}), headers=headers
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        async for chunk in answer.aiter_text():
            (primer, empty), *rest = _events(chunk)
            break
    assert (empty, rest) == ("", [])
    for _ in range(2):
        resumed = await http.get("/mcp", headers={**headers, "last-event-id": primer})
        ((done, data),) = _events(resumed.text)
        assert json.loads(data)["id"] == "x"
        assert json.loads(data)["result"]["_meta"]["turnhalle/step"]["index"] == 1
    assert (await http.get("/mcp", headers={**headers, "last-event-id": done})).text == ""
    assert (await http.get(f"/v1/sessions/{headers['mcp-session-id']}")).json()["index"] == 1
    for wrong in ("7.MQ==", "x", "0", "0.!", "-1.MQ=="):
        assert (await http.get("/mcp", headers={**headers, "last-event-id": wrong})).status_code in (200, 400)
    old = {**headers, "mcp-protocol-version": "2025-06-18"}
    assert len(_events((await _call(http, old, "act", text="1")).text)) == 1
    plain = await _call(http, {**headers, "accept": "application/json"}, "act", text="1")
    assert plain.json()["result"]["_meta"]["turnhalle/step"]["index"] == 3


async def test_a_call_with_an_index_is_played_once(http):
    _, headers = await _begin(http, KEY)
    for index in (0, 0, 1):
        played = await _call(http, headers, "act", meta={"turnhalle/index": index}, text="wait")
        assert played.json()["result"]["_meta"]["turnhalle/step"]["index"] == index + 1
    ahead = (await _call(http, headers, "act", meta={"turnhalle/index": 7}, text="wait")).json()["result"]
    assert (ahead["isError"], ahead["_meta"]["turnhalle/error"]) == (True, "OutOfTurn")
    wrong = (await _call(http, headers, "act", meta={"turnhalle/index": "0"}, text="wait")).json()["error"]
    assert wrong["code"] == -32602


async def test_what_comes_after_the_end_is_an_error_the_model_can_read(http):
    _, headers = await _begin(http, {**KEY, "options": '{"max_steps": 5}'})
    for _ in range(4):
        await _call(http, headers, "act", text="wait")
    last = (await _call(http, headers, "act", text="wait")).json()["result"]
    assert last["_meta"]["turnhalle/step"]["truncated"] is True
    after = (await _call(http, headers, "act", text="wait")).json()["result"]
    assert (after["isError"], after["_meta"]["turnhalle/error"]) == (True, "EpisodeOver")
    assert after["content"][0]["text"] == "the episode is over (truncated); open another"


async def test_a_server_without_a_world_has_tools_that_open_and_step_one(http):
    answer, headers = await _begin(http, {})
    assert "mcp-session-id" not in headers
    assert "list_envs" in answer["result"]["instructions"]
    tools = (await http.post("/mcp", json=_message("tools/list"))).json()["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["list_envs", "list_tasks", "open", "step", "close"]
    assert "keydoor: " in (await _call(http, headers, "list_envs")).json()["result"]["content"][0]["text"]
    keys = (await _call(http, headers, "list_tasks", env="keydoor", limit=2)).json()["result"]["content"][0]["text"]
    assert len(keys.splitlines()) == 3
    opened = (await _call(http, headers, "open", env="keydoor", key="doors-3/train/0005", seed=3)).json()["result"]
    session = opened["_meta"]["turnhalle/step"]["session"]
    assert opened["content"][0]["text"].startswith(f"session: {session}\n")
    for _ in range(2):
        stepped = (await _call(http, headers, "step", session=session, text="wait", index=0)).json()["result"]
        assert stepped["_meta"]["turnhalle/step"]["index"] == 1
    for name, arguments, says in (
        ("step", {"session": session, "txt": "wait"}, "step: txt: Extra inputs are not permitted"),
        ("step", {"session": "nope"}, "no session 'nope': it never was, was closed, or its lease ran out"),
        ("open", {"env": "keydor"}, "no environment is named 'keydor'; did you mean 'keydoor'?"),
        ("open", {"env": "keydoor", "index": True}, "open: index: Input should be a valid integer"),
    ):
        refused = (await _call(http, headers, name, **arguments)).json()["result"]
        assert (refused["isError"], refused["content"][0]["text"]) == (True, says)
    assert (await _call(http, headers, "close", session=session)).json()["result"]["isError"] is False
    assert (await http.get("/v1/sessions")).json() == []


async def test_what_is_no_message_is_refused_and_the_session_goes_on(http):
    _, headers = await _begin(http, KEY)
    for body, status, code in (
        (b"{", 400, -32700),
        (b"\xff\xfe", 400, -32700),
        (b"[]", 400, -32600),
        (b"7", 400, -32600),
        (b"[" * 5000, 400, -32700),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', 200, -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "nope"}', 200, -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', 200, -32602),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": 7}}',
            200,
            -32602,
        ),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "act"}}', 200, -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "server/discover"}', 200, -32601),
    ):
        answer = await http.post("/mcp", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body
    assert (await http.post("/mcp", content=b"x" * (9 << 20), headers=headers)).status_code == 413
    assert (await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "result": {}}, headers=headers)).status_code == 202
    assert (await http.get("/mcp", headers=headers)).status_code == 405
    assert (await http.put("/mcp", headers=headers)).status_code == 405
    assert (await http.post("/mcp/x", headers=headers)).status_code == 404
    assert (await http.post("/mcp", headers={**headers, "mcp-protocol-version": "1999"})).status_code == 400
    assert (await http.post("/mcp", headers={**headers, "origin": "http://evil.example"})).status_code == 403
    unbegun = (await http.post("/mcp", params=KEY, json=_message("tools/call", name="act"))).json()
    assert unbegun["error"]["message"] == "no session: initialize first, and send its Mcp-Session-Id"
    assert (await _call(http, headers, "act", text="wait")).json()["result"]["isError"] is False


async def test_a_wrong_task_and_a_full_gym_are_refused_at_the_handshake(http):
    for query, says in (
        ({"env": "keydor"}, "no environment is named 'keydor'"),
        ({"env": "keydoor", "key": "nowhere"}, "'keydoor' has no task 'nowhere'"),
        ({"env": "keydoor", "index": "x"}, "index and seed are integers"),
        ({"env": "keydoor", "index": "99999999"}, "'keydoor' has "),
        ({"env": "keydoor", "sed": "1"}, "/mcp has no parameter 'sed'"),
        ({"env": "keydoor", "options": "[]"}, "options: "),
    ):
        refused, _ = await _begin(http, query)
        assert refused["error"]["message"].startswith(says)
    for _ in range(3):
        _, headers = await _begin(http, KEY)
    full, _ = await _begin(http, KEY)
    assert (full["error"]["code"], full["error"]["data"]) == (-32000, {"kind": "GymFull", "retry_after_s": 1.0})
    await http.delete("/mcp", headers=headers)
    again, _ = await _begin(http, KEY)
    assert "result" in again


async def test_a_client_that_vanishes_in_a_call_leaves_a_session_that_goes_on(http, served):
    _, headers = await _begin(http, {"env": "wild", "key": "train/0"})
    async with httpx.AsyncClient(base_url=served, headers=BOTH) as other:
        with pytest.raises(httpx.ReadTimeout):
            await other.post(
                "/mcp",
                json=_message("tools/call", name="act", arguments={"text": "sleep 1"}),
                headers={**headers, "accept": "application/json"},
                timeout=0.3,
            )
    await asyncio.sleep(1.2)
    answer = await _call(http, {**headers, "accept": "application/json"}, "act", text="1")
    assert answer.json()["result"]["_meta"]["turnhalle/step"]["index"] == 2


@pytest.mark.slow
async def test_every_worlds_tools_are_listed_and_called(tmp_path):
    with launch(workers=1, log=tmp_path / "log") as server:
        async with httpx.AsyncClient(base_url=server.url, headers=BOTH, timeout=180) as http:
            cards = (await http.get("/v1/envs")).json()
            played = {}
            for card in cards:
                begun, headers = await _begin(http, {"env": card["env"], "index": "0"})
                tools = (await http.post("/mcp", json=_message("tools/list"), headers=headers)).json()["result"][
                    "tools"
                ]
                names = [tool["name"] for tool in tools]
                opened = (await http.get(f"/v1/sessions/{headers['mcp-session-id']}")).json()
                assert begun["result"]["instructions"].strip(), card["env"]
                assert opened["results"][0]["observation"]["text"] in begun["result"]["instructions"]
                arguments = {"text": "look"} if names == ["act"] else {}
                called = await _call(http, {**headers, "accept": "application/json"}, names[0], **arguments)
                result = called.json()["result"]
                assert result["isError"] is False, (card["env"], result)
                assert result["_meta"]["turnhalle/step"]["index"] == 1
                played[card["env"]] = names
                await http.delete("/mcp", headers=headers)
            assert played["keydoor"] == ["act"]
            assert played["sql"] == ["tables", "schema", "query", "answer"]
            assert {name for name, names in played.items() if names != ["act"]} >= {
                "tooluse",
                "search",
                "python",
                "sql",
            }

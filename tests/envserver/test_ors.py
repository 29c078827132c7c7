"""ORS over the session table, by the calls of the openreward SDK."""

import asyncio
import json
import uuid

import httpx
import pytest

from envserver.launch import launch
from envserver.protocols.ors import _parts

FIRST = "The way out is the brown door. It is dark; there is a lamp. You hold nothing."
ACCEPTED = "Accepted here:\nlight lamp\nopen brown door\nopen green door\nopen red door"
SPEC = {"key": "doors-3/train/0005", "seed": 3}


@pytest.fixture
async def http(gym_url):
    async with httpx.AsyncClient(base_url=f"{gym_url}/ors", timeout=20) as http:
        yield http


def _events(text):
    """A stream's events, each a name and its data."""
    events = []
    for block in text.split("\n\n"):
        lines = [line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")]
        if lines:
            events.append((lines[0][1], lines[1][1]))
    return events


async def _create(http, env="keydoor", **body):
    """A session's header."""
    opened = await http.post("/create_session", json={})
    [(name, sid), end] = _events(opened.text.replace("data: \n", "data:  \n"))
    assert (name, end[0]) == ("task_id", "end")
    header = {"X-Session-ID": sid}
    created = await http.post("/create", json={"env_name": env, **(body or {"task_spec": SPEC})}, headers=header)
    assert (created.status_code, created.json()) == (200, {"sid": sid})
    return header


async def _call(http, header, name="act", task_id=None, env="keydoor", **given):
    body = {"name": name, "input": given} | ({"task_id": task_id} if task_id else {})
    answer = await http.post(f"/{env}/call", json=body, headers=header)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, *parts = _events(answer.text)
    if parts[-1][0] == "error":
        return first[1], parts[-1][1]
    assert (first[0], parts[-1][0]) == ("task_id", "end")
    return first[1], json.loads("".join(data for _, data in parts))


def _block(text):
    return {"text": text, "detail": None, "type": "text"}


async def test_a_session_is_created_called_and_deleted(http):
    assert (await http.get("/health")).json() == {"status": "ok"}
    assert (await http.get("/list_environments")).json() == ["keydoor"]
    header = await _create(http)
    assert (await http.post("/ping", headers=header)).json() == {"status": "ok"}
    [prompt] = (await http.get("/keydoor/prompt", headers=header)).json()
    assert prompt["text"].startswith("You are locked in a room.")
    assert prompt["text"].endswith(f"{FIRST}\n{ACCEPTED}")
    assert (await http.get("/keydoor/messages", headers=header)).json()[0]["blocks"] == [prompt]
    tools = (await http.get("/keydoor/task_tools", headers=header)).json()
    assert [tool["name"] for tool in tools["tools"]] == ["act"]
    assert tools == (await http.get("/keydoor/tools")).json()
    _, called = await _call(http, header, text="wait")
    assert called == {
        "ok": True,
        "output": {
            "blocks": [_block(f"Nothing happens. {FIRST}"), _block(ACCEPTED)],
            "metadata": {"terminated": False, "truncated": False, "success": None, "measured": {}, "info": {}},
            "reward": 0.0,
            "finished": False,
        },
    }
    for _ in range(2):
        assert (await http.post("/delete", headers=header)).json() == {"sid": header["X-Session-ID"]}
    assert (await http.post("/delete_session", headers=header)).status_code == 200
    for path in ("/ping", "/create"):
        gone = await http.post(path, headers=header, json={"env_name": "keydoor", "task_spec": SPEC})
        assert (gone.status_code, gone.json()["detail"]) == (410, "Session deleted")


async def test_a_call_that_is_none_costs_no_step_and_an_end_is_told(http):
    header = await _create(http)
    assert (await _call(http, header, "fly"))[1]["reason"] == "not_found"
    assert (await _call(http, header, text=1))[1]["reason"] == "input_validation"
    outcomes = [(await _call(http, header, text="wait"))[1] for _ in range(9)]
    assert [one["output"]["finished"] for one in outcomes[:8]] == [False] * 7 + [True]
    assert (outcomes[8]["ok"], outcomes[8]["reason"]) == (False, "episode_finished")


async def test_a_call_is_resumed_by_its_task_id_and_not_played_twice(http):
    header = await _create(http)
    task_id, first = await _call(http, header, text="light lamp")
    await _call(http, header, text="wait")
    assert await _call(http, header, task_id=task_id, text="light lamp") == (task_id, first)
    state = (await http.get(f"../v1/sessions/{header['X-Session-ID']}")).json()
    assert (state["owner"], state["index"]) == ("ors", 2)
    _, error = await _call(http, header, task_id=task_id, text="another")
    assert error.startswith("OutOfTurn: ")
    for unknown in (f"3.{header['X-Session-ID']}", "0.nope", "nope", f"-1.{header['X-Session-ID']}"):
        answer = await http.post("/keydoor/call", json={"name": "act", "input": {}, "task_id": unknown}, headers=header)
        assert _events(answer.text) == [("error", "unknown task_id")]


async def test_a_stream_that_is_cut_while_its_world_works_is_resumed(server):
    async with httpx.AsyncClient(base_url=f"{server.url}/ors", timeout=20) as http:
        header = await _create(http, "wild", split="train", index=0)
        body = {"name": "act", "input": {"text": "sleep 0.5"}}
        async with http.stream("POST", "/wild/call", json=body, headers=header) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: task_id"
            task_id = (await anext(lines)).removeprefix("data: ")
            # The rest is lost.
        resumed = [await _call(http, header, task_id=task_id, env="wild", text="sleep 0.5") for _ in range(2)]
        assert resumed[0] == resumed[1]
        assert resumed[0][1]["output"]["reward"] == 0.5
        state = (await http.get(f"../v1/sessions/{header['X-Session-ID']}")).json()
        assert state["index"] == 1, "the step was played once"
        _, failed = await _call(http, header, env="wild", text="raise")
        assert failed.startswith("WorldFailed: "), "a world's failure is no reward of 0"


async def test_the_tasks_of_a_split_are_what_a_session_is_created_with(http):
    assert {"name": "valid", "type": "validation"} in (await http.get("/keydoor/splits")).json()
    count = (await http.post("/keydoor/num_tasks", json={"split": "train"})).json()["num_tasks"]
    last = (await http.post("/keydoor/task", json={"split": "train", "index": -1})).json()
    page = (await http.post("/keydoor/task_range", json={"split": "train", "start": count - 2})).json()
    assert (page["tasks"][1], page["env_name"], len(page["tasks"])) == (last["task"], "keydoor", 2)
    first = (await http.post("/keydoor/tasks", json={"split": "test"})).json()["tasks"][0]
    assert first == {"key": "doors-3/test/0000"}
    header = await _create(http, task_spec=last["task"])
    again = {"env_name": "keydoor", "task_spec": last["task"]}
    assert (await http.post("/create", json=again, headers=header)).status_code == 200, "a retry is safe"
    other = await http.post("/create", json={"env_name": "keydoor", "task_spec": SPEC}, headers=header)
    assert (other.status_code, other.json()["detail"][:22]) == (400, "Session already exists")


async def test_the_sdk_is_known_by_its_name_where_it_asks_at_the_root(gym_url):
    agent = {"User-Agent": "openreward-sdk/0.1.167", "X-Deployment": "turnhalle/keydoor"}
    async with httpx.AsyncClient(base_url=gym_url, headers=agent, timeout=20) as http:
        assert (await http.get("/splits")).json()[0]["name"] == "train"
        header = await _create(http, None, split="train", index=5)
        assert (await http.get("/prompt", headers=header)).status_code == 200
        assert (await http.get("/v1/envs")).status_code == 200
    async with httpx.AsyncClient(base_url=gym_url) as http:
        assert (await http.get("/splits")).status_code == 404


@pytest.mark.parametrize(
    ("path", "sid", "body", "status"),
    [
        ("/ping", None, {}, 400),
        ("/ping", "never", {}, 404),
        ("/ping", "a b", {}, 400),
        ("/keydoor/call", "never", {"name": "act", "input": {}}, 404),
        ("/create", "new", {"env_name": "keydor", "task_spec": SPEC}, 404),
        ("/create", "new", {"env_name": "keydoor"}, 422),
        ("/create", "new", {"env_name": "keydoor", "split": "train"}, 422),
        ("/create", "new", {"env_name": "keydoor", "split": "train", "index": 0, "task_spec": SPEC}, 422),
        ("/create", "new", {"env_name": "keydoor", "split": "train", "index": 10_000}, 400),
        ("/create", "new", {"env_name": "keydoor", "split": "nope", "index": 0}, 400),
        ("/create", "new", {"env_name": "keydoor", "task_spec": {"key": 1}}, 422),
        ("/create", "new", {"env_name": "keydoor", "task_spec": SPEC, "toolset_name": "bash"}, 400),
        ("/create", "new", [], 422),
        ("/create", "new", b"{", 422),
        ("/keydoor/task", None, {"split": "train", "index": 10_000}, 400),
        ("/keydoor/task", None, {"split": "train", "index": "1"}, 200),
        ("/keydoor/tasks", None, {"splt": "train"}, 422),
        ("/keydoor/score_group", None, {"candidates": []}, 404),
        ("/keydoor/fly", None, {}, 404),
    ],
)
async def test_bad_input_is_a_detail(http, path, sid, body, status):
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = await http.post(path, **sent, headers={"X-Session-ID": sid} if sid else {})
    assert answer.status_code == status
    assert status == 200 or sorted(answer.json()) == ["detail", "kind"]


async def test_a_body_that_is_no_call_costs_no_step(http):
    header = await _create(http)
    for body in ({"name": "act"}, {"name": "act", "input": []}, {"name": 1, "input": {}}, {"input": {}}):
        assert (await http.post("/keydoor/call", json=body, headers=header)).status_code == 422
    assert (await http.get(f"../v1/sessions/{header['X-Session-ID']}")).json()["index"] == 0


def test_no_chunk_begins_with_a_blank_that_the_sdk_would_strip():
    text = "x" * 4095 + " " * 4099 + "y" * 9000 + " "
    parts = _parts(text.encode())
    assert "".join(data.lstrip() for _, data in parts) == text
    assert [name for name, _ in parts] == ["chunk"] * (len(parts) - 1) + ["end"]


async def test_a_full_gym_says_when_to_ask_again_and_silent_sessions_give_their_slots_back(tmp_path):
    limits = {"max_sessions": 1, "lease_s": 3.0, "body_limit_bytes": 4096, "log": tmp_path / "log", "token": "secret"}
    with launch(["keydoor"], workers=1, **limits) as server:
        async with httpx.AsyncClient(base_url=f"{server.url}/ors", headers={"X-API-Key": "secret"}) as http:
            assert (await http.get("/version", headers={"X-API-Key": "wrong"})).status_code == 401
            header = await _create(http)
            large = await http.post("/keydoor/call", content=b"x" * 5000, headers=header)
            assert large.status_code == 413
            sid = {"X-Session-ID": uuid.uuid4().hex}
            asked = {"env_name": "keydoor", "task_spec": SPEC}
            full = await http.post("/create", json=asked, headers=sid)
            assert (full.status_code, full.json()["kind"]) == (429, "GymFull")
            assert int(full.headers["retry-after"]) >= 1
            for _ in range(300):
                freed = await http.post("/create", json=asked, headers=sid)
                if freed.status_code == 200:
                    break
                await asyncio.sleep(0.05)
            assert freed.status_code == 200
            assert (await http.post("/ping", headers=header)).status_code == 404

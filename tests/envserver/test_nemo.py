"""NeMo Gym's wire over the session table, by the calls of its agents."""

import asyncio
import json

import httpx
import pytest

from envserver.launch import launch

PARAMS = {"responses_create_params": {"input": [{"role": "user", "content": "Get out."}]}}
ROW = {**PARAMS, "verifier_metadata": {"key": "doors-3/train/0005", "seed": 3}}
FIRST = "The way out is the brown door. It is dark; there is a lamp. You hold nothing."
ACCEPTED = "\nAccepted here:\nlight lamp\nopen brown door\nopen green door\nopen red door"
CHOICES = ACCEPTED.splitlines()[2:]


@pytest.fixture
async def http(gym_url):
    async with httpx.AsyncClient(base_url=f"{gym_url}/nemo/keydoor", timeout=20) as http:
        yield http


def _says(text):
    content = [{"annotations": [], "text": text, "type": "output_text"}]
    message = {"id": "msg", "content": content, "role": "assistant", "status": "completed", "type": "message"}
    return {**PARAMS, "response": {"id": "r", "object": "response", "output": [message]}}


def _calls(*calls):
    items = [
        {"type": "function_call", "call_id": str(place), "name": name, "arguments": json.dumps(arguments)}
        for place, (name, arguments) in enumerate(calls)
    ]
    return {**PARAMS, "response": {"id": "r", "object": "response", "output": items}}


async def _post(http, path, body, status=200):
    answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def _sessions(http):
    return {state["session"] for state in (await http.get("../../v1/sessions")).json() if state["owner"] == "nemo"}


async def test_tools_are_routes_and_verify_sums_the_rewards_and_closes(http):
    assert await _post(http, "/seed_session", ROW) == {"observation": FIRST}
    session = http.cookies["nemo_session"]
    assert [cookie.path for cookie in http.cookies.jar] == ["/"], (
        "aiohttp sends no other to an address that is a number"
    )
    looked = await http.post("/act", json={"text": "wait"})
    assert looked.json() == {"observation": f"Nothing happens. {FIRST}", "choices": CHOICES, "done": False}
    assert looked.cookies["nemo_session"] == session, "an agent keeps the cookies of the last answer alone"
    assert (await _post(http, "/fly", {}, 404))["detail"] == "Unknown tool: fly; there are: act"
    assert (await _post(http, "/act", {}, 404))["detail"].startswith("act takes text alone")
    asked = {**ROW, **_says("done")}
    verdict = await _post(http, "/verify", asked)
    assert {name: verdict.pop(name) for name in verdict.keys() - asked.keys()} == {
        "reward": 0.0,
        "success": 0.0,
        "steps": 1.0,
        "terminated": False,
        "truncated": False,
        "mask_sample": False,
    }
    assert verdict == asked, "the request's fields come back"
    assert session not in await _sessions(http)
    assert (await _post(http, "/verify", asked))["steps"] == 1.0, "a verdict is given again"
    assert (await http.get("/reverify_mode")).json() == "unsupported"


async def test_gymnasium_agents_reset_step_and_close(http):
    first = await _post(http, "/reset", ROW)
    assert first["observation"].endswith(f"\n\n{FIRST}{ACCEPTED}")
    assert first["info"] == {"supports_explicit_close": True, "supports_step_idempotency": True}
    assert await _post(http, "/step", _says(" wait\n")) == {
        "observation": f"Nothing happens. {FIRST}{ACCEPTED}",
        "reward": 0.0,
        "terminated": False,
        "truncated": False,
        "info": {"success": None},
    }
    called = await _post(http, "/step", _calls(("act", {"text": "wait"}), ("fly", {}), ("act", [])))
    assert called["observation"] is None
    assert called["info"]["tool_outputs"] == [
        {"call_id": "0", "output": f"Nothing happens. {FIRST}{ACCEPTED}"},
        {"call_id": "1", "output": "Unknown tool: fly; there are: act"},
        {"call_id": "2", "output": "tools/call needs a name, a text, and arguments, an object"},
    ]
    session = http.cookies["nemo_session"]
    assert (await http.get(f"../../v1/sessions/{session}")).json()["index"] == 2
    assert await _post(http, "/close", {}) == {"outcome": "closed"}
    assert await _post(http, "/close", {}) == {"outcome": "already_closed"}
    assert (await _post(http, "/step", _says("wait"), 409))["kind"] == "EpisodeOver"


async def test_the_end_gives_the_slot_back_and_another_reset_plays_on(http):
    await _post(http, "/reset", ROW)
    first = http.cookies["nemo_session"]
    for _ in range(8):
        last = await _post(http, "/step", _says("wait"))
    assert (last["terminated"], last["truncated"], last["info"]["success"]) == (False, True, False)
    assert first not in await _sessions(http)
    assert (await _post(http, "/step", _says("wait"), 409))["kind"] == "EpisodeOver"
    await _post(http, "/reset", ROW)
    await _post(http, "/reset", ROW)
    assert len(await _sessions(http)) == 1, "a reset closes the cookie's last session"
    await _post(http, "/close", {})


async def test_a_step_and_a_seed_that_are_sent_again_are_not_played_twice(http):
    asked = {**ROW, "_ng_session_id": "rollout 1/2"}
    for _ in range(2):
        await _post(http, "/reset", asked)
    session = http.cookies["nemo_session"]
    step = {**_says("light lamp"), "_ng_step_request_id": "r1"}
    one, two, three = await asyncio.gather(*(_post(http, "/step", step) for _ in range(3)))
    assert one == two == three
    assert (await http.get(f"../../v1/sessions/{session}")).json()["index"] == 1
    await _post(http, "/step", {**step, "_ng_step_request_id": "r2"})
    assert (await http.get(f"../../v1/sessions/{session}")).json()["index"] == 2
    seeded = {"resources_session_id": "abc", "episode_id": "e", "task_id": "t", "task_data": {"index": 4}}
    assert await _post(http, "/seed_session", seeded) == {"resources_session_id": "abc"}
    closing = {"resources_session_id": "abc", "episode_id": "e"}
    for _ in range(2):
        assert await _post(http, "/close_session", closing) == {"resources_session_id": "abc"}
    assert (await _post(http, "/seed_session", seeded, 409))["kind"] == "OutOfTurn"


async def test_a_failed_or_lost_session_is_masked_and_not_a_reward_of_0(server):
    async with httpx.AsyncClient(base_url=f"{server.url}/nemo/wild", timeout=20) as http:
        await _post(http, "/seed_session", {**PARAMS, "index": 0})
        assert (await _post(http, "/act", {"text": "raise"}, 502))["kind"] == "WorldFailed"
        failed = await _post(http, "/verify", _says(""))
        assert (failed["reward"], failed["mask_sample"], failed["failure_kind"]) == (0.0, True, "turnhalle:env_error")
        await _post(http, "/seed_session", {**PARAMS, "index": 0})
        await http.delete(f"../../v1/sessions/{http.cookies['nemo_session']}")
        lost = await _post(http, "/verify", _says(""))
        assert (lost["mask_sample"], lost["failure_kind"]) == (True, "turnhalle:lost_session")


async def test_the_rewards_of_a_sessions_steps_are_its_verdict(server):
    async with httpx.AsyncClient(base_url=f"{server.url}/nemo/counter", timeout=20) as http:
        await _post(http, "/seed_session", {**PARAMS, "split": "test", "index": 1})
        for _ in range(5):
            last = await _post(http, "/act", {"text": "1"})
        assert last["done"] is True
        assert (await _post(http, "/act", {"text": "1"}, 409))["kind"] == "EpisodeOver"
        verdict = await _post(http, "/verify", _says("done"))
        assert (verdict["reward"], verdict["success"], verdict["steps"]) == (3.0, 1.0, 5.0)


async def test_metrics_are_of_the_samples_that_count(http):
    responses = [
        {"_ng_task_index": 0, "reward": 1.0, "terminated": True},
        {"_ng_task_index": 0, "reward": 0.0},
        {"_ng_task_index": 1, "reward": 0.5},
        {"_ng_task_index": 1, "reward": 0.0, "mask_sample": True},
    ]
    found = await _post(http, "/aggregate_metrics", {"verify_responses": responses})
    assert found["agent_metrics"] == {
        "mean/reward": 0.5,
        "median/reward": 0.5,
        "std/reward": 0.5,
        "min/reward": 0.0,
        "max/reward": 1.0,
    }
    assert found["key_metrics"] == {"mean/reward": 0.5}
    assert [(group["_ng_task_index"], group["mean/reward"]) for group in found["group_level_metrics"]] == [
        (0, 0.5),
        (1, 0.5),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/act", {"text": "wait"}, 422),
        ("/step", _says("wait"), 422),
        ("/verify", _says("wait"), 422),
        ("/close", {}, 422),
        ("/reset", {**PARAMS, "index": "five"}, 422),
        ("/reset", {**PARAMS, "index": 10_000}, 404),
        ("/reset", {**PARAMS, "split": "nope"}, 404),
        ("/reset", [], 422),
        ("/reset", b"{", 422),
        ("/reset", b"\xff\x00", 422),
        ("/aggregate_metrics", {"verify_responses": [1]}, 422),
        ("/act/now", {}, 404),
        ("/../keydor/reset", PARAMS, 404),
    ],
)
async def test_bad_input_is_a_detail(http, path, body, status):
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = await http.post(path, **sent)
    assert (answer.status_code, sorted(answer.json())) == (status, ["detail", "kind"])


@pytest.mark.parametrize("response", [None, {}, {"output": "text"}, {"output": [1]}, {"output": [{"content": 1}]}])
async def test_a_response_that_is_none_costs_no_step(http, response):
    await _post(http, "/reset", ROW)
    refused = await http.post("/step", json={**PARAMS, "response": response})
    assert (refused.status_code, refused.json()["kind"]) == (422, "BadRequest")
    assert (await http.get(f"../../v1/sessions/{http.cookies['nemo_session']}")).json()["index"] == 0
    await http.post("/step", json=_says("wait"), headers={"cookie": "nemo_session=nope"})
    await _post(http, "/close", {})


async def test_a_full_gym_says_when_to_ask_again_and_silent_sessions_give_their_slots_back(tmp_path):
    limits = {"max_sessions": 1, "lease_s": 3.0, "body_limit_bytes": 4096, "log": tmp_path / "log"}
    with launch(["keydoor"], workers=1, **limits) as server:
        base = f"{server.url}/nemo/keydoor"
        async with httpx.AsyncClient(base_url=base) as first, httpx.AsyncClient(base_url=base) as second:
            await _post(first, "/reset", ROW)
            full = await second.post("/seed_session", json=ROW)
            assert (full.status_code, full.json()["kind"]) == (429, "GymFull")
            assert int(full.headers["retry-after"]) >= 1
            assert (await first.post("/step", json=_says("x" * 5000))).status_code == 413
            for _ in range(300):
                freed = await second.post("/seed_session", json=ROW)
                if freed.status_code == 200:
                    break
                await asyncio.sleep(0.05)
            assert freed.status_code == 200
            assert (await first.post("/step", json=_says("wait"))).status_code == 404

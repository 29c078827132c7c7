"""AgentGym's wire over the session table, by the calls of its clients."""

import asyncio

import httpx
import pytest

from envserver.launch import launch

KEY = {"split": "train", "seed": 3}
FIRST = "The way out is the brown door. It is dark; there is a lamp. You hold nothing."
CHOICES = ["light lamp", "open brown door", "open green door", "open red door"]


@pytest.fixture
async def http(gym_url):
    async with httpx.AsyncClient(base_url=f"{gym_url}/agentgym/keydoor", timeout=20) as http:
        yield http


async def _post(http, path, body=None):
    """What a client does: any status but 200 is its end."""
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_first_family_is_answered_objects(http):
    assert (await http.get("/")).json() == "This is environment keydoor."
    id = (await _post(http, "/create"))["id"]
    assert await _post(http, "/reset", {"id": id, "game": 5, "world_type": "Text", **KEY}) == {
        "id": id,
        "observation": FIRST,
        "reward": 0.0,
        "score": 0.0,
        "done": False,
        "available_actions": CHOICES,
        "task_type": "doors-3/train/0005",
        "task_description": (await http.get("../../v1/envs/keydoor")).json()["instructions"],
    }
    assert await _post(http, "/step", {"id": id, "action": "wait"}) == {
        "observation": f"Nothing happens. {FIRST}",
        "reward": 0.0,
        "score": 0.0,
        "done": False,
        "available_actions": CHOICES,
    }
    assert (await http.get("/observation", params={"id": id})).json() == f"Nothing happens. {FIRST}"
    assert (await http.get("/available_actions", params={"id": id})).json() == CHOICES
    assert (await http.get("/detail", params={"id": id})).json()["done"] is False
    assert id in (await http.get("/list_envs")).json()
    assert await _post(http, "/close", {"id": id}) is True
    assert await _post(http, "/close", {"id": id}) is False


async def test_the_other_family_is_answered_texts(http):
    number = await _post(http, "/create", {"id": 0})
    assert isinstance(number, int)
    assert await _post(http, "/reset", {"env_idx": number, "id": 5, **KEY}) == FIRST
    for name in ("item_id", "session_id"):
        assert await _post(http, "/reset", {"env_idx": number, name: 5, **KEY}) == [FIRST, None]
    text = f"Nothing happens. {FIRST}"
    stepped = await _post(http, "/step", {"env_idx": number, "action": "wait"})
    assert stepped == {"state": text, "observation": text, "reward": 0.0, "done": False, "info": None}
    assert (await http.get("/observation", params={"env_idx": number})).json() == text
    assert isinstance(await _post(http, "/idx/create"), int)
    assert await _post(http, "/idx/reset", {"env_idx": number, "session_id": 5, **KEY}) == [FIRST, None]
    assert await _post(http, "/close", {"env_idx": number}) is True


async def test_textcrafts_client_plays_as_soon_as_it_has_created(http):
    asked = {"minecraft_dir": "agentenv_textcraft/", "commands": None, "goal": None}
    created = await _post(http, "/create", asked)
    assert sorted(created) == ["done", "id", "observation", "reward"]
    assert (await _post(http, "/step", {"id": created["id"], "action": "inventory"}))["done"] is False
    refused = await http.post("/create", json={**asked, "goal": "a crown"})
    assert (refused.status_code, refused.json()["kind"]) == (422, "BadRequest")
    await _post(http, "/close", {"id": created["id"]})


async def test_the_sessions_are_ordinary_ones_and_a_reset_closes_the_last(http):
    id = (await _post(http, "/create"))["id"]
    for index in (1, 2, 2):
        await _post(http, "/reset", {"id": id, "data_idx": index})
        for _ in range(3):
            last = await _post(http, "/step", {"id": id, "action": "wait"})
    assert last["score"] == 0.0
    state = (await http.get(f"../../v1/sessions/agentgym-{id}")).json()
    assert (state["owner"], state["index"], state["task"]["key"]) == ("agentgym", 3, "doors-3/train/0002")
    refused = await http.post("/reset", json={"id": id, "data_idx": 10_000})
    assert (refused.status_code, refused.json()["kind"]) == (404, "UnknownTask")
    assert (await http.get(f"../../v1/sessions/agentgym-{id}")).json()["index"] == 3
    await _post(http, "/close", {"id": id})


async def test_the_score_is_the_sum_of_the_rewards(server):
    async with httpx.AsyncClient(base_url=f"{server.url}/agentgym/counter", timeout=20) as http:
        id = (await _post(http, "/create"))["id"]
        await _post(http, "/reset", {"id": id, "data_idx": 0})
        steps = [await _post(http, "/step", {"id": id, "action": "1"}) for _ in range(5)]
        assert [step["score"] for step in steps] == [0.5, 1.0, 1.5, 2.0, 3.0]
        assert [step["done"] for step in steps] == [False] * 4 + [True]
        over = await http.post("/step", json={"id": id, "action": "1"})
        assert (over.status_code, over.json()["kind"]) == (409, "EpisodeOver")
        await _post(http, "/reset", {"id": id, "data_idx": 0})
        assert (await _post(http, "/step", {"id": id, "action": "1"}))["score"] == 0.5
        await _post(http, "/close", {"id": id})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/step", {"id": 7, "action": "wait"}, 404),
        ("/step", {"env_idx": 7, "action": "wait"}, 404),
        ("/step", {"action": "wait"}, 422),
        ("/step", {"id": 7}, 422),
        ("/step", {"id": [7], "action": "wait"}, 422),
        ("/step", {"id": -7, "action": "wait"}, 422),
        ("/step", {"id": 7, "action": 8}, 422),
        ("/reset", {"id": 7, "data_idx": "five"}, 422),
        ("/reset", {"id": 7, "data_idx": True}, 422),
        ("/reset", {"id": 7, "game": 0, "world_type": "Embody"}, 422),
        ("/reset", {"id": 7, "split": "nope"}, 404),
        ("/close", [], 422),
        ("/close", b"{", 422),
        ("/close", b"\xff\xfe", 422),
        ("/fly", {}, 404),
        ("/../keydor/create", {}, 404),
    ],
)
async def test_bad_input_is_an_error_with_a_status_of_its_own(http, path, body, status):
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = await http.post(path, **sent)
    assert answer.status_code == status
    assert sorted(answer.json()) == ["error", "kind"]


async def test_a_full_gym_says_503_and_silent_episodes_give_their_slots_back(tmp_path):
    limits = {"max_sessions": 2, "lease_s": 3.0, "body_limit_bytes": 4096, "log": tmp_path / "log"}
    with launch(["keydoor"], workers=1, **limits) as server:
        async with httpx.AsyncClient(base_url=f"{server.url}/agentgym/keydoor", timeout=20) as http:
            ids = [(await _post(http, "/create"))["id"] for _ in range(3)]
            for id in ids[:2]:
                await _post(http, "/reset", {"id": id, "game": 1})
            for path, body in (("/create", None), ("/reset", {"id": ids[2], "game": 1})):
                full = await http.post(path, json=body)
                assert (full.status_code, full.json()["kind"]) == (503, "GymFull")
                assert int(full.headers["retry-after"]) >= 1
            await _post(http, "/reset", {"id": ids[0], "game": 2})
            assert (await http.post("/step", json={"id": ids[0], "action": "x" * 5000})).status_code == 413

            async def drip():
                yield b'{"id": 1, "action": "'
                yield b"x" * 5000

            large = await http.post("/step", content=drip())
            assert (large.status_code, sorted(large.json())) == (413, ["error", "kind"])
            for _ in range(300):
                freed = await http.post("/reset", json={"id": ids[2], "game": 1})
                if freed.status_code == 200:
                    break
                await asyncio.sleep(0.05)
            assert freed.status_code == 200
            # Its lease began later than the one whose place is taken.
            for _ in range(300):
                if len((await http.get(f"{server.url}/v1/sessions")).json()) == 1:
                    break
                await asyncio.sleep(0.05)
            assert (await http.post("/step", json={"id": ids[0], "action": "wait"})).status_code == 404

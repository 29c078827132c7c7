"""The HTTP routes: what they answer, and that every refusal is problem+json."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

import envserver
from envserver.errors import KINDS
from envserver.launch import launch
from envserver.schema import EnvCard, Health, Problem

TASK = {"env": "counter", "key": "train/0"}


def problem(answer: httpx.Response, status: int, kind: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    read = Problem.model_validate_json(answer.content)
    assert read.type == kind
    assert read.type in KINDS
    assert read.status == status
    assert "\n" not in read.detail
    return read


async def opened(http: httpx.AsyncClient, **task: Any) -> str:
    answer = await http.post("/v1/sessions", json={"task": {**TASK, **task}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["session"])


async def test_health_shows_capacity_and_every_limit(http: httpx.AsyncClient) -> None:
    await opened(http)
    health = Health.model_validate_json((await http.get("/health")).content)
    assert health.status == "ok"
    assert health.version == envserver.__version__
    assert health.sessions >= 1
    assert {worker["state"] for worker in health.workers} <= {"idle", "busy"}
    assert health.limits["call_timeout_s"] == 1.5
    assert {"body_limit_bytes", "frame_limit_bytes", "max_sessions", "max_steps", "max_batch", "lease_s"} <= set(
        health.limits
    )


async def test_the_catalogue_shows_each_environment_and_pages_its_tasks(http: httpx.AsyncClient) -> None:
    cards = {card["env"]: EnvCard.model_validate(card) for card in (await http.get("/v1/envs")).json()}
    assert {"counter", "trivial", "wild"} <= set(cards)
    card = EnvCard.model_validate_json((await http.get("/v1/envs/counter")).content)
    assert card == cards["counter"]
    assert card.splits == {"train": 3, "test": 3}
    assert card.weight == "worker"
    assert cards["trivial"].weight == "trivial"
    for env in ("counter", "trivial"):
        page = (await http.get(f"/v1/envs/{env}/tasks", params={"split": "train", "offset": 1, "limit": 5})).json()
        assert page == {"env": env, "split": "train", "total": 3, "offset": 1, "keys": ["train/1", "train/2"]}
        refused = await http.get(f"/v1/envs/{env}/tasks", params={"split": "trian"})
        assert "there are: train, test" in problem(refused, 404, "UnknownTask").detail
    problem(await http.get("/v1/envs/nope"), 404, "UnknownEnv")
    problem(await http.get("/v1/envs/counter/tasks", params={"split": "train", "offset": -1}), 422, "BadRequest")


def test_an_environment_with_a_misspelt_option_is_missed_in_health_and_explained(tmp_path: Path) -> None:
    options = {"keydoor": {"dors": 4}}
    with launch(["keydoor"], env_options=options, log=tmp_path / "log") as server:
        refused = httpx.get(f"{server.url}/v1/envs/keydoor", timeout=20)
        assert "no option is named 'dors'; did you mean 'doors'?" in problem(refused, 404, "UnknownEnv").detail
        assert httpx.get(f"{server.url}/health").json()["status"] == "degraded"


async def test_a_listing_takes_the_environments_options_and_no_unknown_key(http: httpx.AsyncClient) -> None:
    for env in ("counter", "trivial"):
        route = f"/v1/envs/{env}/tasks"
        page = (await http.get(route, params={"split": "train", "options": '{"size": 7}'})).json()
        assert (page["total"], page["keys"][-1]) == (7, "train/6")
        assert (await http.get(route, params={"split": "train"})).json()["total"] == 3
        misspelt = await http.get(route, params={"split": "train", "options": '{"sise": 7}'})
        assert "did you mean 'size'?" in problem(misspelt, 404, "UnknownTask").detail
        for wrong in ("[]", "{", "\xff", "null"):
            problem(await http.get(route, params={"split": "train", "options": wrong}), 422, "BadRequest")
        unknown = await http.get(route, params={"split": "train", "ofset": 1})
        assert (
            "no parameter 'ofset'; it has: limit, offset, options, split" in problem(unknown, 422, "BadRequest").detail
        )


async def test_a_demonstration_solves_its_task(http: httpx.AsyncClient) -> None:
    for env in ("counter", "trivial"):
        query = {"key": "train/0", "seed": 3, "options": '{"goal": 2}'}
        shown = (await http.get(f"/v1/envs/{env}/demonstration", params=query)).json()
        assert [action["text"] for action in shown["actions"]] == ["0", "1"]
        assert shown["success"] is True
        assert shown["task"] == {"env": env, "key": "train/0", "seed": 3, "options": {"goal": 2}}
    for wrong in ({"key": "x"}, {"key": "train/0", "options": '{"gaol": 2}'}):
        problem(await http.get("/v1/envs/counter/demonstration", params=wrong), 404, "UnknownTask")
    for wrong in (
        {},
        {"key": "train/0", "options": "[]"},
        {"key": "train/0", "options": "{"},
        {"key": "a", "seed": -1},
    ):
        problem(await http.get("/v1/envs/counter/demonstration", params=wrong), 422, "BadRequest")


async def test_a_batch_answers_or_refuses_each_request_on_its_own(http: httpx.AsyncClient) -> None:
    requests = [{"task": TASK}, {"task": {**TASK, "env": "nope"}}, {"task": {**TASK, "env": "trivial"}}]
    good, bad, fine = (await http.post("/v1/batch/sessions", json={"requests": requests})).json()["answers"]
    assert bad["type"] == "UnknownEnv"
    steps = [
        {"session": good["session"], "index": 0, "action": {"text": "1"}},
        {"session": "nope", "index": 0, "action": {"text": "1"}},
        {"session": fine["session"], "index": 0, "action": {"text": "2"}},
        {"session": good["session"], "index": 0, "action": {"text": "1"}},
        {"session": good["session"], "index": 7, "action": {"text": "1"}},
    ]
    answers = (await http.post("/v1/batch/steps", json={"requests": steps})).json()["answers"]
    assert [answer.get("type") for answer in answers] == [None, "UnknownSession", None, None, "OutOfTurn"]
    assert answers[0] == answers[3]
    assert answers[2]["observation"]["text"] == "train/0 0 2"
    assert (await http.post("/v1/batch/steps", json={"requests": []})).json() == {"answers": []}
    many = await http.post("/v1/batch/steps", json={"requests": [steps[0]] * 1025})
    assert "at most 1024" in problem(many, 422, "BadRequest").detail


MALFORMED = {
    "no body": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"task": {"env": "counter", "key": "\xff\xfe"}}',
    "a lone surrogate": b'{"task": {"env": "counter", "key": "\\ud800"}}',
    "deeply nested": b"[" * 100_000,
    "NaN": b'{"task": {"env": "counter", "key": "train/0", "options": {"goal": NaN}}}',
    "an unknown key": b'{"task": {"env": "counter", "key": "train/0"}, "tusk": 1}',
    "an unknown key inside": b'{"task": {"env": "counter", "key": "train/0", "sed": 1}}',
    "a wrong type": b'{"task": {"env": 3, "key": "train/0"}}',
    "a missing key": b'{"task": {"env": "counter"}}',
    "no object": b"[]",
    "null": b"null",
    "a negative seed": b'{"task": {"env": "counter", "key": "train/0", "seed": -1}}',
    "a huge number": b'{"task": {"env": "counter", "key": "train/0", "seed": ' + b"9" * 5000 + b"}}",
    "a bad id": b'{"task": {"env": "counter", "key": "train/0"}, "session": "a/b"}',
}


async def test_a_body_that_is_no_json_hears_where_it_breaks_or_what_header_it_lacks(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    broken = await http.post("/v1/sessions", content=b'{"task": ', headers=headers)
    assert problem(broken, 422, "BadRequest").detail.startswith("the body is not JSON: EOF while parsing")
    for sent in ({}, {"content-type": "application/x-www-form-urlencoded"}):
        silent = await http.post("/v1/sessions", content=json.dumps({"task": TASK}), headers=sent)
        assert "'Content-Type: application/json'" in problem(silent, 422, "BadRequest").detail


@pytest.mark.parametrize("index", [True, "0", 0.0, -1, None])
async def test_only_a_whole_number_is_an_index(http: httpx.AsyncClient, index: Any) -> None:
    id = await opened(http)
    problem(await http.post(f"/v1/sessions/{id}/steps", json={"index": index, "action": {}}), 422, "BadRequest")
    if index is not None:
        problem(await http.post(f"/v1/sessions/{id}/fork", json={"index": index}), 422, "BadRequest")
    assert (await http.get(f"/v1/sessions/{id}")).json()["index"] == 0


@pytest.mark.parametrize("what", MALFORMED)
async def test_a_body_that_cannot_be_read_is_a_bad_request(http: httpx.AsyncClient, what: str) -> None:
    headers = {"content-type": "application/json"}
    problem(await http.post("/v1/sessions", content=MALFORMED[what], headers=headers), 422, "BadRequest")
    assert (await http.get("/health")).status_code == 200


async def test_a_huge_body_is_refused_before_it_is_read(http: httpx.AsyncClient) -> None:
    body = b'{"task": "' + b"x" * (9 << 20) + b'"}'
    headers = {"content-type": "application/json"}
    assert (
        "larger than"
        in problem(await http.post("/v1/sessions", content=body, headers=headers), 413, "BadRequest").detail
    )

    async def chunks() -> Any:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    problem(await http.post("/v1/sessions", content=chunks(), headers=headers), 413, "BadRequest")


async def test_what_fastapi_refuses_itself_is_a_problem_too(http: httpx.AsyncClient) -> None:
    problem(await http.get("/nope"), 404, "BadRequest")
    answer = await http.put("/v1/sessions", json={})
    problem(answer, 405, "BadRequest")
    assert answer.headers["allow"]
    id = uuid.uuid4().hex
    problem(await http.get(f"/v1/sessions/{id}"), 404, "UnknownSession")
    problem(await http.get(f"/v1/sessions/{id}/expert"), 404, "UnknownSession")
    problem(await http.post(f"/v1/sessions/{id}/fork", json={}), 404, "UnknownSession")


ODD_TEXTS = ("", "x" * (1 << 20), "\x00\x07\x1b[31m", "⁠\u202e🚪", ">restore\n>quit\n@@123;", "{" * 1000)


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_odd_actions_are_the_world_s_business(http: httpx.AsyncClient, env: str) -> None:
    id = await opened(http, env=env, options={"goal": 50})
    for index, text in enumerate(ODD_TEXTS):
        answer = await http.post(f"/v1/sessions/{id}/steps", json={"index": index, "action": {"text": text}})
        assert answer.status_code == 200, answer.text[:300]
    too_long = {"index": len(ODD_TEXTS), "action": {"text": "x" * ((1 << 20) + 1)}}
    problem(await http.post(f"/v1/sessions/{id}/steps", json=too_long), 422, "BadRequest")
    state = (await http.get(f"/v1/sessions/{id}")).json()
    assert [action["text"] for action in state["actions"]] == list(ODD_TEXTS)


async def test_the_list_of_sessions_has_no_transcripts(http: httpx.AsyncClient) -> None:
    id = await opened(http)
    await http.post(f"/v1/sessions/{id}/steps", json={"index": 0, "action": {}})
    shown = {state["session"]: state for state in (await http.get("/v1/sessions")).json()}
    assert shown[id]["index"] == 1
    assert shown[id]["actions"] == []
    assert shown[id]["lease_s"] == 900


async def test_the_schema_names_a_problem_for_every_refusal(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/openapi.json")).json()
    assert "Problem" in schema["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(schema)
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, verb, status)


async def test_the_page_about_the_routes_loads_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    page = (await http.get("/docs")).text
    loaded = re.findall(r"""(?:src|href|url)\s*[=:]\s*['"]([^'"]+)""", page)
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("/")
        answer = await http.get(path)
        assert answer.status_code == 200
    assert '"validatorUrl": null' in page
    problem(await http.get("/redoc"), 404, "BadRequest")
    problem(await http.get("/docs/static/nope.js"), 404, "BadRequest")


def test_a_token_guards_everything_but_health_and_the_expert_is_off_unless_asked_for() -> None:
    with launch(["worlds:Trivial"], token="open sesame") as server:
        assert httpx.get(f"{server.url}/health").status_code == 200
        wrong = (
            {},
            {"Authorization": "Bearer nope"},
            {"Authorization": "open sesame"},
            {"Authorization": "Basic b3Bl"},
        )
        for headers in wrong:
            for path in ("/v1/envs", "/v1/sessions", "/metrics", "/docs", "/openapi.json", "/nope"):
                refused = httpx.get(f"{server.url}{path}", headers=headers)
                problem(refused, 401, "Unauthorized")
                assert refused.headers["www-authenticate"] == "Bearer"
        with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer open sesame"}) as http:
            assert http.get("/v1/envs").status_code == 200
            task = {"env": "trivial", "key": "train/0"}
            id = http.post("/v1/sessions", json={"task": task}).json()["session"]
            problem(http.get(f"/v1/sessions/{id}/expert"), 403, "Forbidden")
            problem(http.get("/v1/envs/trivial/demonstration", params={"key": "train/0"}), 403, "Forbidden")


def test_a_misspelt_environment_stops_the_server_before_it_starts(tmp_path: Any) -> None:
    with pytest.raises(RuntimeError, match="did you mean 'keydoor'"), launch(["keydor"], log=tmp_path / "log"):
        pass

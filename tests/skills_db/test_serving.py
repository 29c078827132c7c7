"""What the routes answer and do, on both engines, by a real server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from library import HEADERS, TOKEN, served
from test_store import an_episode

from skills_db.cli import main
from skills_db.migrate import head
from skills_db.schema_page import schema_columns
from skills_db.store import Store, open_store
from skills_db.types import NewExperience, NewSkill, NewTurn, SkillEdit

DRAWER = NewExperience("keydoor", "A locked drawer.", "Find the key.", "skill", 1.0, episode="a-1", turn=0)
GUARD = NewExperience("keydoor", "A guard at the gate.", "Wait.", "failure", 0.5, level="general")


@pytest.fixture
def http(store: Store) -> Iterator[httpx.Client]:
    """A served library: two experiences, a skill in two versions, one episode that was shown all of them."""
    run = store.add_run("first", {"seed": 1})
    first, _ = store.add([DRAWER, GUARD])
    digest = store.add_skill(NewSkill("open-drawers", "When locked.", "Pull.", files={"a.bin": b"\xff"})).digest
    store.edit_skill("open-drawers", SkillEdit(body="Push."))
    turn = NewTurn("A locked drawer.", "I open it.", "open drawer", 1.0, sample_ids=[7], used=[first], skills=[digest])
    store.add_episode(run, an_episode("a-1", turns=[turn]))
    with served(store) as client:
        yield client


def post(http: httpx.Client, path: str, **body: Any) -> httpx.Response:
    return http.post(path, json=body, headers=HEADERS)


def test_a_route_answers_what_its_command_prints(
    http: httpx.Client, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*words: str) -> Any:
        with pytest.raises(SystemExit, match="0"):
            main([*words, "--json", "--db", url])
        return json.loads(capsys.readouterr().out)

    def typed(kind: str, answer: Any) -> dict[str, Any]:
        return {"type": kind, **answer}

    def got(path: str) -> Any:
        answer = http.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    (run,) = got("/v1/runs")
    assert typed("experience", got("/v1/experiences/1")) == printed("show", "1")
    assert typed("skill", got("/v1/skills/open-drawers")) == printed("show", "open-drawers")
    assert typed("episode", got("/v1/episodes/a-1")) == printed("show", "a-1")
    assert typed("run", run) == printed("show", run["id"])
    assert got("/v1/skills") == printed("list")
    for id in ("1", "2", "open-drawers", "a-1"):
        assert got(f"/v1/lineage/{id}") == printed("lineage", id)
    assert {**got("/v1/stats"), "db": url} == printed("stats")
    assert got("/v1/schema") == schema_columns()
    assert got("/v1/find?text=locked") == printed("find", "locked")
    assert [hit["kind"] for hit in got("/v1/find?text=locked&kind=observation&env=textworld")] == ["observation"]


def test_search_finds_skills_by_their_category_and_says_why(http: httpx.Client, store: Store) -> None:
    def found(**query: Any) -> list[str]:
        answer = http.get("/v1/search", params={"text": "locked", **query})
        assert answer.status_code == 200, answer.text
        return [each["skill"] for each in answer.json()["skills"]]

    best = http.get("/v1/search", params={"text": "locked"}).json()["skills"][0]
    assert (best["skill"], best["version"]) == ("open-drawers", 2)
    assert {place["ranking"] for place in best["places"]} == {"text", "vector"}
    assert found(category="general") == ["open-drawers"]
    assert found(category="keydoor") == []
    store.retire("skill", "open-drawers")
    assert found() == []
    assert found(retired=True) == ["open-drawers"]


def test_search_finds_experiences_by_every_filter_and_says_why(http: httpx.Client) -> None:
    def found(**query: Any) -> list[int]:
        answer = http.get("/v1/search", params=query)
        assert answer.status_code == 200, answer.text
        assert http.post("/v1/search", json=query).json() == answer.json()
        return [each["id"] for each in answer.json()["experiences"]]

    assert found(text="locked drawer") == [1, 2]
    best = http.get("/v1/search", params={"text": "locked drawer"}).json()["experiences"][0]
    assert best["snippet"] == "A [locked] [drawer]. Find the key."
    assert {place["ranking"] for place in best["places"]} >= {"text", "vector"}
    assert found(text="locked", env="alfworld") == []
    assert found(text="locked", kind="failure") == [2]
    assert found(text="locked", level="general") == [2]
    assert found(text="locked", score_at_least=0.7) == [1]
    assert found(text="locked", newer_than="2999-01-01T00:00:00Z") == []
    assert found(text="locked", older_than="2999-01-01T00:00:00+00:00", limit=1) == [1]
    run = http.get("/v1/runs").json()[0]["id"]
    assert found(text="locked", run=run) == [1]
    assert found(text="") == []


def test_lists_are_narrowed_and_paged(http: httpx.Client, store: Store) -> None:
    run = store.runs()[0].id
    store.add_episodes([(run, an_episode(f"b-{i}", turns=[], success=False, step=i)) for i in range(3)])
    store.add_skill(NewSkill("wait", "At a gate.", "Wait.", category="keydoor"))

    def ids(path: str, **query: Any) -> list[str]:
        return [each.get("id") or each["name"] for each in http.get(path, params=query).json()]

    assert ids("/v1/episodes", limit=2) == ["b-2", "b-1"]
    assert ids("/v1/episodes", limit=2, offset=2) == ["b-0", "a-1"]
    assert ids("/v1/episodes", success=True) == ["a-1"]
    assert ids("/v1/episodes", step=1, run=run, env="textworld", split="train") == ["b-1"]
    assert ids("/v1/episodes", env="keydoor") == []
    assert ids("/v1/skills", offset=1) == ["wait"]
    assert ids("/v1/skills", category="general", limit=1) == ["open-drawers"]
    store.retire("skill", "wait")
    assert ids("/v1/skills") == ["open-drawers"]
    assert ids("/v1/skills", retired=True) == ["open-drawers", "wait"]
    assert http.get("/v1/skills/open-drawers", params={"version": 1}).json()["files"] == {"a.bin": "/w=="}
    assert len(http.get("/v1/lineage/1", params={"limit": 0}).json()["showings"]) == 0


def test_experiences_are_admitted_under_rules(http: httpx.Client, store: Store) -> None:
    offered = [
        {"env": "keydoor", "situation": "A wall.", "advice": "Go round it.", "kind": "skill", "score": 2},
        {"env": "keydoor", "situation": "A locked drawer.", "advice": "Find the key.", "kind": "skill", "score": 1.0},
    ]
    changes = post(http, "/v1/experiences", items=offered)
    assert changes.status_code == 200, changes.text
    assert (changes.json()["admitted"], changes.json()["known"]) == ([3], [1])
    assert store.experience(3).advice == "Go round it."
    none = [{**offered[0], "advice": "Climb."}]
    assert post(http, "/v1/experiences", items=none, rules={"rate_skills": 0}).json()["refused"] == {"rate": 1}


def test_a_skill_is_added_edited_and_retired(http: httpx.Client, store: Store) -> None:
    files = {"notes/a.txt": "aGVsbG8="}
    added = post(http, "/v1/skills", name="climb", description="At walls.", body="Climb.", files=files, front={"a": 1})
    assert (added.status_code, added.json()["version"]) == (201, 1)
    edited = post(http, "/v1/skills/climb/versions", body="Jump.", base=1)
    assert (edited.status_code, edited.json()["version"], edited.json()["parent"]) == (200, 2, 1)
    kept = store.skill("climb").version()
    assert (kept.body, kept.files, kept.front["a"]) == ("Jump.\n", files, 1)
    assert post(http, "/v1/skills/climb/versions").json()["version"] == 2
    away = post(http, "/v1/skills/climb/retire")
    assert away.json() == {"type": "skill", "id": "climb", "retired": True, "changed": True}
    assert post(http, "/v1/skills/climb/retire").json()["changed"] is False
    back = http.post("/v1/skills/climb/retire", params={"back": True}, headers=HEADERS)
    assert back.json() == {"type": "skill", "id": "climb", "retired": False, "changed": True}
    assert post(http, "/v1/experiences/1/retire").json()["retired"] is True
    assert store.experience(1).retired_why == "hand"


def test_of_two_who_edit_one_version_the_second_is_told(http: httpx.Client, store: Store) -> None:
    start = threading.Barrier(2)

    def edit(text: str) -> httpx.Response:
        start.wait()
        return post(http, "/v1/skills/open-drawers/versions", body=text, base=2)

    with ThreadPoolExecutor(2) as writers:
        answers = sorted(writers.map(edit, ("Turn.", "Lift.")), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 409]
    told = answers[1].json()
    assert told["type"] == "EditConflict"
    assert "is at version 3 and the edit is based on version 2" in told["detail"]
    assert [each.body for each in store.skill("open-drawers").versions[2:]] == [answers[0].json()["body"]]


ENGINES_ALIKE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""What is said before the store is asked."""


@ENGINES_ALIKE
def test_nobody_writes_without_the_token_and_all_may_read(http: httpx.Client, store: Store) -> None:
    before = store.stats().rows
    wrong: list[dict[str, Any]] = [
        {},
        {"authorization": "Bearer open"},
        {"authorization": "Basic b3Bl"},
        {"authorization": TOKEN.encode()},
        {"authorization": f"Bearer {TOKEN}x".encode()},
        {"authorization": b"Bearer \xff"},
    ]
    routes = ("/v1/experiences", "/v1/skills", "/v1/skills/open-drawers/versions", "/v1/experiences/1/retire")
    for headers in wrong:
        for route in (*routes, "/v1/skills/open-drawers/retire"):
            refused = http.post(route, content=b"{", headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (401, "Unauthorized")
            assert refused.headers["www-authenticate"] == "Bearer"
        assert http.get("/v1/stats", headers=headers).status_code == 200
    assert store.stats().rows == before


@ENGINES_ALIKE
def test_a_server_without_a_token_says_how_one_is_given(store: Store) -> None:
    with served(store, token=None) as http:
        assert http.get("/health").json()["writes"] is False
        for headers in ({}, {"authorization": "Bearer None"}):
            refused = http.post("/v1/skills", json={}, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "Forbidden")
            assert "start it with a token (--token)" in refused.json()["detail"]


@ENGINES_ALIKE
def test_the_schema_names_a_problem_for_every_refusal_and_docs_load_nothing_from_elsewhere(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(schema)
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            writes = verb == "post" and path != "/v1/search"
            assert bool(operation.get("security")) is writes, path
            assert writes == ("401" in operation["responses"])
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, verb, status)
    loaded = re.findall(r"""(?:src|href)\s*=\s*['"]([^'"]+)""", http.get("/docs").text)
    assert loaded
    for path in loaded:
        assert path.startswith("/")
        assert http.get(path).status_code == 200


@ENGINES_ALIKE
def test_half_a_character_in_a_runs_configuration_breaks_no_answer(store: Store) -> None:
    store.add_run("odd", {"name": "\ud800"})
    with served(store) as http:
        assert http.get("/v1/runs").json()[0]["config"] == {"name": "?"}


@ENGINES_ALIKE
def test_the_store_is_closed_when_the_server_ends(url: str) -> None:
    store = open_store(url)
    with served(store) as http:
        assert http.get("/health").json()["schema"] == head()
    with pytest.raises(RuntimeError, match="has been closed"):
        store.stats()

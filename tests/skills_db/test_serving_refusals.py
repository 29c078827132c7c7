"""What the routes refuse, and that a refusal is one sentence and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from library import HEADERS, served
from test_store import an_episode

from skills_db.cli import main
from skills_db.serving.door import BODY_LIMIT_BYTES
from skills_db.store import Store, open_store
from skills_db.types import NewExperience, NewSkill, NewTurn

ROOT = Path(__file__).parents[2]
ITEM = {"env": "keydoor", "situation": "A wall.", "advice": "Go round it.", "kind": "skill", "score": 1.0}
SKILL = {"name": "climb", "description": "At walls.", "body": "Climb."}
JSON = {**HEADERS, "content-type": b"application/json"}


def fill(store: Store) -> None:
    run = store.add_run("first", {})
    store.add([NewExperience("keydoor", "A locked drawer.", "Find the key.", "skill", 1.0)])
    store.add_skill(NewSkill("open-drawers", "When locked.", "Pull."))
    store.add_episode(run, an_episode("a-1", turns=[NewTurn("A locked drawer.", "x", "open drawer", 1.0)]))


@pytest.fixture
def http(store: Store) -> Iterator[httpx.Client]:
    """A served library of one of each."""
    fill(store)
    with served(store) as client:
        yield client


def problem(answer: httpx.Response, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    read = answer.json()
    assert (read["type"], read["status"]) == (kind, status)
    assert set(read) == {"type", "title", "status", "detail"}
    assert "\n" not in read["detail"]
    return str(read["detail"])


HOSTILE = (
    'locked"',
    '"unbalanced phrase',
    "locked AND (drawer OR NOT key*)",
    "NEAR(locked drawer, 5)",
    "advice : locked",
    "^locked {advice} + -drawer",
    "'; DROP TABLE experiences; --",
    "%' OR 1=1 --",
    "locked & drawer | !key <-> ':*",
    "\\",
    "\u202e🚪é",
    "*" * 1000,
    "(" * 1000,
    "locked " * 2000,
)


def test_no_text_breaks_a_search(http: httpx.Client) -> None:
    for text in HOSTILE:
        query = {"text": text}
        answers = [http.get(path, params=query) for path in ("/v1/search", "/v1/find")]
        for answer in (*answers, http.post("/v1/search", json=query)):
            assert answer.status_code == 200, (text, answer.text)


@pytest.mark.parametrize("text", ["'; DROP TABLE experiences; --", '%" OR 1=1 --'])
def test_no_filter_is_sql(http: httpx.Client, store: Store, text: str) -> None:
    before = store.stats()
    for name in ("env", "level", "run"):
        assert http.get("/v1/search", params={"text": "locked", name: text}).json()["experiences"] == []
    assert http.get("/v1/search", params={"text": "locked", "category": text}).json()["skills"] == []
    for path in ("search", "find"):
        problem(http.get(f"/v1/{path}", params={"text": "locked", "kind": text}), 422, "BadRecord")
    assert http.get("/v1/find", params={"text": "guess", "env": text, "run": text}).json() == []
    for name in ("run", "env", "split"):
        assert http.get("/v1/episodes", params={name: text}).json() == []
    assert http.get("/v1/skills", params={"category": text}).json() == []
    for name in ("limit", "offset", "step", "success"):
        problem(http.get("/v1/episodes", params={name: text}), 422, "BadRequest")
    for name in ("limit", "score_at_least", "newer_than", "older_than"):
        problem(http.get("/v1/search", params={"text": "locked", name: text}), 422, "BadRequest")
    for path in ("skills", "lineage", "episodes"):
        problem(http.get(f"/v1/{path}/{text}"), 404, "UnknownRecord")
    assert store.stats() == before


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_text_of_a_megabyte_is_refused_wherever_it_stands(http: httpx.Client) -> None:
    long = "locked " * 150_000
    assert "at most 100000 characters" in problem(http.post("/v1/search", json={"text": long}), 422, "BadRequest")
    # The parser of HTTP ends a URL at 64 KiB, before there is a route.
    bare = HTTPConnection(http.base_url.host, http.base_url.port)
    bare.request("GET", f"/v1/search?text={'x' * (1 << 20)}")
    assert bare.getresponse().status == 400
    bare.close()
    assert http.post("/v1/search", json={"text": long[:100_000]}).json()["experiences"][0]["id"] == 1


def test_what_is_not_there_is_named(http: httpx.Client) -> None:
    unknown = {
        "/v1/experiences/99": "no experience has the id 99",
        "/v1/skills/none": "no skill is named 'none'",
        "/v1/skills/open-drawers?version=7": "has no version 7: say 1 to 1",
        "/v1/lineage/none": "nothing has an id that begins with 'none'",
        "/v1/lineage/a%2Fb": "begins with 'a/b'",
        "/v1/lineage/%25": "begins with '%'",
        "/v1/episodes/none": "no episode has the id 'none'",
    }
    for path, says in unknown.items():
        assert says in problem(http.get(path), 404, "UnknownRecord")
    for path in ("/v1/experiences/99/retire", "/v1/skills/none/retire", "/v1/skills/none/versions"):
        problem(http.post(path, json={}, headers=HEADERS), 404, "UnknownRecord")
    run = http.get("/v1/runs").json()[0]["id"]
    assert "lineage is of an experience" in problem(http.get(f"/v1/lineage/{run}"), 404, "UnknownRecord")
    assert "there is no GET /nope; see /docs" in problem(http.get("/nope"), 404, "BadRequest")
    assert http.delete("/v1/skills").headers["allow"]
    problem(http.delete("/v1/skills"), 405, "BadRequest")


def test_numbers_out_of_bounds_and_unknown_parameters_are_refused(http: httpx.Client) -> None:
    for path in (
        *(f"/v1/{kind}?limit={limit}" for kind in ("runs", "skills", "episodes") for limit in (0, -1, 1001, "1e3")),
        "/v1/search?text=a&limit=1001",
        "/v1/search?text=a&score_at_least=nan",
        "/v1/search?text=a&newer_than=2026-01-01T00:00:00",
        "/v1/search",
        "/v1/lineage/1?limit=-1",
        "/v1/episodes?offset=-1",
        f"/v1/episodes?step={1 << 31}",
        "/v1/skills/open-drawers?version=0",
        "/v1/experiences/-1",
        f"/v1/experiences/{1 << 63}",
        "/v1/experiences/one",
    ):
        problem(http.get(path), 422, "BadRequest")
    unknown = problem(http.get("/v1/episodes?evn=keydoor"), 422, "BadRequest")
    assert unknown.startswith("this route has no parameter 'evn'; it has: env, limit,")
    assert problem(http.get("/v1/stats?x=1"), 422, "BadRequest") == "this route has no parameter 'x'; it has none"
    # SQLite looks for it and finds nothing; PostgreSQL keeps no NUL.
    nul = http.get("/v1/search", params={"text": "locked", "env": "a\x00b"})
    assert nul.status_code in (200, 422)


MALFORMED: dict[str, tuple[str, bytes]] = {
    "no body": ("/v1/experiences", b""),
    "not JSON": ("/v1/experiences", b"{"),
    "not UTF-8": ("/v1/skills", b'{"name": "climb", "description": "\xff\xfe", "body": "b"}'),
    "a lone surrogate": ("/v1/skills", b'{"name": "climb", "description": "\\ud800", "body": "b"}'),
    "deeply nested": ("/v1/skills", b"[" * 100_000),
    "NaN": ("/v1/experiences", json.dumps({"items": [{**ITEM, "score": float("nan")}]}).encode()),
    "a score of infinity": (
        "/v1/experiences",
        json.dumps({"items": [{**ITEM, "score": 0}]}).encode()[:-3] + b"1e999}]}",
    ),
    "an unknown key": ("/v1/experiences", json.dumps({"items": [ITEM], "rulse": {}}).encode()),
    "an unknown key inside": ("/v1/experiences", json.dumps({"items": [{**ITEM, "sitaution": ""}]}).encode()),
    "an unknown rule": ("/v1/experiences", json.dumps({"items": [ITEM], "rules": {"mirge": 1}}).encode()),
    "a rule that cannot be": ("/v1/experiences", json.dumps({"items": [ITEM], "rules": {"merge": 3}}).encode()),
    "a missing key": ("/v1/experiences", b'{"items": [{"env": "keydoor"}]}'),
    "a wrong kind": ("/v1/experiences", json.dumps({"items": [{**ITEM, "kind": "dream"}]}).encode()),
    "no items": ("/v1/experiences", b'{"items": []}'),
    "too many items": ("/v1/experiences", json.dumps({"items": [ITEM] * 1001}).encode()),
    "no object": ("/v1/skills", b"[]"),
    "null": ("/v1/skills", b"null"),
    "a number for a text": ("/v1/skills", json.dumps({**SKILL, "body": 3}).encode()),
    "a number in quotes": ("/v1/skills/open-drawers/versions", b'{"base": "1"}'),
    "a file that is no base64": ("/v1/skills", json.dumps({**SKILL, "files": {"a": "é"}}).encode()),
    "a file that is a number": ("/v1/skills", json.dumps({**SKILL, "files": {"a": 3}}).encode()),
    "an unknown key of an edit": ("/v1/skills/open-drawers/versions", b'{"text": "Push."}'),
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "no advice": ("/v1/experiences", {"items": [ITEM, {**ITEM, "advice": " "}]}),
    "a name that is no folder's": ("/v1/skills", {**SKILL, "name": "../climb"}),
    "a name that is taken": ("/v1/skills", {**SKILL, "name": "open-drawers"}),
    "a file outside of the folder": ("/v1/skills", {**SKILL, "files": {"../a": ""}}),
    "a NUL": ("/v1/skills", {**SKILL, "body": "a\x00b"}),
    "no text": ("/v1/skills", {**SKILL, "body": " "}),
    "a text of two megabytes": ("/v1/skills", {**SKILL, "body": "x" * (2 << 20)}),
    "an edit to nothing": ("/v1/skills/open-drawers/versions", {"body": ""}),
}


def test_a_body_that_cannot_be_read_or_kept_changes_nothing(http: httpx.Client, store: Store) -> None:
    before = store.stats(), store.skills()
    for what, (path, body) in MALFORMED.items():
        assert problem(http.post(path, content=body, headers=JSON), 422, "BadRequest"), what
    for what, (path, record) in REFUSED.items():
        assert problem(http.post(path, json=record, headers=HEADERS), 422, "BadRecord"), what
    assert (store.stats(), store.skills()) == before
    silent = http.post("/v1/skills", content=json.dumps(SKILL), headers=HEADERS)
    assert "'Content-Type: application/json'" in problem(silent, 422, "BadRequest")
    said = problem(
        http.post("/v1/experiences", content=MALFORMED["a rule that cannot be"][1], headers=JSON), 422, "BadRequest"
    )
    assert said == "rules: merge is 3.0: a cosine above 0 and at most 1, or None to merge nothing"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A SQLite library of one of each."""
    path = tmp_path / "memory.db"
    with open_store(str(path)) as store:
        fill(store)
    return path


def test_a_huge_body_is_refused_before_it_is_read(file: Path) -> None:
    body = b'{"text": "' + b"x" * BODY_LIMIT_BYTES + b'"}'

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    with served(open_store(str(file))) as http:
        for content in (body, chunks()):
            refused = http.post("/v1/search", content=content, headers=JSON)
            assert f"larger than {BODY_LIMIT_BYTES} bytes" in problem(refused, 413, "BadRequest")
        # Who has no token sends nothing at all.
        problem(
            http.post("/v1/skills", content=chunks(), headers={"content-type": "application/json"}), 401, "Unauthorized"
        )
        assert http.get("/health").status_code == 200


def test_readers_are_answered_while_many_writers_wait_for_another_process(file: Path) -> None:
    with ThreadPoolExecutor(12) as writers, open_store(str(file)) as other, served(open_store(str(file))) as http:
        with other._database.writing():
            waiting = [writers.submit(http.post, "/v1/skills", json=SKILL, headers=HEADERS) for _ in range(12)]
            assert http.get("/v1/stats").json()["rows"]["skills"] == 1
            assert http.get("/health").status_code == 200
            assert not any(each.done() for each in waiting)
        assert sorted(each.result().status_code for each in waiting) == [201] + [422] * 11


def test_a_writer_that_waits_too_long_hears_that_memory_is_busy(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skills_db.database.BUSY_TIMEOUT_S", 0.1)
    with open_store(str(file)) as other, served(open_store(str(file))) as http, other._database.writing():
        refused = http.post("/v1/skills", json=SKILL, headers=HEADERS)
        assert "stayed locked by other writers: try again" in problem(refused, 503, "StoreBusy")
        assert refused.headers["retry-after"] == "1"


def test_a_library_that_may_only_be_read_answers_and_refuses_what_writes(file: Path) -> None:
    with served(open_store(str(file), readonly=True)) as http:
        assert http.get("/v1/search", params={"text": "locked"}).json()["experiences"][0]["id"] == 1
        assert "may not be written" in problem(
            http.post("/v1/skills", json=SKILL, headers=HEADERS), 403, "StoreReadOnly"
        )


def test_a_full_disk_is_said_and_nothing_is_half_written(file: Path) -> None:
    with open_store(str(file)) as store:

        @sa.event.listens_for(store._database.engine, "begin")
        def small(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 60")

        with served(store) as http:
            big = {**SKILL, "body": "x" * (1 << 19)}
            assert "is full: make room" in problem(http.post("/v1/skills", json=big, headers=HEADERS), 507, "StoreFull")
            assert [each["name"] for each in http.get("/v1/skills").json()] == ["open-drawers"]


def test_a_database_that_is_lost_while_it_is_served_is_a_problem_and_no_page(file: Path) -> None:
    with open_store(str(file)) as store, served(store) as http:
        store.close()
        for path in ("/health", "/v1/stats", "/v1/search?text=a", "/v1/lineage/1"):
            assert "has been closed" in problem(http.get(path), 503, "StoreClosed")


def test_the_command_tells_its_url_takes_the_token_from_the_environment_and_ends_on_sigterm(tmp_path: Path) -> None:
    db, port_file = tmp_path / "new" / "memory.db", tmp_path / "url"
    server = subprocess.Popen(
        [sys.executable, "-m", "skills_db", "serve", "--port", "0", "--db", str(db), "--port-file", str(port_file)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SKILLS_TOKEN": "sesame"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        url = line.removeprefix("skills: serving at ").strip()
        assert url.startswith("http://127.0.0.1:"), line
        assert port_file.read_text() == url + "\n"
        added = httpx.post(f"{url}/v1/skills", json=SKILL, headers={"authorization": "Bearer sesame"})
        assert added.status_code == 201
        server.terminate()
        _, said = server.communicate(timeout=20)
    finally:
        server.kill()
    assert said == ""
    with open_store(str(db), create=False) as store:
        assert [skill.name for skill in store.skills()] == ["climb"]
    assert not db.with_name("memory.db-wal").exists()


def test_what_hinders_the_command_is_one_sentence(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SKILLS_TOKEN", raising=False)
    (tmp_path / "text.db").write_text("no database at all, but a text\n" * 100)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        hindrances = {
            ("--db", str(tmp_path / "none.db")): (1, "there is no database at"),
            ("--db", str(tmp_path / "text.db"), "--token", "x"): (1, "is no SQLite database"),
            ("--db", "mysql://h/d"): (1, "does not speak 'mysql'"),
            ("--db", str(file), "--port", port): (1, f"nothing is served at 127.0.0.1:{port}: Address already in use"),
            ("--db", str(file), "--host", "nowhere.invalid"): (1, "Name or service not known"),
            ("--db", str(file), "--port-file", str(tmp_path / "no" / "url")): (1, "cannot be written: No such file"),
            ("--db", str(file), "--token", ""): (2, "the token is empty"),
            ("--db", str(file), "--port", "70000"): (2, "less than or equal to 65535"),
        }
        for words, (code, says) in hindrances.items():
            with pytest.raises(SystemExit, match=str(code)):
                main(["serve", "--port", "0", *words])
            out, said = capsys.readouterr()
            assert (out, said.count("\n")) == ("", 1)
            assert said.startswith("skills: ")
            assert says in said
    assert not (tmp_path / "none.db").exists()

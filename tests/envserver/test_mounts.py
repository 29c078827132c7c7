"""What a server serves beside its worlds: the memory, and a third party's mount."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from envserver.cli import main
from envserver.config import ConfigError, load_config
from envserver.launch import launch
from envserver.mounts import Mounts
from envserver.plugins import NoSuchPlugin
from skills_db.store import open_store
from skills_db.types import NewExperience

HEADERS = {"authorization": "Bearer sesame"}
SKILL = {"name": "climb", "description": "At walls.", "body": "Climb."}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A library of one experience."""
    path = tmp_path / "memory.db"
    with open_store(str(path)) as store:
        store.add([NewExperience("keydoor", "A locked drawer.", "Find the key.", "skill", 1.0)])
    return path


def test_a_mounted_memory_is_read_and_written_with_the_servers_token(db: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        launch(["keydoor"], workers=1, token="sesame", memory=f"sqlite:///{db}", log=log) as server,
        httpx.Client(base_url=f"{server.url}/memory") as http,
    ):
        for headers in ({}, {"authorization": "Bearer nope"}):
            assert http.get("/v1/stats", headers=headers).status_code == 401
            assert http.post("/v1/skills", json=SKILL, headers=headers).status_code == 401
        http.headers.update(HEADERS)
        assert http.get("/health").json()["writes"] is True
        assert http.get("/v1/search", params={"text": "locked"}).json()["experiences"][0]["advice"] == "Find the key."
        assert http.post("/v1/skills", json=SKILL).status_code == 201
        conflict = http.post("/v1/skills/climb/versions", json={"body": "Jump.", "base": 7}).json()
        assert conflict["type"] == "EditConflict"
        nowhere = http.get("/nope").json()
        assert (nowhere["type"], nowhere["status"]) == ("BadRequest", 404)
        assert nowhere["detail"].endswith("there is no GET /memory/nope; see /memory/docs")
        huge = http.post("/v1/search", content=b'{"text": "' + b"x" * (9 << 20))
        assert (huge.status_code, huge.headers["content-type"]) == (413, "application/problem+json")
        assert http.get("/docs").status_code == 200
        assert httpx.get(f"{server.url}/v1/envs", headers=HEADERS).json()[0]["env"] == "keydoor"
    assert log.read_text().splitlines() == [f"envserver: serving at {server.url}"]
    assert not db.with_name("memory.db-wal").exists(), "the store was not closed"
    with open_store(str(db)) as store:
        assert store.skill("climb").current == 1


def test_a_memory_that_cannot_be_opened_ends_the_server_before_it_has_a_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.db").write_text("no database at all, but a text\n" * 100)
    hindrances = {
        (str(tmp_path / "none.db"),): (1, "there is no database at"),
        (str(tmp_path / "text.db"),): (1, "is no SQLite database"),
        ("mysql://u:secret@h/d",): (1, "memory does not speak 'mysql'"),
        ("",): (2, "setting 'memory' cannot be ''"),
    }
    for (url,), (code, says) in hindrances.items():
        with pytest.raises(SystemExit, match=str(code)):
            main(["serve", "--env", "keydoor", "--port-file", str(tmp_path / "url"), "--memory", url])
        out, said = capsys.readouterr()
        assert (out, said.count("\n")) == ("", 1)
        assert said.startswith("envserver: ")
        assert says in said
        assert "secret" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.db"]


MOUNT = '''
"""A third party's mount."""

from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(setting, token):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{setting} {token} {scope['path']}".encode()})

    try:
        yield app
    finally:
        Path(setting).write_text("closed")
'''


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution with a mount that works and one that cannot be imported."""
    info = tmp_path / "acme_board-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-board\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[envserver.mounts]\nboard = acme_board:mounted\nbroken = acme_none:mounted\n"
    )
    (tmp_path / "acme_board.py").write_text(MOUNT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_mount_is_left_at_the_end_and_without_a_token_a_memory_is_only_read(
    db: Path, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    with launch(["keydoor"], workers=1, mounts={"board": str(end)}, memory=str(db)) as server:
        answer = httpx.get(f"{server.url}/board/a/b")
        assert answer.text.startswith(f"{end} None ")
        assert answer.text.endswith("/a/b")
        refused = httpx.post(f"{server.url}/memory/v1/skills", json=SKILL)
        assert (refused.status_code, refused.json()["type"]) == (403, "Forbidden")
        assert httpx.get(f"{server.url}/memory/v1/skills").json() == []
    assert end.read_text() == "closed"


@pytest.mark.usefixtures("third_party")
def test_a_mount_that_is_not_there_or_cannot_be_imported_is_said() -> None:
    with pytest.raises(NoSuchPlugin, match="no mount is named 'bord'; did you mean 'board'"):
        Mounts({"bord": ""})
    with pytest.raises(NoSuchPlugin, match="the mount 'broken' needs 'acme_none'"):
        Mounts({"broken": ""})


@pytest.mark.usefixtures("third_party")
def test_where_one_mount_fails_those_before_it_are_left(tmp_path: Path) -> None:
    end = tmp_path / "end"
    with pytest.raises(NoSuchPlugin):
        Mounts({"board": str(end), "bord": ""})
    assert end.read_text() == "closed"


def test_a_mounts_setting_may_hold_a_password_and_is_not_shown() -> None:
    settings = {"ENVSERVER_MEMORY": "postgresql://u:pw1@h/d", "ENVSERVER_MOUNTS": '{"board": "pw2"}'}
    config = load_config(None, settings)
    assert config.mounted() == {"board": "pw2", "memory": "postgresql://u:pw1@h/d"}
    assert "pw1" not in repr(config)
    assert "pw2" not in repr(config)
    with pytest.raises(ConfigError, match="ENVSERVER_MOUNTS is not JSON"):
        load_config(None, {"ENVSERVER_MOUNTS": "{"})

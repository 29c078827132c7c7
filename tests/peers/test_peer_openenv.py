"""OpenEnv's own clients and its validator."""

import subprocess

import httpx
import pytest

from envserver.launch import launch

pytestmark = pytest.mark.peers


def test_openenvs_clients_play_unmodified(peer, tmp_path):
    with launch(["keydoor", "tooluse"], workers=1, log=tmp_path / "log") as server:
        seen = peer("openenv", "openenv_client.py", server.url)
        sessions = httpx.get(f"{server.url}/v1/sessions").json()
    generic, tools = seen["generic"], seen["mcp"]
    assert generic["first"]["text"].startswith("The way out is the brown door.")
    assert "open red door" in generic["first"]["choices"]
    assert (generic["same"], generic["reward"], generic["after"]) == (True, None, 0.0)
    assert generic["steps"] == [[0.0, False, ["choices", "text"]]] * 2
    assert generic["state"]["step_count"] == 2
    assert (
        generic["refused"]
        == "Server error: Invalid message: command: Field required (and 1 more) (code: VALIDATION_ERROR)"
    )
    assert tools["tools"] == [["open", "object"], ["done", "object"]]
    assert tools["called"] == "open needs page, an integer."
    assert tools["stepped"] == ["open", "open needs page, an integer.", 0.0]
    assert (tools["unknown"], tools["steps"]) == ("tool_not_found", 2)
    assert tools["refused"] == "Tool 'nope' failed: Unknown tool: nope; there are: open, done"
    assert sessions == [], "a session was not closed"


def test_openenvs_validator_passes_every_world(peer, peer_python, tmp_path):
    with launch(workers=1, log=tmp_path / "log") as server:
        envs = httpx.get(f"{server.url}/health").json()["envs"]
        urls = [f"{server.url}/openenv/{env}" for env in envs]
        verdicts = peer("openenv", "openenv_validate.py", *urls)
        assert verdicts == {url: [True, 6] for url in urls}
        command = peer_python("openenv").with_name("openenv")
        done = subprocess.run([command, "validate", "--url", urls[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Verdict: PASS" in done.stdout

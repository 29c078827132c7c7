"""The official MCP client, of both lines that are in use."""

import httpx
import pytest

from envserver.launch import launch

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("venv", ["mcp", "mcp1"])
def test_the_official_client_initializes_lists_calls_resumes_and_closes(peer, venv, tmp_path):
    with launch(["keydoor", "tooluse", "worlds:Wild"], workers=1, log=tmp_path / "log") as server:
        seen = peer(venv, "mcp_client.py", server.url)
        bound = seen["bound"]
        assert "The way out is the brown door." in bound["instructions"]
        assert bound["tools"] == [["act", ["text"]]]
        assert bound["text"][0].startswith("The red door is locked.")
        assert (bound["meta"]["index"], bound["meta"]["reward"]) == (1, 0.0)
        tooluse = seen["tooluse"]
        assert tooluse["tools"] == ["open", "done"]
        assert tooluse["wrong"] == "open needs page, an integer."
        assert tooluse["unknown"].endswith("Unknown tool: no_such; there are: open, done")
        token, first, second = seen["resumed"]
        assert token.startswith("0.")
        assert (first, second) == (1, 2)
        names, stepped, refused = seen["hall"]
        assert names == ["list_envs", "list_tasks", "open", "step", "close"]
        assert (stepped, refused) == (False, True)
        assert seen["high_level"] in (None, ["act"])
        assert httpx.get(f"{server.url}/v1/sessions").json() == [], "a session was not closed"
    assert (tmp_path / "log").read_text().splitlines() == [f"envserver: serving at {server.url}"]

"""NeMo Gym's agents, to which a world is a resources server."""

import httpx
import pytest

from envserver.launch import launch

pytestmark = pytest.mark.peers


def test_both_of_its_agents_run_a_row_unmodified(peer, tmp_path):
    with launch(["keydoor"], workers=1, log=tmp_path / "log") as server:
        seen = peer("nemo", "nemo_agents.py", server.url, needs="nemo_gym")
        assert httpx.get(f"{server.url}/v1/sessions").json() == [], "a session was not closed"
    gymnasium, simple = seen["gymnasium"], seen["simple"]
    assert gymnasium["said"][1].startswith("The lamp burns.")
    assert (gymnasium["terminated"], gymnasium["truncated"]) == (True, False)
    assert '"observation":"The lamp burns.' in simple["said"][1]
    assert (simple["terminated"], simple["steps"], simple["success"]) == (True, 3.0, 0.0)
    assert simple["reward"] == gymnasium["reward"]

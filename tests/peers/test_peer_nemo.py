"""NeMo Gym's agents, to which a world is a resources server."""

import subprocess

import httpx
import pytest

from envserver.launch import launch

pytestmark = pytest.mark.peers


def test_both_of_its_agents_run_a_row_unmodified(peer, peer_python, tmp_path):
    if subprocess.run([peer_python("nemo"), "-c", "import nemo_gym"], capture_output=True, check=False).returncode:
        pytest.skip("nemo-gym is for Python 3.12 and later: make test-peers PYTHON=python3.12")
    with launch(["keydoor"], workers=1, log=tmp_path / "log") as server:
        seen = peer("nemo", "nemo_agents.py", server.url)
        assert httpx.get(f"{server.url}/v1/sessions").json() == [], "a session was not closed"
    gymnasium, simple = seen["gymnasium"], seen["simple"]
    assert gymnasium["said"][1].startswith("The lamp burns.")
    assert (gymnasium["terminated"], gymnasium["truncated"]) == (True, False)
    assert '"observation":"The lamp burns.' in simple["said"][1]
    assert (simple["terminated"], simple["steps"], simple["success"]) == (True, 3.0, 0.0)
    assert simple["reward"] == gymnasium["reward"]

"""The openreward SDK's sessions."""

import httpx
import pytest

from envserver.launch import launch

pytestmark = pytest.mark.peers


def test_the_sdk_plays_unmodified_and_a_cut_stream_is_not_played_twice(peer, tmp_path):
    with launch(["keydoor"], workers=1, log=tmp_path / "log") as server:
        seen = peer("ors", "ors_client.py", server.url)
        assert httpx.get(f"{server.url}/v1/sessions").json() == [], "a session was not deleted"
    whole, cut = seen["whole"], seen["cut"]
    assert (whole["splits"], whole["count"]) == (["train", "valid", "test"], 10_000)
    assert whole["task"] == {"key": "doors-3/train/0005"}
    assert whole["prompt"].startswith("You are locked in a room.")
    assert whole["tools"] == ["act"]
    assert whole["texts"][0].startswith("Nothing happens.")
    assert (whole["reward"], whole["finished"]) == (0.0, False)
    assert whole["refused"] == ["not_found", "input_validation"]
    assert whole["steps"] == 2
    assert seen["by_index"] == whole["texts"][0]
    assert seen["cuts"] == 4, "every stream of a call was cut after its task id"
    assert cut == whole, "and resumed"

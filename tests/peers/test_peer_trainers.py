"""Other projects' trainers in our worlds, by the adapters of `agents/adapters`."""

import httpx
import pytest

from envserver.launch import launch

pytestmark = pytest.mark.peers

ROOM = "The way out is the blue door. Keys: blue, green. You hold nothing."
CHOICES = "Commands:\n- take blue key\n- take green key\n- open green door\n- open blue door"


@pytest.fixture
def url(tmp_path):
    """A served keydoor; every session is closed by whoever opened it."""
    with launch(["keydoor"], workers=1, log=tmp_path / "log") as server:
        yield server.url
        assert httpx.get(f"{server.url}/v1/sessions").json() == [], "a session was not closed"


def test_trl_trains_a_model_in_a_served_world(peer, url):
    seen = peer("trl", "trl_grpo.py", url, ours=True)
    assert seen["prompt"].startswith("Get out.\n\nYou are locked in a room.")
    assert seen["prompt"].endswith(f"{ROOM}\n\n{CHOICES}")
    assert seen["said"][-1] == "The door opens: you are out."
    assert seen["rewards"] == [1.0, 0.0]
    rewards = [step["rewards/Keydoor/mean"] for step in seen["logged"]]
    assert len(rewards) == 4
    assert rewards == [step["reward"] for step in seen["logged"]]
    assert max(rewards[1:]) > rewards[0], "what is rewarded is done more often"
    assert all(step["tools/call_frequency"] > 0 for step in seen["logged"])
    assert seen["changed"] == seen["weights"]


def test_verls_worker_plays_our_loop_and_our_tool(peer, url):
    seen = peer("verl", "verl_loops.py", url, needs="verl", ours=True)
    loop, tool, lost = seen["loop"], seen["tool"], seen["lost"]
    assert '"name": "act"' in loop["prompts"][0]
    assert f"{ROOM}\n\n{CHOICES}<|im_end|>\n<|im_start|>assistant\n" in loop["prompts"][0]
    out, trap, quits = sorted(loop["played"], key=lambda one: ("blue" not in one["said"], -len(one["said"])))
    assert [one["score"] for one in (out, trap, quits)] == [1.0, 0.0, 0.0]
    assert [one["tool_rewards"] for one in (out, trap, quits)] == [[0.0, 1.0], [0.0, 0.0], []]
    assert [one["extras"]["success"] for one in (out, trap, quits)] == [True, False, False]
    assert out["said"].count("<tool_call>") == 2
    assert quits["said"] == "I give up.<|im_end|>"
    assert out["at_the_last"], "the reward is at the last token that was sampled"
    # verl's own loop with our tool: the same prompt, and rewards for a reward function.
    assert tool["prompts"][0] == loop["prompts"][0]
    assert sorted(one["tool_rewards"] for one in tool["played"]) == [[0.0], [0.0, 1.0]]
    assert any("The door opens: you are out.<|im_end|>" in prompt for prompt in tool["prompts"])
    # An episode that broke trains nothing.
    (broken,) = lost["played"]
    assert (broken["said"], broken["score"]) == ("", 0.0)
    assert broken["extras"]["failure"].startswith("UnknownSession")


def test_skyrls_generator_plays_our_text_environment(peer, url):
    seen = peer("skyrl", "skyrl_generator.py", url, needs="skyrl", ours=True)
    whole, lost = seen["whole"], seen["lost"]
    system, user = whole["prompts"][0].split("<|im_end|>\n<|im_start|>user\n")
    assert system.startswith("<|im_start|>system\nYou are locked in a room.")
    assert system.endswith("Answer with one command and nothing else.")
    assert user == f"Get out.\n\n{ROOM}\n\n{CHOICES}<|im_end|>\n<|im_start|>assistant\n"
    assert whole["played"] == [
        ["<|im_end|>wait<|im_end|>wait<|im_end|>", 0.0],
        ["take blue key<|im_end|>open blue door<|im_end|>", 1.0],
        ["take green key<|im_end|>open green door<|im_end|>", 0.0],
    ]
    assert any("The answer holds no command." in prompt for prompt in whole["prompts"])
    assert whole["metrics"] == pytest.approx(
        {"environment/success": 1 / 3, "environment/steps": 2.0, "environment/failed": 0.0}
    )
    assert lost["metrics"]["environment/failed"] == 1.0
    assert lost["played"][0][1] == 0.0

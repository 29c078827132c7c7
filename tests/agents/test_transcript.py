"""An episode as people read it."""

import pytest

from agents.transcript import transcript
from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task


def episode(chat, **changes) -> Episode:
    ids = chat.answer_ids("2")
    won = StepResult(observation=Observation(text="You are out."), reward=1.0, terminated=True, success=True)
    turns = [
        Turn(Prompt([]), Move([1], Sample(ids, [-0.5] * len(ids), "stop", 1.0, 7), "2"), Reply(Action(text="go")), won),
        Turn(Prompt([]), Move([], Sample([], [], "stop", 1.0, 0), "?"), Reply(None, complaint="No number."), None),
    ]
    opened = Opened(session="ab", instructions="", result=StepResult(observation=Observation(text="A \x1b[31mroom.")))
    task = Task(env="keydoor", key="doors-3/train/0000")
    return Episode(task, turns, changes.get("stop", StopReason.DONE), changes.get("error"), id="ab", opened=opened)


def test_a_transcript_reads_from_the_task_to_the_outcome(chatml):
    assert transcript(episode(chatml)) == (
        "keydoor doors-3/train/0000 (seed 0)  episode ab\n"
        "\n"
        "A \\x1b[31mroom.\n"
        "\n"
        "--- turn 0  reward 1\n"
        "> 2\n"
        "= go\n"
        "\n"
        "You are out.\n"
        "\n"
        "--- turn 1\n"
        "> ?\n"
        "! No number.\n"
        "\n"
        "done after 2 turns, reward 1, solved"
    )


def test_tokens_show_id_log_probability_advantage_and_piece(chatml):
    text = transcript(episode(chatml), tokens=True, chat=chatml, advantages=[0.25, -0.25])
    rows = [line.split() for line in text.splitlines() if "-0.5000" in line]
    ids = chatml.answer_ids("2")
    assert rows == [
        [str(ids[0]), "-0.5000", "+0.250", "'2'"],
        [str(ids[1]), "-0.5000", "+0.250", "'<|im_end|>'"],
    ]
    assert "stop at temperature 1, weights of version 7" in text
    assert "no tokens" in text
    assert "advantage -0.250" in text


def test_a_broken_episode_says_why_and_has_no_reward(chatml):
    text = transcript(episode(chatml, stop=StopReason.ERROR, error="WorldFailed: it fell over"))
    assert text.endswith("error after 2 turns, reward null: WorldFailed: it fell over")


def test_advantages_of_another_episode_are_refused(chatml):
    with pytest.raises(ValueError, match="1 advantages for 2 turns"):
        transcript(episode(chatml), advantages=[1.0])

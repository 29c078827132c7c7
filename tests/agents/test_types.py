"""The record of play is read by trainers, by memory and by people: its shape is pinned here."""

import dataclasses
import subprocess
import sys

import pytest

from agents import types
from envserver.schema import Observation, Opened, StepResult, Task

FIELDS = {
    "Sample": ("ids", "logprobs", "stop", "temperature", "version"),
    "Prompt": ("messages", "kind", "used", "skills", "generation", "drops_last"),
    "Move": ("prompt_ids", "sample", "text"),
    "Reply": ("action", "tag", "complaint"),
    "Turn": ("prompt", "move", "reply", "result"),
    "History": ("task", "opened", "turns"),
    "Episode": ("task", "turns", "stop", "error", "id", "opened", "wall_s"),
}
TASK = Task(env="keydoor", key="doors-3/train/0000")


@pytest.mark.parametrize("name", FIELDS)
def test_the_fields_of_a_record_are_these(name):
    assert tuple(field.name for field in dataclasses.fields(getattr(types, name))) == FIELDS[name]


@pytest.mark.parametrize("name", ["Sample", "Prompt", "Move", "Reply", "Turn"])
def test_what_happened_cannot_be_edited(name):
    kind = getattr(types, name)
    record = object.__new__(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, FIELDS[name][0], None)


def test_the_reasons_to_stop_are_these():
    assert [reason.value for reason in types.StopReason] == [
        "done",
        "truncated",
        "max_turns",
        "max_tokens",
        "max_summaries",
        "resigned",
        "error",
    ]


def turn(result: StepResult | None) -> types.Turn:
    sample = types.Sample([], [], "stop", 1.0, 0)
    return types.Turn(types.Prompt([]), types.Move([], sample, ""), types.Reply(None), result)


def test_an_episode_that_broke_has_no_reward():
    turns = [turn(StepResult(observation=Observation(text=""), reward=0.5)), turn(None)]
    assert types.Episode(TASK, turns, types.StopReason.MAX_TURNS).reward == 0.5
    broken = types.Episode(TASK, turns, types.StopReason.ERROR, error="WorldFailed: gone")
    assert broken.reward is None
    assert not broken.valid
    assert broken.rewards == [0.5, 0.0]


def test_success_is_what_some_result_said():
    open_, won = (StepResult(observation=Observation(text=""), success=success) for success in (None, True))
    assert not types.Episode(TASK, [turn(open_), turn(None)], types.StopReason.MAX_TURNS).success
    assert types.Episode(TASK, [turn(open_), turn(won)], types.StopReason.DONE).success


def test_a_history_knows_what_the_world_showed_last():
    opened = Opened(session="s", instructions="", result=StepResult(observation=Observation(text="first")))
    history = types.History(TASK, opened)
    assert history.observation.text == "first"
    history.turns += [turn(StepResult(observation=Observation(text="second"))), turn(None)]
    assert history.observation.text == "second"


def test_a_full_context_is_a_value_error():
    assert issubclass(types.ContextFull, ValueError)


def test_players_import_neither_torch_nor_transformers_nor_a_server():
    names = ["rollout", "chat", "transcript", "policies.llm", "policies.expert", "policies.human", "contexts.window"]
    imports = "".join(f"import agents.{name}\n" for name in [*names, "formats.choice", "formats.react"])
    heavy = "{'torch', 'transformers', 'tokenizers', 'fastapi', 'uvicorn', 'sqlalchemy'}"
    script = f"{imports}import sys\nprint(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

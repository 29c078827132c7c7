"""An episode as other trainers play it; the trainers themselves are in tests/peers."""

import asyncio

import numpy as np
import pytest
from transformers.utils import get_json_schema

from agents.adapters.base import Place, Play, after
from agents.adapters.trl import environment
from envserver.catalogue import load_env
from envserver.envs.keydoor import Keydoor
from envserver.errors import BadRequest, UnknownEnv, UnknownTask
from envserver.schema import EnvCard, Task
from envserver.sync import SyncGym
from envserver.toolset import ACT, called, offered

ROOM = {"key": "doors-3/train/0005", "seed": 3}


def begun(url, row=ROOM, **place):
    play = Play(Place(url, "keydoor", **place))
    return play, play.place.run(lambda gym: play.begin(gym, row))


def called_with(play, *texts):
    async def all_at_once():
        return await asyncio.gather(*(play.call("act", {"text": text}) for text in texts))

    return play.place.run(lambda _: all_at_once())


def winning(row):
    """The expert's commands."""
    env, commands = Keydoor(Keydoor.Config()), []
    result = env.reset(Task(env="keydoor", **row))
    while not result.over:
        commands.append(env.expert())
        result = env.step(commands[-1])
    return [command.text for command in commands]


def test_calls_at_once_are_played_in_order_and_the_world_is_let_go_at_the_end(gym_url):
    play, opened = begun(gym_url)
    assert opened.instructions.startswith("You are locked in a room.")
    commands = winning(ROOM)
    answers = called_with(play, *commands, "look")
    assert [answer.result is not None for answer in answers] == [True] * len(commands) + [False]
    assert answers[-2].text == "The door opens: you are out."
    assert answers[-1].text == "The episode is over."
    assert (play.reward, play.success, play.steps) == (1.0, True, len(commands))
    with SyncGym(gym_url) as gym:
        assert gym.sessions() == []


def test_the_call_that_begins_an_episode_is_its_first_whatever_waits(gym_url):
    play = Play(Place(gym_url, "keydoor"))
    first, *others = winning(ROOM)

    async def all_at_once(gym):
        begins = play.first_call(gym, ROOM, "act", {"text": first})
        return await asyncio.gather(begins, *(play.call("act", {"text": text}) for text in others))

    answers = play.place.run(all_at_once)
    assert answers[-1].text == "The door opens: you are out."
    assert play.reward == 1.0


def test_what_is_no_call_reaches_no_world(gym_url):
    play, _ = begun(gym_url)
    for name, arguments, said in (
        ("fly", {}, "Unknown tool: fly; there are: act"),
        ("act", {"text": 3}, "act takes text alone"),
        ("act", {}, "act takes text alone"),
    ):
        answer = play.place.run(lambda _, name=name, arguments=arguments: play.call(name, arguments))
        assert answer.text.startswith(said)
        assert answer.result is None
    assert play.steps == 0
    play.place.run(lambda _: play.end())


def test_a_lost_session_has_no_reward_and_the_next_episode_one_again(gym_url):
    play, opened = begun(gym_url)
    called_with(play, "wait")
    with SyncGym(gym_url) as gym:
        gym.run(lambda gym: gym._call("close", opened.session, None))
    answers = called_with(play, "wait", "wait")
    assert [answer.text.partition(":")[0] for answer in answers] == ["UnknownSession"] * 2
    assert play.reward is None
    play.place.run(lambda gym: play.begin(gym, ROOM))
    assert play.reward == 0.0
    play.place.run(lambda _: play.end())


def test_a_row_is_read_as_tables_hold_it(gym_url):
    tables = {"split": "test", "index": np.int64(7), "key": None, "options": {"dark": 0.0, "doors": None}}
    with SyncGym(gym_url) as gym:
        seen = {}
        for name, row in {"table": tables, "plain": {"key": "doors-3/test/0007", "options": {"dark": 0.0}}}.items():
            play, opened = begun(gym_url, row)
            seen[name] = (gym.state(opened.session).task, opened.result)
            play.place.run(lambda _, play=play: play.end())
    assert seen["table"] == seen["plain"]
    assert seen["table"][0] == Task(env="keydoor", key="doors-3/test/0007", options={"dark": 0.0})
    # The seed names a task where nothing else does, and a row's options go before the adapter's.
    play, opened = begun(gym_url, {"seed": 10_002, "options": {"dark": 1.0}}, options={"dark": 0.0, "max_steps": 4})
    with SyncGym(gym_url) as gym:
        task = gym.state(opened.session).task
    assert (task.key, task.seed, task.options) == ("doors-3/train/0002", 10_002, {"dark": 1.0, "max_steps": 4})
    play.place.run(lambda _: play.end())


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        ({}, BadRequest, "a row names no task"),
        ({"split": "train"}, BadRequest, "a row names no task"),
        ({"index": "7"}, BadRequest, "a row's index cannot be read"),
        ({"index": -1}, BadRequest, "a row's index cannot be read"),
        ({"index": 10_000}, UnknownTask, "10000 tasks in 'train'"),
        ({"key": "nowhere"}, UnknownTask, "nowhere"),
        ({"seed": 1, "options": "{}"}, BadRequest, "options cannot be read: they are a str"),
    ],
)
def test_a_row_that_every_rollout_would_stumble_over_is_raised(gym_url, row, error, said):
    with pytest.raises(error, match=said):
        begun(gym_url, row)


def test_what_follows_a_message_is_a_paragraph_of_its_own():
    assert after("Get out.\n", "A room.") == "Get out.\n\nA room."
    assert after(" ", "A room.") == "A room."


def test_trl_sees_a_world_of_texts_as_one_tool_and_its_reward(gym_url):
    world = environment(gym_url, "keydoor")()
    assert type(world).__name__ == "Keydoor"
    prompt = [{"role": "user", "content": "Get out."}]
    seen = world.reset(prompt=prompt, **ROOM, difficulty="a column of somebody else's")
    assert seen.startswith("\n\nYou are locked in a room.")
    assert "\n\nCommands:\n- light lamp\n" in seen
    assert world.reset(prompt=[{"role": "user", "content": ""}], **ROOM) == seen.lstrip()
    assert [world.act(text=text) for text in winning(ROOM)][-1] == "The door opens: you are out."
    assert world.act(text="look") == "The episode is over."
    assert world.act(command="look") == "The episode is over."
    assert world.get_reward() == 1.0
    world.reset(**ROOM)
    assert world.get_reward() == 0.0
    with SyncGym(gym_url) as gym:
        assert gym.sessions() == []
    with pytest.raises(UnknownEnv):
        environment(gym_url, "nowhere")


@pytest.mark.parametrize("env", ["keydoor", "tooluse", "search", "sql", "python", "repo", "kernel"])
def test_trl_reads_the_tools_schemas_from_the_methods(env, monkeypatch):
    kind = load_env(env)
    tools = offered(kind.tools)
    card = EnvCard(
        env=env,
        summary="",
        instructions="",
        tools=list(kind.tools),
        deterministic=True,
        weight="worker",
        splits={},
        config_schema={},
    )
    monkeypatch.setattr(Place, "card", lambda _: card)
    world = environment("http://nowhere", env)
    for tool in tools:
        read = get_json_schema(getattr(world, tool.name))["function"]
        assert read["name"] == tool.name
        assert read["description"] == " ".join(tool.description.split())
        properties = tool.parameters["properties"]
        assert list(read["parameters"]["properties"]) == list(properties)
        assert set(read["parameters"].get("required", [])) == set(tool.parameters.get("required", []))
        for name, schema in properties.items():
            got = read["parameters"]["properties"][name]
            assert got["type"] == schema["type"]
            assert got.get("enum") == schema.get("enum")
            assert got["description"] == " ".join(str(schema.get("description") or name).split())


def test_trl_is_told_where_a_tools_name_is_taken(monkeypatch):
    for name, said in (("reset", "does not take for one"), ("look around", "is no name there")):
        tool = ACT.model_copy(update={"name": name})
        card = EnvCard.model_construct(summary="", tools=[tool])
        monkeypatch.setattr(Place, "card", lambda _, card=card: card)
        with pytest.raises(BadRequest, match=said):
            environment("http://nowhere", "it")


def test_a_call_in_a_world_of_tools_is_the_worlds_to_judge():
    assert called("act", {"anything": 1}, [ACT]).arguments == {"anything": 1}
    with pytest.raises(ValueError, match="there are: act"):
        called("look", {}, [ACT])

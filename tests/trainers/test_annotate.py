"""Demonstrations with thoughts: by rules, by an endpoint that is really served, from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from endpoint import Script, served
from tagged import told
from tiny import tiny_model

from agents.chat import Chat
from agents.contexts.full import Full
from agents.contexts.rlvmr import Rlvmr as Context
from agents.formats.rlvmr import Rlvmr as Format
from agents.policies.fallible import Fallible
from agents.rollout import collect
from agents.types import Episode
from envserver.client import Gym
from envserver.launch import launch
from envserver.schema import Task
from trainers import completions, recipe
from trainers.annotate import annotated, retold
from trainers.annotators.base import Note
from trainers.annotators.endpoint import Endpoint, EndpointConfig
from trainers.annotators.rules import Rules, RulesConfig, plan
from trainers.annotators.written import Written, WrittenConfig, line
from trainers.completions import Unanswered
from trainers.config import ModelConfig
from trainers.display import Display
from trainers.models import load_model
from trainers.plugged import BadConfig
from trainers.sft import lessons
from trainers.teacher import demonstrations

REFUSED = "Nothing happens."
HEAT = told(
    ("", "go to shelf 1", "On the shelf 1, you see an apple 1."),
    ("", "go to fridge 2", "The fridge 2 is closed."),
    ("", "open fridge 2", "It is open. You see an apple 2."),
    ("", "take apple", REFUSED),
    ("", "take apple 2 from fridge 2", "You take it."),
    ("", "go to microwave 1", "The microwave 1 is closed."),
    ("", "heat apple 2 with microwave 1", "You heat it."),
    ("", "go to table 1", "A table 1."),
    ("", "move apple 2 to table 1", "You move it."),
    success=True,
)
HEATED = [
    Note("planning", "1. take apple 2. heat apple with microwave 3. move apple to table"),
    Note("explore", "apple may be at fridge 2."),
    Note("monitor", "1. take apple"),
    Note("monitor", "1. take apple"),
    Note("reflection", "take apple did not work, take apple 2 from fridge 2 may."),
    Note("monitor", "2. heat apple with microwave"),
    Note("monitor", "2. heat apple with microwave"),
    Note("monitor", "3. move apple to table"),
    Note("monitor", "3. move apple to table"),
]
QUIET = Display(quiet=True)


def nothing() -> None:
    pass


async def by_rules(*episodes: Episode) -> list[Any]:
    return await Rules(RulesConfig()).notes(episodes, nothing)


async def test_rules_plan_first_search_what_is_taken_and_reflect_on_what_was_refused() -> None:
    assert await by_rules(HEAT) == [HEATED]


@pytest.mark.parametrize(
    ("commands", "steps"),
    [
        (
            ["light lamp", "open chest", "take red key", "open red door"],
            ["light lamp", "take red key", "open red door"],
        ),
        (["go east", "go north", "take coin"], ["take coin"]),
        (["go to bed 1", "examine book 1"], ["examine book"]),
        (["take up the mug 3 from sink 1", "wait"], ["take mug", "wait"]),
        ([], []),
    ],
)
def test_a_plan_names_what_is_done_and_not_the_way(commands: list[str], steps: list[str]) -> None:
    assert plan(commands) == steps


async def test_by_the_compass_every_step_of_a_search_explores() -> None:
    episode = told(("", "go east", "A room."), ("", "go north", "A yard. A coin."), ("", "take coin", "Taken."))
    [notes] = await by_rules(episode)
    assert [note.tag for note in notes] == ["planning", "explore", "monitor"]


async def test_an_answer_that_was_not_read_is_reflected_on() -> None:
    [notes] = await by_rules(told(("", "go", "."), ("", "", ""), ("", "on", ".")))
    assert [note.tag for note in notes] == ["planning", "monitor", "reflection"]
    assert notes[2].words == "that did not work, on may."


def chat() -> Chat:
    return Chat(load_model(ModelConfig(path=tiny_model()))[1])


@pytest.mark.parametrize("compact", [False, True])
async def test_what_is_told_again_is_what_was_played(compact: bool) -> None:
    format = Format(Format.Config(compact=compact))
    found = await retold(HEAT, HEATED, format, Context(format=format), chat=chat())
    assert [turn.result for turn in found.turns] == [turn.result for turn in HEAT.turns]
    assert [turn.reply.action for turn in found.turns] == [turn.reply.action for turn in HEAT.turns]
    assert [turn.reply.tag for turn in found.turns] == [note.tag for note in HEATED]
    shown = found.turns[8].prompt.messages[1]["content"]
    assert "Your plan: 1. take apple 2. heat apple with microwave 3. move apple to table" in shown


async def test_an_answer_that_was_not_read_stays_as_it_was() -> None:
    format = Format()
    episode = told(("", "go", "."), ("", "", ""), ("", "on", "."))
    notes = [Note("planning", "go on"), Note("monitor", "unused"), Note("reflection", "try on")]
    found = await retold(episode, notes, format, Full(format=format), chat=None)
    assert found.turns[1].move.text == episode.turns[1].move.text
    assert found.turns[1].reply.action is None


async def test_notes_for_other_turns_are_refused() -> None:
    format = Format()
    with pytest.raises(ValueError, match="1 notes for 9 turns"):
        await retold(HEAT, HEATED[:1], format, Full(format=format), chat=None)


async def test_what_the_world_refused_is_shown_and_not_imitated() -> None:
    format, spoken = Format(), chat()
    found = await retold(HEAT, HEATED, format, Full(format=format), chat=spoken)
    [row] = lessons(0, found)
    learned = {turn for turn, sampled in zip(row.segment.turns, row.segment.mask, strict=True) if sampled}
    assert learned == {0, 1, 2, 4, 5, 6, 7, 8}
    text = spoken.decode([i for i, m in zip(row.segment.ids, row.segment.mask, strict=True) if m])
    assert "<action>take apple</action>" not in text
    assert "<action>take apple</action>" in spoken.decode(row.segment.ids)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(completions, "PAUSE_S", 0.0)
    with served() as found:
        yield found


def asked_of(script: Script, **more: Any) -> Endpoint:
    return Endpoint(EndpointConfig(url=script.url, model="big", **more))


def rows(**change: Any) -> str:
    """What a good model answers for HEAT, with a change to its first row."""
    actions = [turn.reply.action.text for turn in HEAT.turns if turn.reply.action]
    found = [
        {"tag": note.tag, "reason": note.words, "action": action} for note, action in zip(HEATED, actions, strict=True)
    ]
    return json.dumps([found[0] | change, *found[1:]])


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here it is: {} I hope it helps."])
async def test_an_endpoints_thoughts_are_taken_where_the_actions_are_the_same(script: Script, around: str) -> None:
    script.answers = [(200, around.replace("{}", rows()))]
    assert await asked_of(script).notes([HEAT], nothing) == [HEATED]
    [asked] = script.asked
    assert asked["model"] == "big"
    assert 'Turn 4\nSeen: It is open. You see an apple 2.\nAction: "take apple"' in asked["messages"][1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        rows(action="go to shelf 2"),
        rows(tag="guessing"),
        rows(reason=" "),
        rows(reason="so </planning> it is"),
        json.dumps(json.loads(rows())[:-1]),
        json.dumps({"turns": 9}),
        "[" * 100_000,
        "I am sorry.",
        "",
    ],
    ids=["action", "tag", "empty", "markup", "short", "object", "deep", "prose", "nothing"],
)
async def test_an_endpoint_that_does_not_keep_to_the_actions_is_asked_again_and_then_left_out(
    script: Script, answer: str
) -> None:
    script.answers = [(200, answer)]
    assert await asked_of(script, tries=2).notes([HEAT], nothing) == [None]
    assert [asked["temperature"] for asked in script.asked] == [0.0, 0.3]


async def test_a_better_second_answer_counts(script: Script) -> None:
    script.answers = [(200, "no"), (200, rows())]
    assert await asked_of(script).notes([HEAT], nothing) == [HEATED]


async def test_a_full_queue_is_waited_for(script: Script) -> None:
    script.answers = [(429, {"error": "full"}), (503, {"error": "restarting"}), (200, rows())]
    assert await asked_of(script).notes([HEAT], nothing) == [HEATED]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"error": "no key"}), "refuses with 401"),
        ((500, {"error": "broken"}), "answers 500"),
        ((200, None), "no chat completions endpoint"),
        ((200, {"choices": []}), "no chat completions endpoint"),
    ],
)
async def test_an_endpoint_that_cannot_be_used_is_said_in_a_sentence(script: Script, answer: Any, says: str) -> None:
    script.answers = [answer]
    with pytest.raises(Unanswered, match=says):
        await asked_of(script).notes([HEAT, HEAT], nothing)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://[", "nowhere"])
async def test_an_endpoint_that_is_not_there_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(completions, "PAUSE_S", 0.0)
    with pytest.raises(Unanswered, match=r"sft\.annotator\.url"):
        await Endpoint(EndpointConfig(url=url)).notes([HEAT], nothing)


async def test_a_key_is_sent_only_where_the_variable_is_set(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script.answers = [(200, rows())]
    monkeypatch.delenv("ANNOTATOR_KEY", raising=False)
    await asked_of(script, key_variable="ANNOTATOR_KEY").notes([HEAT], nothing)
    monkeypatch.setenv("ANNOTATOR_KEY", "k")
    await asked_of(script, key_variable="ANNOTATOR_KEY").notes([HEAT], nothing)
    assert [asked["bearer"] for asked in script.asked] == [None, "Bearer k"]


async def test_demonstrations_without_an_annotation_are_left_out(script: Script) -> None:
    other = told(("", "wait", "."))
    script.answers = [(200, rows())]
    format = Format()
    found = await annotated([HEAT, other], asked_of(script), format, Full(format=format), chat=None, display=QUIET)
    assert [len(episode.turns) for episode, _ in found] == [9]
    script.answers = [(200, "no")]
    with pytest.raises(ValueError, match="none of 1 demonstrations could be annotated"):
        await annotated([other], asked_of(script), format, Full(format=format), chat=None, display=QUIET)


async def test_annotations_in_a_file_are_read_again(tmp_path: Any) -> None:
    file = tmp_path / "notes.jsonl"
    words = [Note("planning", "a line\u2028separator and \u00e9"), *HEATED[1:]]
    file.write_text(line(HEAT, words) + "\n", encoding="utf-8")
    written = Written(WrittenConfig(file=file))
    assert await written.notes([HEAT], nothing) == [words]
    assert await written.notes([told(("", "wait", "."))], nothing) == [None]


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), (b"\xff\xfe", "cannot be read"), (b"", "line 1"), (b'{"env": "keydoor"}\n', "line 1")],
)
async def test_a_file_without_annotations_is_refused(tmp_path: Any, content: bytes | None, says: str) -> None:
    file = tmp_path / "notes.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadConfig, match=says):
        await Written(WrittenConfig(file=file)).notes([HEAT], nothing)


TASKS = [Task(env="keydoor", key=f"doors-3/train/{number:04d}") for number in range(12)]


async def slipped(gym_url: str, *, seed: int) -> list[Episode]:
    format = Format(Format.Config(compact=True))
    policy, context = Fallible(Fallible.Config(slips=0.5, detours=0.0), format=format), Full(format=format)
    async with Gym(gym_url) as gym:
        found = await collect(TASKS, gym, policy, format, context, group_size=1, max_turns=8, concurrency=4, seed=seed)
    return [episode for group in found for episode in group]


async def test_slips_are_refused_by_the_world_and_mended(gym_url: str) -> None:
    found = await slipped(gym_url, seed=3)
    texts = [turn.result.observation.text for episode in found for turn in episode.turns if turn.result]
    assert 3 < sum(text.startswith(REFUSED) for text in texts) < len(texts) / 2
    assert not any(e.turns[0].result and e.turns[0].result.observation.text.startswith(REFUSED) for e in found)
    assert sum(episode.success for episode in found) > 8  # the rest ran out of steps


async def test_slips_are_a_function_of_the_seed(gym_url: str) -> None:
    def actions(found: list[Episode]) -> list[Any]:
        return [[turn.reply.action for turn in episode.turns] for episode in found]

    first, again, other = [actions(await slipped(gym_url, seed=seed)) for seed in (3, 3, 4)]
    assert first == again
    assert first != other


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a served ALFWorld with its expert."""
    with launch(["alfworld"], workers=1, expert=True, log=tmp_path_factory.mktemp("homes") / "server.log") as server:
        yield server.url


async def searched(url: str, *, shown: bool, detours: float) -> list[Episode]:
    format = Format(Format.Config(compact=True))
    policy, context = Fallible(Fallible.Config(slips=0.0, detours=detours), format=format), Full(format=format)
    options = {"admissible": shown}
    kinds = ["pick_heat_then_place_in_recep", "pick_two_obj_and_place"]
    tasks = [
        Task(env="alfworld", key=f"generated/{kind}/train/000{n}", options=options) for kind in kinds for n in "123"
    ]
    async with Gym(url) as gym:
        found = await collect(tasks, gym, policy, format, context, group_size=1, max_turns=60, concurrency=3, seed=1)
    return [episode for group in found for episode in group]


@pytest.mark.parametrize("shown", [True, False])
async def test_detours_are_made_while_something_is_sought_and_the_task_is_still_solved(homes: str, shown: bool) -> None:
    straight, astray = [await searched(homes, shown=shown, detours=detours) for detours in (0.0, 0.7)]
    assert all(episode.success for episode in [*straight, *astray])
    tags = []
    for episode in astray:
        [notes] = await by_rules(episode)
        carrying = False
        for turn, note, after in zip(episode.turns, notes, [*episode.turns[1:], None], strict=True):
            assert turn.reply.action is not None
            assert turn.result is not None
            command, came = turn.reply.action.text, turn.result.observation.text
            tags.append(note.tag)
            assert not (carrying and note.tag == "explore")
            carrying = command.startswith("take") or (carrying and not command.startswith("move"))
            if note.tag == "explore" and came.endswith("is closed."):
                assert after is not None
                assert after.reply.action is not None
                assert after.reply.action.text.startswith("open")
    moves = [sum(len(episode.turns) for episode in found) for found in (straight, astray)]
    assert moves[1] > moves[0] + 10
    assert tags.count("explore") > 10


def table(gym_url: str, directory: Any) -> dict[str, Any]:
    return {
        "name": "tagged",
        "dir": str(directory),
        "env": {"name": "keydoor", "url": gym_url},
        "format": {"name": "rlvmr", "compact": True},
        "sft": {"demonstrations": 6, "slips": 0.4},
    }


async def test_a_runs_demonstrations_carry_tags_and_ids(gym_url: str, tmp_path: Any) -> None:
    config = recipe.resolve(table(gym_url, tmp_path))
    async with Gym(gym_url) as gym:
        found = await demonstrations(config, gym, TASKS, chat=chat(), display=QUIET)
    assert {turn.reply.tag for episode in found for turn in episode.turns} >= {"planning", "monitor", "reflection"}
    assert all(episode.turns[0].reply.tag == "planning" for episode in found)
    assert all(lessons(0, episode) for episode in found)

"""The library from step to step: who teaches, what is admitted and credited, when notes are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from by_hand import TASK, episode
from tagged import told

from agents.library import Library
from agents.types import Episode, Message, Prompt
from skills_db.errors import StoreBusy
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode, NewExperience, NewTurn
from trainers.algorithms.base import Group
from trainers.completions import Unanswered
from trainers.config import MemoryConfig
from trainers.display import Display
from trainers.distillers.base import Distiller, Lessons
from trainers.distillers.rules import Rules, RulesConfig
from trainers.evolve import Evolution, costs, taught, teachers
from trainers.examine import examine
from trainers.loop import begin, imitated, train
from trainers.parts import assembled
from trainers.run import Run


async def silent(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
    raise AssertionError("nobody is to be asked")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "memory.db")) as found:
        yield found


def of(*returns: float) -> list[Episode]:
    return [replace(episode([value]), id=f"e{index}") for index, value in enumerate(returns)]


def ids(episodes: Sequence[Episode]) -> list[str]:
    return [one.id for one in episodes]


def test_the_median_return_parts_those_who_teach_strategies_from_those_who_teach_warnings():
    # Sorted: 0, 1, 2, 4, 9; the median is 2, and it lies on the warnings' side.
    eta, won, lost = teachers(of(4.0, 0.0, 9.0, 2.0, 1.0), None, 5)
    assert (eta, ids(won), ids(lost)) == (2.0, ["e2", "e0"], ["e1", "e4", "e3"])


def test_only_the_best_and_the_worst_teach():
    _, won, lost = teachers(of(4.0, 0.0, 9.0, 2.0, 1.0), None, 1)
    assert (ids(won), ids(lost)) == (["e2"], ["e1"])


def test_the_code_has_a_threshold_that_is_fixed():
    eta, won, lost = teachers(of(1.0, 1.0, 0.0), 0.5, 5)
    assert (eta, ids(won), ids(lost)) == (0.5, ["e1", "e0"], ["e2"])
    # By the median, 1, nobody is above it.
    assert teachers(of(1.0, 1.0, 0.0), None, 5)[1] == []


def test_an_episode_that_solved_its_task_teaches_no_warning():
    solved = told(("", "go", "out"), rewards=[1.0], success=True)
    assert teachers([solved, solved], None, 5) == (1.0, [], [])


def lesson(advice: str, *, kind: Any = "skill", score: float = 1.0, situation: str = "A yard.") -> NewExperience:
    return NewExperience(env=TASK.env, situation=situation, advice=advice, kind=kind, score=score, level="method")


def test_episodes_take_turns_so_that_the_rate_is_not_spent_on_one():
    a, b, c = (lesson(advice) for advice in "abc")
    assert taught([[a, b], [], [c]]) == [a, c, b]


def test_what_is_read_is_what_the_turn_before_does_not_share(store: Store):
    # Turn 0 reads [1]; turn 1 continues it by one id, so reads 1. Then a prompt that parts at its second id.
    found = episode([0.0, 0.0], tokens=2)
    assert [turn.move.prompt_ids for turn in found.turns] == [[1], [1, 2, 2, 1]]
    third = replace(found.turns[1], move=replace(found.turns[1].move, prompt_ids=[1, 9, 2, 1, 5]))
    library = Library(store, TASK.env)
    assert costs([found], library)["recall/read_tokens"] == 1.0
    assert costs([replace(found, turns=[*found.turns, third])], library)["recall/read_tokens"] == (1 + 1 + 4) / 3


def test_turns_with_notes_and_their_success_are_counted(store: Store):
    with_notes = told(("", "go", "on"), ("", "go", "out"), success=True)
    first = replace(with_notes.turns[0], prompt=Prompt([], used=(3, 4)))
    with_notes = replace(with_notes, turns=[first, with_notes.turns[1]])
    library = Library(store, TASK.env)
    library.asked.told_tokens, library.asked.times, library.asked.searches = 30, 4, 1
    found = costs([with_notes, told(("", "go", "off"))], library)
    assert found["recall/turns_share"] == pytest.approx(1 / 3)
    assert found["recall/notes"] == pytest.approx(2 / 3)
    assert found["recall/note_tokens"] == 10.0
    assert found["recall/known_share"] == 0.75
    assert (found["recall/success_with"], found["recall/success_without"]) == (1.0, 0.0)


class Dictated(Distiller):
    """Says what it is told to."""

    def __init__(self, lessons: list[Lessons]) -> None:
        self.said = lessons

    async def lessons(self, won: Sequence[Episode], lost: Sequence[Episode]) -> list[Lessons]:
        return self.said


class Mute(Dictated):
    async def lessons(self, won: Sequence[Episode], lost: Sequence[Episode]) -> list[Lessons]:
        raise Unanswered("the model is out")


def evolution(store: Any, distiller: Distiller, heard: list[str] | None = None, **settings: Any) -> Evolution:
    tell = [] if heard is None else heard
    config = MemoryConfig(**{"every": 1, "novelty": None, **settings})
    return Evolution(config, store, Library(store, TASK.env), distiller, tell.append)


def group(*episodes: Episode) -> list[Group]:
    return [Group(TASK, list(episodes), [one.rewards for one in episodes])]


PAIR = group(*of(1.0, 0.0))


async def test_lessons_are_admitted_up_to_the_rate_and_counted(store: Store) -> None:
    lessons = [lesson(f"strategy {index}", score=float(index)) for index in range(4)]
    lessons += [lesson(f"warning {index}", kind="failure") for index in range(3)]
    found = await evolution(store, Dictated([lessons]), rate_strategies=2, rate_warnings=1).after(1, PAIR)
    assert (found["memory/offered"], found["memory/admitted"], found["memory/refused"]) == (7.0, 3.0, 4.0)
    assert found["memory/entries"] == 3
    assert {store.experience(id).advice for id in store.live(TASK.env)["skill"]} == {"strategy 3", "strategy 2"}


async def test_a_full_level_takes_only_what_is_better_than_its_lowest(store: Store) -> None:
    first = [lesson("a", score=1.0), lesson("b", score=2.0)]
    await evolution(store, Dictated([first]), capacity_strategies=2).after(1, PAIR)
    later = [lesson("c", score=1.0), lesson("d", score=3.0)]
    found = await evolution(store, Dictated([later]), capacity_strategies=2).after(2, PAIR)
    assert (found["memory/admitted"], found["memory/refused"], found["memory/retired"]) == (1.0, 1.0, 1.0)
    assert {store.experience(id).advice for id in store.live(TASK.env)["skill"]} == {"b", "d"}


async def test_advice_that_is_there_already_is_not_new(store: Store) -> None:
    twice = [lesson("take the red key from the hook", situation=place) for place in ("A yard.", "A shed.")]
    found = await evolution(store, Dictated([twice]), novelty=0.85).after(1, PAIR)
    assert (found["memory/admitted"], found["memory/merged"]) == (1.0, 1.0)


async def test_notes_are_shown_after_the_warm_up_and_from_more_than_the_minimum(store: Store) -> None:
    lessons = [lesson(str(index)) for index in range(3)]
    found = evolution(store, Dictated([lessons]), warmup_steps=2, minimum=2)
    assert (await found.open(5))["memory/open"] == 0.0  # nothing is there
    assert (await found.after(1, PAIR))["memory/open"] == 0.0
    assert (await found.after(2, PAIR))["memory/open"] == 1.0
    assert found.library.open
    more = evolution(store, Dictated([[]]), warmup_steps=2, minimum=3)
    assert (await more.after(2, PAIR))["memory/open"] == 0.0


async def test_nothing_is_learned_but_at_its_step(store: Store) -> None:
    lessons = [[lesson("a")]]
    assert "memory/admitted" not in await evolution(store, Dictated(lessons), every=2).after(1, PAIR)
    assert "memory/admitted" not in await evolution(store, Dictated(lessons), every=0).after(2, PAIR)
    assert "memory/admitted" in await evolution(store, Dictated(lessons), every=2).after(2, PAIR)
    assert "memory/admitted" not in await evolution(store, Dictated(lessons)).after(2, [])


def shown_in(store: Store, entry: int, returns: Sequence[float]) -> list[Episode]:
    """Kept episodes of two turns, the entry shown in the first."""
    run = store.add_run("r", {})
    found = []
    for index, value in enumerate(returns):
        first, last = episode([0.0, value]).turns
        turns = [replace(first, prompt=Prompt([], used=(entry,))), last]
        kept = [NewTurn(observation="", text="", action="", reward=0.0, used=turn.prompt.used) for turn in turns]
        new = NewEpisode(f"e{index}", TASK.env, TASK.key, 0, "train", "done", value, value > 0, kept)
        store.add_episode(run, new)
        found.append(replace(episode([0.0, value]), turns=turns, id=f"e{index}"))
    return found


async def test_what_was_shown_is_credited_with_the_return_of_its_episode(store: Store) -> None:
    [entry] = store.add([lesson("a", score=5.0)])
    episodes = shown_in(store, entry, [1.0, 0.0, 0.5])
    await evolution(store, Dictated([])).after(1, group(*episodes))
    row = store.experience(entry)
    assert (row.shown, row.score, row.first_score) == (3, 0.5, 5.0)


async def test_what_is_harmful_or_unused_is_forgotten_where_that_is_said(store: Store) -> None:
    unused, harmful = store.add([lesson("a"), lesson("b")])
    shown_in(store, harmful, [0.0] * 12)
    run = store.add_run("without it", {})
    for index in range(12):
        store.add_episode(run, NewEpisode(f"w{index}", TASK.env, TASK.key, 0, "train", "done", 1.0, True))
    assert (await evolution(store, Dictated([])).after(1, PAIR))["memory/forgotten"] == 0.0
    assert (await evolution(store, Dictated([]), harmful=0.95).after(1, PAIR))["memory/forgotten"] == 1.0
    assert (await evolution(store, Dictated([]), unused_episodes=24).after(1, PAIR))["memory/forgotten"] == 1.0
    assert [store.experience(id).retired_why for id in (unused, harmful)] == ["unused", "harmful"]
    [after] = store.add([lesson("c")])
    assert (await evolution(store, Dictated([]), unused_episodes=24).after(1, PAIR))["memory/forgotten"] == 0.0
    assert store.live(TASK.env)["skill"] == [after]


async def test_by_the_paper_an_entry_keeps_the_return_of_its_source(store: Store) -> None:
    [entry] = store.add([lesson("a", score=5.0)])
    episodes = shown_in(store, entry, [1.0, 0.0])
    await evolution(store, Dictated([]), credit=False).after(1, group(*episodes))
    assert store.experience(entry).score == 5.0


async def test_what_goes_wrong_is_told_and_ends_nothing(store: Store) -> None:
    heard: list[str] = []
    found = await evolution(store, Mute([]), heard).after(3, PAIR)
    assert found["memory/failed"] == 1.0
    assert heard == ["step 3 teaches nothing: the model is out"]

    class Locked:
        def live(self, env: str) -> dict[str, list[int]]:
            raise StoreBusy("somebody else is writing")

    heard.clear()
    locked = evolution(Locked(), Dictated([]), heard)
    assert await locked.open(4) == {"memory/entries": 0, "memory/open": 0.0}
    assert heard == ["no notes are shown in step 5: somebody else is writing"]


async def test_evaluations_are_played_without_notes_where_that_is_said(store: Store) -> None:
    with evolution(store, Dictated([])).at_eval():
        pass
    shown = evolution(store, Dictated([]))
    with shown.at_eval():
        assert shown.library.open
    hidden = evolution(store, Dictated([]), at_eval=False)
    with hidden.at_eval():
        assert not hidden.library.open
        hidden.library.asked.times += 1
    assert hidden.library.open
    assert hidden.library.asked.times == 0


async def test_rules_teach_a_library_end_to_end(store: Store) -> None:
    won = replace(told(("", "take key", "You hold the key."), ("", "open door", "Out."), rewards=[0.0, 1.0]), id="w")
    lost = replace(told(("", "cut wire", "You are dead.")), id="l")
    found = await evolution(store, Rules(RulesConfig(), silent)).after(1, group(won, lost))
    assert found["memory/threshold"] == 0.5
    live = store.live(TASK.env)
    rows = [store.experience(id) for id in (*live["skill"], *live["failure"])]
    assert [(row.kind, row.level, row.advice, row.episode, row.turn) for row in rows] == [
        ("skill", "principle", "A hall. > 1. take key 2. open door", "w", 0),
        ("skill", "method", "You hold the key. > open door", "w", 1),
        ("failure", "diagnostic", "A hall. > cut wire: You are dead.", "l", 0),
    ]


async def test_demonstrations_teach_whatever_the_rates_and_are_shown_before_the_warm_up(store: Store) -> None:
    lessons = [lesson(f"strategy {index}") for index in range(4)]
    found = evolution(store, Dictated([lessons]), rate_strategies=1)
    await found.open(0)
    with await found.begun(of(1.0)):
        assert found.library.open
        assert len(await found.library.near("A yard.", skills=9, failures=0)) == 4
    assert not found.library.open
    assert found.library.asked.times == 0


async def test_the_later_demonstrations_have_the_notes_of_the_earlier_ones(gym_url: str, tmp_path: Path) -> None:
    more = ["sft.demonstrations=8", "sft.lr=1e-3", "memory.demonstrations=0.5", "steps=0"]
    config = runs.config(tmp_path, gym_url, *RECALLS, *more)
    async with assembled(config, resume=False, display=Display(quiet=True)) as parts:
        played = await imitated(parts, parts.pool.first(8))
    noted = [any(turn.prompt.used for turn in one.turns) for one in played]
    assert noted[:4] == [False] * 4
    assert any(noted[4:])
    with runs.memory(config) as store:
        lessons = store.live("keydoor")["skill"]
        assert lessons
        origins = [store.lineage(str(id)).taught_by for id in lessons]  # type: ignore[union-attr]
        assert all(origin and origin.kept and origin.success and origin.action for origin in origins)
        kept = store.episodes(split="demonstration", limit=None)
        assert {one.id for one in kept} == {one.id for one in played}
        showings = {each.episode for id in lessons for each in store.lineage(str(id)).showings}  # type: ignore[union-attr]
        assert showings == {one.id for one, shown in zip(played, noted, strict=True) if shown}
        assert store.task_stats() == store.stats().envs == []


async def test_what_all_demonstrations_teach_is_shown_from_the_first_step_on(gym_url: str, tmp_path: Path) -> None:
    more = ["sft.demonstrations=4", "memory.demonstrations=1.0", "memory.warmup_steps=0", "steps=0", "eval.every=0"]
    config = runs.config(tmp_path, gym_url, *RECALLS, *more)
    async with assembled(config, resume=False, display=Display(quiet=True)) as parts:
        assert parts.evolution is not None
        assert not parts.evolution.library.open
        await begin(parts)
        assert parts.evolution.library.open


RECALLS = [
    "context.name=recall",
    "algorithm.name=slea",
    "algorithm.kl=0",
    "memory.every=1",
    "memory.warmup_steps=1",
    "memory.minimum=0",
    "context.similarity=-1",
]


@pytest.fixture(scope="module")
def remembering(gym_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Any]:
    """A run of four steps whose notes are kept in sight."""
    directory = tmp_path_factory.mktemp("remembering")
    pairs = [*RECALLS, "context.place=observation", "context.stay=kept", "sft.demonstrations=6", "sft.lr=1e-3"]
    config = runs.config(directory, gym_url, *pairs)
    return asyncio.run(train(config)), config


def test_a_run_fills_its_library_and_is_shown_it(remembering: tuple[Run, Any]) -> None:
    run, _ = remembering
    rows = runs.rows(run)
    assert [row["memory/open"] for row in rows if "memory/open" in row] == [0.0, *[1.0] * 4]
    assert rows[1]["memory/admitted"] > 0
    assert rows[1]["recall/turns_share"] == 0.0  # the warm-up
    assert rows[2]["recall/turns_share"] == 1.0
    assert 0 < rows[2]["recall/note_tokens"] <= 200
    assert not any(row.get("recall/failed") or row.get("memory/failed") for row in rows)


def test_the_notes_of_a_run_are_in_the_turns_that_memory_keeps(remembering: tuple[Run, Any]) -> None:
    run, config = remembering
    with runs.memory(config) as store:
        played = [store.episode(row.id) for row in store.episodes(run=run.memory_run.read_text(), limit=None)]
        used = {id for one in played for turn in one.turns for id in turn.used}
        assert used
        credited = {
            id for one in played if one.step > 1 and one.split == "train" for turn in one.turns for id in turn.used
        }
        assert credited
        assert all(store.experience(id).shown for id in credited)
        first = [turn for one in played if one.step == 1 and one.split == "train" for turn in one.turns]
        assert not any(turn.used for turn in first)


async def test_a_checkpoint_is_examined_with_its_library_or_without(remembering: tuple[Run, Any], gym_url: str) -> None:
    run, _ = remembering
    settings: dict[str, Any] = {"split": "valid", "url": gym_url, "options": {}, "settings": {"tasks": 2}}
    shares = []
    for notes in (None, False):
        [(_, found)] = await examine([run.directory], notes=notes, display=Display(quiet=True), **settings)
        turns = [turn for group in found.episodes.values() for one in group for turn in one.turns]
        shares.append(sum(bool(turn.prompt.used) for turn in turns) / len(turns))
    assert shares == [1.0, 0.0]


async def test_a_resumed_run_goes_on_with_its_library(gym_url: str, tmp_path: Path) -> None:
    config = runs.config(tmp_path, gym_url, *RECALLS, "eval.every=0", "checkpoint.every=1")
    await train(config.model_copy(update={"steps": 2}))
    rows = runs.rows(await train(config, resume=True))
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["recall/turns_share"] for row in rows[1:]] == [0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("pairs", [["context.place=system", "context.stay=replaced"], ["context.retrieval=random"]])
async def test_other_places_and_baselines_learn_too(gym_url: str, tmp_path: Path, pairs: list[str]) -> None:
    config = runs.config(tmp_path, gym_url, *RECALLS, *pairs, "steps=2", "eval.every=0", "engine.deterministic=true")
    rows = runs.rows(await train(config))
    assert rows[2]["recall/turns_share"] == 1.0
    assert "policy/entropy_nats" in rows[2] or rows[2]["rows/count"]


async def test_the_policy_itself_can_be_the_distiller(gym_url: str, tmp_path: Path) -> None:
    # So small a model writes no list, and its context is short: it teaches nothing, and the run goes on.
    config = runs.config(
        tmp_path, gym_url, *RECALLS, "memory.distiller=llm", "memory.distiller.max_tokens=4", "steps=1"
    )
    rows = runs.rows(await train(config))
    assert rows[1]["memory/offered"] == 0

"""Skills of a whole run, and the four leaks of MetaClaw's released code: each of these tests fails where one is there.

(1) The evolution came after the update on the very batch that taught. (2) The main loop had none. (3) An evolution of a
session raised another counter than the trainer's filter read. (4) The generation was read when an episode was handed
in, not when its prompts were made.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import runs
from by_hand import TASK, episode
from endpoint import served
from typer.testing import CliRunner

from agents.contexts.recall import Recall
from agents.formats.plain import Plain
from agents.library import Library
from agents.types import History, Turn
from envserver.schema import Observation, Opened, StepResult
from skills_db.cli import app
from skills_db.lineage import EntryLineage
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode
from trainers.loop import train
from trainers.query import QueryData
from trainers.run import Run

METACLAW = [
    "context.name=recall",
    "context.retrieval=none",
    "context.skills=6",
    "skills.every=1",
    "skills.below=1",
    "eval.every=0",
]


def taught(name: str) -> tuple[int, str]:
    """An answer with one skill, of the first episode and turn it was shown."""
    one = {"name": name, "description": "When a door is shut.", "content": "Take its key.", "episode": 1, "turn": 1}
    return 200, json.dumps([one])


NOTHING = (200, "[]")


def played(store: Store, run: Run, step: int) -> list[NewEpisode]:
    rows = store.episodes(run=run.memory_run.read_text(), split="train", step=step, limit=None)
    return [store.episode(row.id) for row in rows]


def trained(episodes: list[NewEpisode]) -> list[bool]:
    """Of each, whether its turns have advantages: what memory keeps of a gradient."""
    return [all(turn.advantage is not None for turn in one.turns) for one in episodes]


@pytest.fixture(scope="module")
def flushed(gym_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Any]:
    """Four steps; failures teach a skill in the first and in the third."""
    with served() as script:
        script.answers = [taught("take-the-key"), NOTHING, taught("light-the-lamp"), NOTHING]
        pairs = [*METACLAW, f"skills.evolver.url={script.url}"]
        config = runs.config(tmp_path_factory.mktemp("metaclaw"), gym_url, *pairs)
        return asyncio.run(train(config)), config


def test_the_main_loop_has_skills_written(flushed: tuple[Run, Any]) -> None:
    run, _ = flushed
    rows = runs.rows(run)[1:]
    assert [row["skills/added"] for row in rows] == [1.0, 0.0, 1.0, 0.0]
    assert [row["skills/generation"] for row in rows] == [1.0, 1.0, 2.0, 2.0]
    assert all(0 < row["skills/read"] <= 6 for row in rows)


def test_skills_come_before_the_update_and_their_support_never_trains(flushed: tuple[Run, Any]) -> None:
    run, config = flushed
    with runs.memory(config) as store:
        for step, trains in ((1, False), (2, True), (3, False), (4, True)):
            assert trained(played(store, run, step)) == [trains] * 6, step
        sources = [one.version().episode for one in store.skills()]
        assert len(sources) == 2
        assert not any(trained([store.episode(str(id)) for id in sources]))
    rows = runs.rows(run)[1:]
    assert [row["skills/support"] for row in rows] == [6.0, 0.0, 6.0, 0.0]
    assert ["time/update_s" in row for row in rows] == [False, True, False, True]


def test_every_prompt_says_which_skills_it_showed_and_of_which_generation(flushed: tuple[Run, Any]) -> None:
    run, config = flushed
    with runs.memory(config) as store:
        first, second = (store.skill(name).version().digest for name in ("take-the-key", "light-the-lamp"))
        for step, digests, generation in ((1, (), 0), (2, (first,), 1), (3, (first,), 1), (4, (second, first), 2)):
            turns = [turn for one in played(store, run, step) for turn in one.turns]
            assert {tuple(turn.skills) for turn in turns} == {digests}
            assert {turn.generation for turn in turns} == {generation}
    rows = runs.rows(run)[1:]
    assert [row["recall/skills"] for row in rows] == [0.0, 1.0, 1.0, 2.0]
    assert rows[0]["recall/skill_tokens"] == 0
    assert rows[3]["recall/skill_tokens"] > rows[1]["recall/skill_tokens"] > 0


def test_lineage_tells_who_taught_a_skill_and_how_it_went_with_it(flushed: tuple[Run, Any]) -> None:
    run, config = flushed
    with runs.memory(config) as store:
        found = store.lineage("take-the-key")
        assert isinstance(found, EntryLineage)
        assert found.taught_by is not None
        assert (found.taught_by.kept, found.taught_by.step, found.taught_by.turn) == (True, 1, 0)
        assert found.taught_by.observation
        shown = [turn for step in (2, 3, 4) for one in played(store, run, step) for turn in one.turns]
        assert found.shown == len(shown)
    answer = CliRunner().invoke(app, ["lineage", "take-the-key", "--db", str(config.store.url)])
    assert answer.exit_code == 0, answer.output
    assert f"taught by {found.taught_by.episode}:0" in answer.output
    assert f"shown in {found.shown} turns" in answer.output


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_store(str(tmp_path / "memory.db")) as store:
        yield Library(store, TASK.env)


def test_whoever_raises_the_generation_the_filter_knows_it(library: Library) -> None:
    data, before = QueryData(library), episode([0.0])
    assert data.trains(before)
    library.evolve()
    assert not data.trains(before)


async def test_the_generation_is_that_of_the_prompt_not_of_the_hour_it_is_handed_in(library: Library) -> None:
    data = QueryData(library)
    context = Recall(Recall.Config(skills=6), format=Plain(), library=library)
    opened = Opened(session="s", instructions="", result=StepResult(observation=Observation(text="A hall.")))
    history = History(TASK, opened)
    under_way = episode([0.0, 0.0])
    for index, turn in enumerate(under_way.turns):
        prompt = await context.prompt(history)
        history.turns.append(Turn(prompt, turn.move, turn.reply, turn.result))
        if index == 0:
            data.teach([])
    under_way.turns = history.turns
    assert [turn.prompt.generation for turn in under_way.turns] == [0, 0]
    assert not data.trains(under_way)


async def test_by_episodes_the_others_of_the_batch_train(gym_url: str, tmp_path: Path) -> None:
    with served() as script:
        script.answers = [taught("take-the-key"), NOTHING]
        pairs = [*METACLAW, f"skills.evolver.url={script.url}", "skills.reading=episodes", "skills.failures=2"]
        config = runs.config(tmp_path, gym_url, *pairs, "steps=1")
        run = await train(config)
    [row] = runs.rows(run)[1:]
    assert (row["skills/read"], row["skills/support"]) == (2.0, 2.0)
    with runs.memory(config) as store:
        episodes = played(store, run, 1)
        assert sorted(trained(episodes)) == [False] * 2 + [True] * 4
        assert not trained([store.episode(str(store.skill("take-the-key").version().episode))])[0]


async def test_a_resumed_run_goes_on_with_its_generation(gym_url: str, tmp_path: Path) -> None:
    with served() as script:
        script.answers = [taught("take-the-key"), NOTHING]
        config = runs.config(tmp_path, gym_url, *METACLAW, f"skills.evolver.url={script.url}", "checkpoint.every=1")
        await train(config.model_copy(update={"steps": 1}))
        run = await train(config.model_copy(update={"steps": 2}), resume=True)
    rows = runs.rows(run)[1:]
    assert [row["skills/generation"] for row in rows] == [1.0, 1.0]
    with runs.memory(config) as store:
        assert {turn.generation for one in played(store, run, 2) for turn in one.turns} == {1}
        assert trained(played(store, run, 2)) == [True] * 6


async def test_a_skill_of_a_step_that_is_played_again_is_taught_again(gym_url: str, tmp_path: Path) -> None:
    with served() as script:
        script.answers = [NOTHING, taught("take-the-key"), taught("take-the-key"), NOTHING]
        pairs = [*METACLAW, f"skills.evolver.url={script.url}", "checkpoint.every=1", "checkpoint.keep=9"]
        config = runs.config(tmp_path, gym_url, *pairs)
        run = await train(config.model_copy(update={"steps": 2}))
        # As SIGKILL after step 2 and before its checkpoint would leave it.
        [*_, last] = run.checkpoints()
        assert last.step == 2
        shutil.rmtree(last.path)
        await train(config.model_copy(update={"steps": 2}), resume=True)
    rows = runs.rows(run)[1:]
    assert [row["skills/generation"] for row in rows] == [0.0, 1.0]
    assert rows[1]["skills/added"] == 1.0
    with runs.memory(config) as store:
        episodes = played(store, run, 2)
        assert store.skill("take-the-key").version().episode in {one.id for one in episodes}
        assert not any(turn.skills for one in episodes for turn in one.turns)

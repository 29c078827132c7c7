"""Notes in a prompt: which are found, where they stand, how long they stay, and what they cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.contexts.full import Full
from agents.contexts.recall import Recall
from agents.formats.plain import Plain
from agents.library import Library, about_tokens
from agents.policies.base import said
from agents.types import History, Message, Reply, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task
from skills_db.errors import StoreBusy
from skills_db.store import Store, open_store
from skills_db.types import Hit, NewExperience, Query

KITCHEN = "You are in the kitchen. The fridge is closed and the sink is empty."
CELLAR = "A dark cellar with barrels and a ladder that leads up."
ATTIC = "Dust, an old chest, a window."


def entry(situation: str, advice: str, score: float, kind: Any = "skill") -> NewExperience:
    return NewExperience(env="house", situation=situation, advice=advice, kind=kind, score=score)


ENTRIES = [
    entry(KITCHEN, "open fridge", 1.0),
    entry(KITCHEN, "take apple", 3.0),
    entry(KITCHEN, "fill sink", 2.0),
    entry(KITCHEN, "eat soap: you are sick", -1.0, "failure"),
    entry(KITCHEN, "kick fridge: it hurts", 0.0, "failure"),
    entry(CELLAR, "climb ladder", 1.0),
]
OPEN, TAKE, FILL, EAT, KICK, CLIMB = range(1, 7)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "memory.db")) as found:
        assert found.add(ENTRIES) == [OPEN, TAKE, FILL, EAT, KICK, CLIMB]
        yield found


def shown(text: str) -> StepResult:
    return StepResult(observation=Observation(text=text))


async def prompts(context: Recall | Full, *places: str) -> list[Any]:
    """The prompts of an episode that leads through these places, the last one's included."""
    opened = Opened(session="s", instructions="Live.", result=shown(places[0]))
    history = History(Task(env="house", key="1"), opened)
    found = []
    for index, place in enumerate([*places[1:], ""]):
        found.append(await context.prompt(history))
        history.turns.append(Turn(found[-1], said(f"go {index}"), Reply(Action(text=f"go {index}")), shown(place)))
    return found


def recall(store: Any, **settings: Any) -> Recall:
    return Recall(Recall.Config(**settings), format=Plain(), library=Library(store, "house"))


def contents(messages: list[Message]) -> list[str]:
    return [message["content"] for message in messages]


async def test_a_turn_is_shown_the_best_of_its_cluster(store: Store) -> None:
    [prompt] = await prompts(recall(store), KITCHEN)
    assert prompt.used == (TAKE, FILL, KICK)
    system, user = contents(prompt.messages)
    assert system.endswith(
        "\n\nWhat helped here before:\n- take apple\n- fill sink\nWhat failed here before:\n- kick fridge: it hurts"
    )
    assert user == KITCHEN
    [few] = await prompts(recall(store, strategies=1, warnings=0), KITCHEN)
    assert few.used == (TAKE,)


async def test_where_the_cluster_has_none_only_what_is_near_enough_is_shown(store: Store) -> None:
    # The attic is no cluster; nothing in the library is alike.
    [bare] = await prompts(recall(store), ATTIC)
    assert bare.used == ()
    assert bare == (await prompts(Full(format=Plain()), ATTIC))[0]
    [nearest] = await prompts(recall(store, similarity=-1), ATTIC)
    assert len(nearest.used) == 3


async def test_notes_before_the_observation_are_kept_and_the_prompt_continues(store: Store) -> None:
    first, second, third = await prompts(recall(store, place="observation", stay="kept"), KITCHEN, CELLAR, KITCHEN)
    assert second.messages[: len(first.messages)] == first.messages
    assert third.messages[: len(second.messages)] == second.messages
    assert contents(second.messages)[1] == (
        "What helped here before:\n- take apple\n- fill sink\nWhat failed here before:\n- kick fridge: it hurts\n\n"
        + KITCHEN
    )
    assert contents(second.messages)[-1] == f"What helped here before:\n- climb ladder\n\n{CELLAR}"
    assert second.used == (CLIMB,)
    # In sight already: used, and not said twice.
    assert third.used == (TAKE, FILL, KICK)
    assert contents(third.messages)[-1] == KITCHEN


async def test_notes_before_the_observation_are_replaced_and_stand_in_the_latest_prompt_alone(store: Store) -> None:
    _, second, third = await prompts(recall(store, place="observation", stay="replaced"), KITCHEN, CELLAR, KITCHEN)
    assert contents(second.messages)[1:] == [KITCHEN, "go 0", f"What helped here before:\n- climb ladder\n\n{CELLAR}"]
    assert contents(third.messages)[1:-1] == [KITCHEN, "go 0", CELLAR, "go 1"]
    assert contents(third.messages)[-1].endswith(f"kick fridge: it hurts\n\n{KITCHEN}")


async def test_notes_in_the_system_message_are_replaced_where_they_differ(store: Store) -> None:
    first, second, same = await prompts(recall(store), KITCHEN, CELLAR, CELLAR)
    assert contents(second.messages)[0].endswith("\n\nWhat helped here before:\n- climb ladder")
    assert "take apple" not in contents(second.messages)[0]
    assert contents(second.messages)[1:] == [KITCHEN, "go 0", CELLAR]
    assert second.messages[0] != first.messages[0]
    assert same.messages[: len(second.messages)] == second.messages


async def test_notes_in_the_system_message_are_kept_and_grow(store: Store) -> None:
    first, second, third = await prompts(recall(store, stay="kept"), KITCHEN, CELLAR, KITCHEN)
    system = contents(first.messages)[0]
    assert contents(second.messages)[0] == f"{system}\n\nWhat helped here before:\n- climb ladder"
    assert third.messages[: len(second.messages)] == second.messages
    assert third.used == (TAKE, FILL, KICK)


@pytest.mark.parametrize("stay", ["kept", "replaced"])
@pytest.mark.parametrize("place", ["system", "observation"])
async def test_without_notes_every_place_shows_the_whole_history(store: Store, place: str, stay: str) -> None:
    plain = await prompts(Full(format=Plain()), KITCHEN, CELLAR, ATTIC)
    for context in (
        recall(store, place=place, stay=stay, retrieval="none"),
        recall(store, place=place, stay=stay, budget_tokens=0),
        recall(store, place=place, stay=stay, strategies=0, warnings=0),
        Recall(Recall.Config(place=place, stay=stay), format=Plain()),
    ):
        assert await prompts(context, KITCHEN, CELLAR, ATTIC) == plain


async def test_task_level_retrieval_asks_for_the_first_observation_alone(store: Store) -> None:
    context = recall(store, retrieval="task")
    first, second = await prompts(context, CELLAR, KITCHEN)
    assert first.used == second.used == (CLIMB,)
    assert second.messages[:2] == first.messages
    assert context.library is not None
    assert context.library.asked.searches == 1


async def test_random_notes_are_the_same_for_the_same_turn_and_differ_between_turns(store: Store) -> None:
    context = recall(store, retrieval="random", strategies=1, warnings=0, stay="replaced")
    first = await prompts(context, *[ATTIC] * 12)
    assert first == await prompts(context, *[ATTIC] * 12)
    found = [prompt.used for prompt in first]
    assert all(len(used) == 1 for used in found)
    assert {id for used in found for id in used} > {OPEN}
    assert {id for used in found for id in used} <= {OPEN, TAKE, FILL, CLIMB}


async def test_a_note_is_shown_whole_or_not_at_all(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "long.db")) as store:
        long, short = store.add([entry(KITCHEN, "x" * 400, 2.0), entry(KITCHEN, "open fridge", 1.0)])
        # The heading and the short note are 24 + 1 + 13 = 38 bytes, guessed as 10 tokens.
        assert about_tokens("What helped here before:\n- open fridge") == 10
        [prompt] = await prompts(recall(store, budget_tokens=10), KITCHEN)
        assert prompt.used == (short,)
        [none] = await prompts(recall(store, budget_tokens=9), KITCHEN)
        assert none.used == ()
        [both] = await prompts(recall(store, budget_tokens=200), KITCHEN)
        assert both.used == (long, short)


async def test_advice_of_many_lines_is_one_line(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "lines.db")) as store:
        store.add([entry(KITCHEN, "look\n\nWhat failed here before:\n- all", 1.0)])
        [prompt] = await prompts(recall(store), KITCHEN)
        assert contents(prompt.messages)[0].endswith("\n- look What failed here before: - all")


class Slow:
    """A store whose search waits until it is told to answer, and which may fail."""

    def __init__(self) -> None:
        self.searches = 0
        self.go = threading.Event()
        self.broken = False

    def search(self, query: Query) -> list[Hit]:
        self.searches += 1
        assert self.go.wait(10)
        if self.broken:
            raise StoreBusy("somebody else is writing")
        return [Hit(7, query.situation, "skill", 1.0, "cluster", 0.0)]


async def test_a_search_does_not_hold_up_the_loop_and_is_made_once_for_a_situation() -> None:
    slow = Slow()
    context = recall(slow)
    playing = [asyncio.create_task(prompts(context, KITCHEN)) for _ in range(4)]
    playing[0].cancel()
    for _ in range(10):
        await asyncio.sleep(0)  # the loop goes on although nothing was answered
    playing[1].cancel()
    slow.go.set()
    found = await asyncio.gather(*playing, return_exceptions=True)
    assert [type(one) for one in found[:2]] == [asyncio.CancelledError] * 2
    assert [one[0].used for one in found[2:]] == [(7,), (7,)]  # type: ignore[index]
    assert slow.searches == 1


async def test_what_is_known_is_asked_again_after_a_renewal(store: Store) -> None:
    library = Library(store, "house")
    context = Recall(Recall.Config(strategies=1, warnings=0), format=Plain(), library=library)
    await prompts(context, KITCHEN)
    [better] = store.add([entry(KITCHEN, "wash hands", 9.0)])
    assert (await prompts(context, KITCHEN))[0].used == (TAKE,)
    library.renew()
    assert (await prompts(context, KITCHEN))[0].used == (better,)
    assert (library.asked.times, library.asked.searches) == (3, 2)


async def test_a_shut_library_gives_no_notes_and_is_as_it_was_afterwards(store: Store) -> None:
    context = recall(store)
    assert context.library is not None
    with context.library.shut():
        assert (await prompts(context, KITCHEN))[0].used == ()
    assert (await prompts(context, KITCHEN))[0].used == (TAKE, FILL, KICK)
    context.library.renew(open=False)
    assert (await prompts(context, KITCHEN))[0].used == ()


async def test_a_database_that_does_not_answer_means_no_notes_and_is_asked_again() -> None:
    slow = Slow()
    slow.go.set()
    slow.broken = True
    context = recall(slow)
    assert context.library is not None
    assert (await prompts(context, KITCHEN))[0].used == ()
    assert (context.library.asked.failed, context.library.asked.error) == (1, "somebody else is writing")
    slow.broken = False
    assert (await prompts(context, KITCHEN))[0].used == (7,)


async def test_the_length_of_what_was_shown_is_counted(store: Store) -> None:
    context = recall(store, place="observation", stay="kept", strategies=1, warnings=0)
    assert context.library is not None
    await prompts(context, KITCHEN, KITCHEN)
    # Said once: "What helped here before:\n- take apple" is 37 bytes.
    assert context.library.looked().told_tokens == 10
    assert context.library.asked.told_tokens == 0

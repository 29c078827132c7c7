"""Skills in a prompt: which are shown, where they stand, and that an episode keeps what it began with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.chat import Chat
from agents.contexts.full import Full
from agents.contexts.recall import Recall
from agents.formats.plain import Plain
from agents.library import Library, about_tokens
from agents.policies.base import said
from agents.skills import active_skills, fitting
from agents.types import History, Message, Prompt, Reply, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task
from skills_db.errors import StoreBusy
from skills_db.store import Store, open_store
from skills_db.types import NewExperience, NewSkill, SkillEdit, SkillVersionRow

KITCHEN = "You are in the kitchen. The fridge is closed and the sink is empty."
CELLAR = "A dark cellar with barrels and a ladder that leads up."
LOOK = NewSkill("look-first", "When a room\nis new.", "# Look first\n\n1. Look around.\n")
FRIDGE = NewSkill("empty-the-fridge", "When there is a fridge.", "Open it first.", category="house")
MISTAKE = NewSkill("no-soap", "Soap is no food.", "Do not eat it.", category="common_mistakes")
BLOCK = (
    "## Active Skills\n\n"
    "### look-first\n_When a room is new._\n\n# Look first\n\n1. Look around.\n\n"
    "### empty-the-fridge\n_When there is a fridge._\n\nOpen it first.\n\n"
    "### no-soap\n_Soap is no food._\n\nDo not eat it."
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "memory.db")) as found:
        found.keep_skills([LOOK, FRIDGE, MISTAKE])
        found.add([NewExperience("house", KITCHEN, "open fridge", "skill", 1.0)])
        yield found


def shown(text: str) -> StepResult:
    return StepResult(observation=Observation(text=text))


def begun(place: str) -> History:
    return History(Task(env="house", key="1"), Opened(session="s", instructions="Live.", result=shown(place)))


def go_on(history: History, prompt: Prompt, place: str) -> None:
    history.turns.append(Turn(prompt, said("go"), Reply(Action(text="go")), shown(place)))


async def prompts(context: Recall | Full, *places: str) -> list[Prompt]:
    """The prompts of an episode that leads through these places."""
    history, found = begun(places[0]), list[Prompt]()
    for place in [*places[1:], ""]:
        found.append(await context.prompt(history))
        go_on(history, found[-1], place)
    return found


def recall(store: Any, **settings: Any) -> Recall:
    return Recall(Recall.Config(**{"skills": 6, **settings}), format=Plain(), library=Library(store, "house"))


def contents(messages: list[Message]) -> list[str]:
    return [message["content"] for message in messages]


def hashes(store: Store, *names: str) -> tuple[str, ...]:
    return tuple(store.skill(name).version().digest for name in names)


async def test_the_system_message_has_the_skills_and_the_prompt_says_which(store: Store) -> None:
    [prompt] = await prompts(recall(store, retrieval="none"), KITCHEN)
    [bare] = await prompts(Full(format=Plain()), KITCHEN)
    assert contents(prompt.messages) == [f"{contents(bare.messages)[0]}\n\n{BLOCK}", KITCHEN]
    assert prompt.skills == hashes(store, "look-first", "empty-the-fridge", "no-soap")
    assert prompt.generation == 0


async def test_no_skills_are_shown_unless_asked_for(store: Store) -> None:
    plain = await prompts(Full(format=Plain()), KITCHEN, CELLAR)
    assert await prompts(recall(store, retrieval="none", skills=0), KITCHEN, CELLAR) == plain
    assert await prompts(recall(store, retrieval="none", skills_tokens=0), KITCHEN, CELLAR) == plain


@pytest.mark.parametrize("stay", ["kept", "replaced"])
@pytest.mark.parametrize("place", ["system", "observation"])
async def test_skills_stay_for_the_whole_episode_beside_notes_in_any_place(store: Store, place: str, stay: str) -> None:
    context = recall(store, place=place, stay=stay)
    for prompt in await prompts(context, KITCHEN, CELLAR, KITCHEN):
        assert contents(prompt.messages)[0].count(BLOCK) == 1
        assert prompt.skills == hashes(store, "look-first", "empty-the-fridge", "no-soap")
    assert context.library is not None
    assert context.library.asked.skill_tokens == about_tokens(BLOCK)  # once for the episode


async def test_the_prompt_continues_so_that_its_ids_do(store: Store, chatml: Chat) -> None:
    first, second = await prompts(recall(store, retrieval="none"), KITCHEN, CELLAR)
    assert second.messages[: len(first.messages)] == first.messages
    assert chatml.prompt_ids(first, None) == chatml.prompt_ids(second, None)[: len(chatml.prompt_ids(first, None))]


async def test_an_episode_keeps_its_skills_and_its_generation_while_others_are_written(store: Store) -> None:
    context = recall(store, retrieval="none")
    library = context.library
    assert library is not None
    history = begun(KITCHEN)
    first = await context.prompt(history)
    go_on(history, first, CELLAR)
    store.add_skill(NewSkill("go-up", "When it is dark.", "Climb."))
    store.edit_skill("look-first", SkillEdit("Look twice."))
    assert library.evolve() == 1
    second = await context.prompt(history)
    assert second.messages[:2] == first.messages
    assert (second.skills, second.generation) == (first.skills, 0)
    [other] = await prompts(context, KITCHEN)
    assert other.skills == hashes(store, "go-up", "look-first", "empty-the-fridge", "no-soap")
    assert other.generation == 1
    assert "Look twice." in contents(other.messages)[0]


async def test_skills_are_chosen_by_words_or_by_vectors(store: Store) -> None:
    store.add_skill(NewSkill("climb", "A cellar with a ladder.", "Climb.", category="underground"))
    [kitchen] = await prompts(recall(store), KITCHEN)
    assert "### climb" not in contents(kitchen.messages)[0]
    [cellar] = await prompts(recall(store), CELLAR)
    assert "### climb" in contents(cellar.messages)[0]
    [near] = await prompts(recall(store, skills_match="embedding"), CELLAR)
    assert contents(near.messages)[0].index("### climb") < contents(near.messages)[0].index("### empty-the-fridge")


def row(name: str, body: str) -> SkillVersionRow:
    return SkillVersionRow(name, 1, name, "Always.", body, None, {}, {}, None, None, "")


def test_a_skill_is_said_whole_or_not_at_all() -> None:
    # "## Active Skills", then for each "### a\n_Always._\n\n" and the body: 16 + 2 + 5 + 1 + 9 + 2 + 1 = 36 bytes.
    short, long, last = row("a", "x"), row("b", "x" * 100), row("c", "y")
    assert len(active_skills([short])) == 36
    assert fitting([short, long, last], len, 36) == [short]
    assert fitting([short, long, last], len, 35) == []
    assert fitting([short, long, last], len, 60) == [short, last]
    assert active_skills([]) == ""


class Slow:
    """A store whose answer waits until it is told, and which may fail."""

    def __init__(self) -> None:
        self.searches = 0
        self.go = threading.Event()
        self.broken = False

    def skills_for(self, text: str, **more: Any) -> list[SkillVersionRow]:
        self.searches += 1
        assert self.go.wait(10)
        if self.broken:
            raise StoreBusy("somebody else is writing")
        return [row("a", "x")]


async def test_skills_are_searched_off_the_loop_and_once_for_a_situation() -> None:
    slow = Slow()
    context = recall(slow, retrieval="none")
    playing = [asyncio.create_task(prompts(context, KITCHEN)) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)  # the loop goes on although nothing was answered
    slow.go.set()
    assert [found[0].skills for found in await asyncio.gather(*playing)] == [("a",)] * 3
    assert slow.searches == 1


async def test_what_was_searched_before_an_evolution_is_not_of_the_generation_after_it() -> None:
    slow = Slow()
    context = recall(slow, retrieval="none")
    assert context.library is not None
    asking = asyncio.create_task(prompts(context, KITCHEN))
    await asyncio.sleep(0.01)
    context.library.evolve()
    slow.go.set()
    assert (await asking)[0].generation == 0
    assert (await prompts(context, KITCHEN))[0].generation == 1
    assert slow.searches == 2


async def test_a_database_that_does_not_answer_means_no_skills() -> None:
    slow = Slow()
    slow.go.set()
    slow.broken = True
    context = recall(slow, retrieval="none")
    assert context.library is not None
    assert (await prompts(context, KITCHEN))[0].skills == ()
    assert (context.library.asked.failed, context.library.asked.error) == (1, "somebody else is writing")
    slow.broken = False
    assert (await prompts(context, KITCHEN))[0].skills == ("a",)


async def test_a_shut_library_gives_no_skills_but_one_without_notes_does(store: Store) -> None:
    context = recall(store)
    assert context.library is not None
    context.library.renew(open=False)
    [prompt] = await prompts(context, KITCHEN)
    assert (prompt.used, len(prompt.skills)) == ((), 3)
    with context.library.shut():
        assert (await prompts(context, KITCHEN))[0].skills == ()
    assert len((await prompts(context, KITCHEN))[0].skills) == 3

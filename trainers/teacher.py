"""What the worlds' own experts show: demonstrations to learn from, and transcripts to train a tokenizer on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agents.chat import Chat
from agents.contexts.base import Context
from agents.formats.base import Format
from agents.formats.rlvmr import Rlvmr
from agents.library import Library
from agents.policies.base import Policy
from agents.policies.expert import Expert
from agents.policies.fallible import Fallible
from agents.policies.random import Random
from agents.rollout import collect
from agents.types import Episode
from envserver.client import Gym
from envserver.errors import Forbidden
from envserver.schema import Task
from trainers.annotate import annotated
from trainers.annotators.base import Annotator, Notes
from trainers.annotators.rules import Rules, RulesConfig
from trainers.config import RunConfig
from trainers.display import Display
from trainers.player import seats
from trainers.plugged import build

__all__ = ["corpus", "demonstrations", "noted"]


async def demonstrations(
    config: RunConfig,
    gym: Gym,
    tasks: Sequence[Task],
    *,
    chat: Chat | None,
    display: Display,
    library: Library | None = None,
    at_least: int = 1,
) -> list[Episode]:
    """The expert's solved episodes, one a task; with a chat they carry token ids. Raises Forbidden, and ValueError for
    fewer than `at_least`.

    With a library, its notes stand in their prompts where the context shows any.

    Where the format has tags of thought, the run's annotator writes the thoughts. The server must run with `--expert`.
    """
    found = await noted(config, gym, tasks, chat=chat, display=display, library=library, at_least=at_least)
    return [episode for episode, _ in found]


async def noted(
    config: RunConfig,
    gym: Gym,
    tasks: Sequence[Task],
    *,
    chat: Chat | None,
    display: Display,
    library: Library | None = None,
    at_least: int = 1,
) -> list[tuple[Episode, Notes]]:
    """The same with the notes of each episode; none where the format has no tags."""
    format, context = seats(config, library, chat)
    found = await _played(_expert(config, format, chat), config, gym, tasks, "demonstrations", display, context)
    solved = [episode for episode in found if episode.success]
    if len(solved) < at_least:
        raise ValueError(
            f"the expert of '{config.env.name}' solved {len(solved) or 'none'} of {len(tasks)} tasks in "
            f"player.max_turns = {config.player.max_turns} turns; raise it, or learn without demonstrations"
        )
    if not isinstance(format, Rlvmr):
        return [(episode, []) for episode in solved]
    annotator: Annotator = build("trainers.annotators", "Annotator", config.sft.annotator)
    return await annotated(solved, annotator, format, context, chat=chat, display=display)


async def corpus(config: RunConfig, gym: Gym, tasks: Sequence[Task], *, display: Display) -> list[str]:
    """Texts of play for a tokenizer: the expert's, or where the server refuses one, a random player's."""
    format, context = seats(config)
    try:
        found = await _played(_expert(config, format, None), config, gym, tasks, "transcripts", display, context)
    except Forbidden:
        found = await _played(Random(format=format), config, gym, tasks, "transcripts", display, context)
    else:
        if isinstance(format, Rlvmr):  # by rules, whoever annotates: a tokenizer is not worth asking a model for
            told = await annotated(found, Rules(RulesConfig()), format, context, chat=None, display=display)
            found = [episode for episode, _ in told]
    return [text for episode in found for text in _texts(episode)]


def _expert(config: RunConfig, format: Format, chat: Chat | None) -> Expert:
    """The world's expert, as fallible as the run asks for."""
    slips, detours = config.sft.slips, config.sft.detours
    sums_up = {"recap": getattr(config.context, "recap", "lines"), "careless": config.sft.careless}
    if not slips and not detours:
        return Expert(Expert.Config(**sums_up), format=format, chat=chat)
    return Fallible(Fallible.Config(**sums_up, slips=slips, detours=detours), format=format, chat=chat)


async def _played(
    policy: Policy,
    config: RunConfig,
    gym: Gym,
    tasks: Sequence[Task],
    title: str,
    display: Display,
    context: Context,
) -> list[Episode]:
    with display.bar(title, len(tasks)) as bar:
        groups = await collect(
            tasks,
            gym,
            policy,
            policy.format,
            context,
            group_size=1,
            max_turns=config.player.max_turns,
            concurrency=config.sampling.concurrency,
            seed=config.seed,
            on_episode=lambda task, episode: bar.advance(),
        )
    return [episode for group in groups for episode in group if episode.valid]


def _texts(episode: Episode) -> Iterator[str]:
    """Every message of an episode once, and every answer."""
    seen: set[str] = set()
    for turn in episode.turns:
        for text in (*(message["content"] for message in turn.prompt.messages), turn.move.text):
            if text not in seen:
                seen.add(text)
                yield text

"""Who plays in a run: an engine behind a chat, with the format and the context of the config."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from agents.chat import Chat
from agents.contexts.base import Context
from agents.formats.base import Format
from agents.library import Library
from agents.places import Places
from agents.policies.base import Policy
from agents.policies.llm import Llm
from agents.rollout import collect
from agents.types import Episode, History, Move, Outdated, Prompt, Sample, Turn
from envserver.client import Gym
from envserver.schema import Task
from trainers.config import RunConfig
from trainers.engines.base import Engine
from trainers.plugged import build

__all__ = ["Player", "seats"]

OnEpisode = Callable[[Task, Episode], Awaitable[None] | None]


def seats(config: RunConfig, library: Library | None = None, chat: Chat | None = None) -> tuple[Format, Context]:
    """The format and the context that a run names.

    The context asks `library` for notes where it shows any, and `chat` how long a prompt is where it has to know.
    """
    format: Format = build("agents.formats", "Format", config.format)
    return format, build("agents.contexts", "Context", config.context, format=format, library=library, chat=chat)


class Undivided(Llm):
    """Gives up an episode when the weights change under it; `dropped` hears how many tokens it had sampled."""

    dropped: Callable[[int], None] = staticmethod(lambda tokens: None)

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """One sampled answer. Raises Outdated."""
        drawn = [turn.move.sample for turn in history.turns]
        self._see(drawn)
        move = await super().act(prompt, last, history)
        self._see([*drawn, move.sample])
        return move

    def _see(self, drawn: Sequence[Sample]) -> None:
        engine: Engine = self.sampler  # type: ignore[assignment]
        if any(sample.version != engine.version for sample in drawn):
            self.dropped(sum(len(sample.ids) for sample in drawn))
            raise Outdated


class Player:
    """Plays groups of episodes with one engine's weights."""

    def __init__(self, config: RunConfig, chat: Chat, engine: Engine, library: Library | None = None) -> None:
        self.config = config
        self.chat = chat
        self.engine = engine
        self.format, self.context = seats(config, library, chat)

    def policy(self, temperature: float, dropped: Callable[[int], None] | None = None) -> Policy:
        """The language model; temperature 0 is greedy. With `dropped`, one that plays no episode under two versions."""
        settings = Llm.Config(max_tokens=self.config.player.max_tokens, temperature=temperature)
        if dropped is None:
            return Llm(settings, format=self.format, chat=self.chat, sampler=self.engine)
        policy = Undivided(settings, format=self.format, chat=self.chat, sampler=self.engine)
        policy.dropped = dropped
        return policy

    async def collect(
        self,
        gym: Gym,
        tasks: Sequence[Task],
        *,
        group_size: int,
        temperature: float,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        shared: Places | None = None,
        rank: int = 0,
        dropped: Callable[[int], None] | None = None,
    ) -> list[list[Episode]]:
        """[N][G] episodes; `on_episode` hears of each as it ends.

        `shared` places are those of other calls too, of which a lower `rank` goes first. With `dropped`, an episode
        is played anew when the weights change under it, and how many tokens it had sampled is told.
        """
        left, places = group_size * len(tasks), self.config.sampling.concurrency

        def ended(task: Task, episode: Episode) -> Awaitable[None] | None:
            nonlocal left
            left -= 1
            if self.config.engine.deterministic:
                self.engine.expect(min(left, places))
            return on_episode(task, episode) if on_episode is not None else None

        if self.config.engine.deterministic:
            self.engine.expect(min(left, places))
        try:
            return await collect(
                tasks,
                gym,
                self.policy(temperature, dropped),
                self.format,
                self.context,
                group_size=group_size,
                max_turns=self.config.player.max_turns,
                concurrency=shared or places,
                rank=rank,
                on_episode=ended,
                seed=seed,
            )
        finally:
            if self.config.engine.deterministic:
                self.engine.expect(None)

"""An episode of play as what memory keeps, and the door through which a run hands it over."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from agents.formats.base import spoken
from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task
from skills_db.embed import load_embedder
from skills_db.errors import BadRecord, StoreClosed, StoreError, UnknownRecord
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode, NewTurn
from skills_db.writer import EpisodeWriter
from trainers.config import StoreConfig

__all__ = ["Memory", "recalled", "remembered"]

RETRY_S = 1.0
"""Between two tries to hand over a record where as many wait as may."""

_FINAL = (BadRecord, UnknownRecord, StoreClosed)
"""What trying again does not mend."""


def remembered(episode: Episode, *, split: str, step: int) -> NewEpisode:
    """The record of one episode, `step` being the trainer's step that played it."""
    opening = episode.opened.result.observation.text if episode.opened else ""
    shown = [opening]
    for turn in episode.turns:
        shown.append(turn.result.observation.text if turn.result else turn.reply.complaint)
    return NewEpisode(
        id=episode.id,
        env=episode.task.env,
        key=episode.task.key,
        seed=episode.task.seed,
        split=split,
        stop=episode.stop.value,
        reward=episode.reward,
        success=episode.success,
        turns=[_turn(turn, observation) for turn, observation in zip(episode.turns, shown[:-1], strict=True)],
        step=step,
        error=episode.error,
        wall_s=episode.wall_s,
        opening=opening,
        closing=shown[-1],
    )


def _turn(turn: Turn, observation: str) -> NewTurn:
    sample = turn.move.sample
    return NewTurn(
        observation=observation,
        text=turn.move.text,
        action=spoken(turn.reply.action) if turn.reply.action else "",
        reward=turn.result.reward if turn.result else 0.0,
        tag=turn.reply.tag,
        complaint=turn.reply.complaint,
        kind=turn.prompt.kind,
        prompt_ids=turn.move.prompt_ids,
        sample_ids=sample.ids,
        logprobs=sample.logprobs,
        version=sample.version,
        temperature=sample.temperature,
        used=turn.prompt.used,
        skills=turn.prompt.skills,
        generation=turn.prompt.generation,
    )


def recalled(kept: NewEpisode, *, stop_ids: Collection[int] = ()) -> tuple[Episode, list[float] | None]:
    """A kept episode as play, and its (T,) advantages; None where it was not trained on.

    A sample that does not end with one of `stop_ids` counts as cut by its length.
    What memory does not hold stays empty: the messages of the prompts, tools, choices.
    """
    turns: list[Turn] = []
    after = [*(turn.observation for turn in kept.turns[1:]), kept.closing]
    for turn, shown in zip(kept.turns, after, strict=True):
        last = len(turns) == len(kept.turns) - 1
        result = StepResult(
            observation=Observation(text=shown),
            reward=turn.reward,
            terminated=last and kept.stop == StopReason.DONE,
            truncated=last and kept.stop == StopReason.TRUNCATED,
            success=kept.success if last else None,
        )
        ids = list(turn.sample_ids)
        ended: Literal["stop", "length"] = "stop" if ids and ids[-1] in stop_ids else "length"
        sample = Sample(ids, list(turn.logprobs), ended, turn.temperature, turn.version)
        reply = Reply(Action(text=turn.action) if turn.action else None, turn.tag, turn.complaint)
        move = Move(list(turn.prompt_ids), sample, turn.text)
        turns.append(
            Turn(
                Prompt([], turn.kind, tuple(turn.used), tuple(turn.skills), turn.generation),
                move,
                reply,
                result if turn.action else None,
            )
        )
    episode = Episode(
        Task(env=kept.env, key=kept.key, seed=kept.seed),
        turns,
        StopReason(kept.stop),
        kept.error,
        kept.id,
        Opened(session=kept.id, instructions="", result=StepResult(observation=Observation(text=kept.opening))),
        kept.wall_s,
    )
    found = [turn.advantage for turn in kept.turns if turn.advantage is not None]
    return episode, found if found and len(found) == len(turns) else None


class Memory:
    """One run's part of the store: episodes as they end, advantages after them, neither on the event loop.

    What the store cannot take right now (a full disk, a lost server) waits in memory and is tried again with whatever
    comes next; where too much waits, so does the caller.
    """

    def __init__(self, store: StoreConfig, *, tell: Callable[[str], None] | None = None) -> None:
        """Open the store and see that it takes records; `tell` hears what keeps it from it later. Raises StoreError."""
        self._tell = tell or (lambda text: None)
        self._told = ""
        self._writer: EpisodeWriter | None = None
        self._store = open_store(store.url, embedder=load_embedder(store.embedder), delta=store.delta)
        try:
            self._store.probe()
        except BaseException:
            self._store.close()
            raise
        self.run = ""
        """Id of the run, once it has begun."""

    def begin(self, name: str, config: Mapping[str, Any], *, run: str | None = None) -> None:
        """Begin a run in the store, or go on with `run` where it is there. Raises StoreError."""
        known = run is not None and any(row.id == run for row in self._store.runs())
        self.run = run if run is not None and known else self._store.add_run(name, config)
        self._writer = EpisodeWriter(self._store)

    @property
    def store(self) -> Store:
        """What it writes to, for those who read."""
        return self._store

    def rewind(self, step: int) -> int:
        """Drop what the run played after `step`, since it is played again; how many episodes. Raises StoreError."""
        return self._store.rewind(self.run, step)

    async def keep(self, episode: Episode, *, split: str, step: int) -> None:
        """Hand over an episode that has ended. Raises StoreError for a record that was refused for good."""
        record = remembered(episode, split=split, step=step)
        await self._handed(lambda writer: writer.add(self.run, record))

    async def credit(self, episodes: Sequence[Episode], advantages: Sequence[Sequence[float]]) -> None:
        """Hand over the (T,) advantages of episodes that were kept. Raises as `keep` does."""
        set_advantages = EpisodeWriter.set_advantages
        for episode, values in zip(episodes, advantages, strict=True):
            await self._handed(functools.partial(set_advantages, episode_id=episode.id, advantages=values))

    async def settle(self) -> None:
        """Return when everything handed over is committed, or cannot be right now. Raises as `keep` does."""
        assert self._writer is not None
        try:
            await asyncio.to_thread(self._writer.flush)
        except _FINAL:
            raise
        except StoreError as error:
            self._complain(error)
        else:
            self._told = ""

    async def close(self) -> None:
        """Write what waits and let go of the store. Raises StoreError, with how much is lost, where it cannot."""
        try:
            if self._writer is not None:
                await asyncio.to_thread(_end, self._writer)
        finally:
            if self._writer is not None:
                self._writer.abandon()  # it would try the closed store once more
            self._store.close()

    async def _handed(self, hand_over: Callable[[EpisodeWriter], None]) -> None:
        """Hand over until it is taken: the writer raises what an earlier record met before it takes this one."""
        assert self._writer is not None
        for wait_s in itertools.chain([0.0], itertools.repeat(RETRY_S)):
            try:
                await asyncio.to_thread(hand_over, self._writer)
                break
            except _FINAL:
                raise
            except StoreError as error:
                self._complain(error)
            await asyncio.sleep(wait_s)

    def _complain(self, error: StoreError) -> None:
        """Once for each trouble."""
        if str(error) != self._told:
            self._told = str(error)
            self._tell(f"episodes wait in memory: {error}")


def _end(writer: EpisodeWriter) -> None:
    """Close it; a record that was refused for good is raised after the others have been written."""
    refusal: StoreError | None = None
    while True:
        try:
            writer.close()
            break
        except (BadRecord, UnknownRecord) as error:
            refusal = refusal or error
        except StoreError as error:
            raise StoreError(f"{writer.waiting} records of play could not be written and are lost: {error}") from error
    if refusal is not None:
        raise refusal

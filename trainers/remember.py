"""An episode of play as what memory keeps, and the door through which a run hands it over."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from agents.formats.base import spoken
from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task
from skills_db.store import open_store
from skills_db.types import NewEpisode, NewTurn
from skills_db.writer import EpisodeWriter

__all__ = ["Memory", "recalled", "remembered"]


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
        turns.append(Turn(Prompt([], turn.kind, tuple(turn.used)), move, reply, result if turn.action else None))
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
    """One run's part of the store: episodes as they end, advantages after them, neither on the event loop."""

    def __init__(self, url: str | None, name: str, config: Mapping[str, Any], *, run: str | None = None) -> None:
        """Open the store and begin a run in it, or go on with `run`. Raises StoreError."""
        self._store = open_store(url)
        try:
            known = run is not None and any(row.id == run for row in self._store.runs())
            self.run = run if run is not None and known else self._store.add_run(name, config)
            """Id of the run."""
        except BaseException:
            self._store.close()
            raise
        self._writer = EpisodeWriter(self._store)

    async def keep(self, episode: Episode, *, split: str, step: int) -> None:
        """Hand over an episode that has ended. Raises StoreError for what went wrong since the last call."""
        await asyncio.to_thread(self._writer.add, self.run, remembered(episode, split=split, step=step))

    async def credit(self, episodes: Sequence[Episode], advantages: Sequence[Sequence[float]]) -> None:
        """Hand over the (T,) advantages of episodes that were kept."""

        def hand_over() -> None:
            for episode, values in zip(episodes, advantages, strict=True):
                self._writer.set_advantages(episode.id, values)

        await asyncio.to_thread(hand_over)

    async def flush(self) -> None:
        """Return when everything handed over is committed."""
        await asyncio.to_thread(self._writer.flush)

    async def close(self) -> None:
        """Write what waits and let go of the store. Raises StoreError where it cannot be written: then it is lost."""
        try:
            await asyncio.to_thread(self._writer.close)
        finally:
            self._writer.abandon()  # it would try the closed store once more
            self._store.close()

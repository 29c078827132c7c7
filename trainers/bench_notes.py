"""What notes cost a rollout: the same tasks played without them, with notes looked up and not shown, and with notes.

The world, the model and the way notes are shown are those of configs/slea.toml, the weights random; 8 episodes of 8
tasks are in play at once. An untrained model hardly names a command that there is, and would stay where it is: its
tokens are sampled and kept in the prompts, and the command is drawn. The library holds `ENTRIES` entries about what was
seen in a first rollout, and at the beginning of each rollout nothing of it is known. Where notes are looked up and not
shown, their budget is 0 tokens: every search is made, the play is that without notes token for token, and what it takes
longer is what looking up costs.
"""

from __future__ import annotations

import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from agents.policies.base import Policy
from agents.policies.llm import Llm
from agents.types import Episode, History, Move, Prompt, Turn
from envserver.schema import Action, Task
from skills_db.types import NewExperience
from trainers import recipe
from trainers.display import Display
from trainers.parts import Parts, assembled
from trainers.player import Player

__all__ = ["Notes", "as_table", "what_notes_cost"]

ENTRIES = 10_000
ROUNDS = 5
_BATCH = 500
_WAYS: dict[str, tuple[str, ...]] = {
    "none": ("context.retrieval=none",),
    "looked up, not shown": ("context.budget_tokens=0",),
    "shown": (),
}


@dataclass(frozen=True)
class Notes:
    """Rollouts of one way; times are the least of its rounds."""

    way: str
    wall_s: float
    cpu_s: float
    """Of this process: sampling, players and memory, not the worlds'."""
    searches: int
    """Of one rollout; the other situations were known."""
    prompt_tokens: int


def what_notes_cost(
    model: Path | None = None, *, tasks: int = 8, entries: int = ENTRIES, rounds: int = ROUNDS
) -> list[Notes]:
    """Rollouts of all ways in turn, `rounds` of each; `model` is another policy than the small one from nothing."""
    return uvloop.run(_measured(model, tasks, entries, rounds))


def as_table(rows: Sequence[Notes]) -> str:
    """Markdown; the first row is without notes."""
    lines = [
        "| notes | wall s | CPU s | wall over none | CPU over none | searches | prompt tokens |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        wall, cpu = row.wall_s / rows[0].wall_s - 1, row.cpu_s / rows[0].cpu_s - 1
        lines.append(
            f"| {row.way} | {row.wall_s:.2f} | {row.cpu_s:.2f} | {wall:+.1%} | {cpu:+.1%} | {row.searches} | "
            f"{row.prompt_tokens:,} |"
        )
    return "\n".join(lines)


class _Wanderer(Llm):
    """Samples as a language model does, and goes where it is drawn."""

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The sampled ids, and as their text one of the commands."""
        move = await super().act(prompt, last, history)
        command = self.rng(len(history.turns)).choice(history.observation.choices)
        return replace(move, text=self.format.write(Action(text=command), history))


class _Player(Player):
    def policy(self, temperature: float, dropped: Callable[[int], None] | None = None) -> Policy:
        """The one that wanders."""
        settings = Llm.Config(max_tokens=self.config.player.max_tokens, temperature=temperature)
        return _Wanderer(settings, format=self.format, chat=self.chat, sampler=self.engine)


async def _measured(model: Path | None, tasks: int, entries: int, rounds: int) -> list[Notes]:
    with tempfile.TemporaryDirectory() as directory:
        table = _settings(Path(directory), model, tasks)
        async with assembled(recipe.resolve(table, []), resume=False, display=Display(quiet=True)) as parts:
            library = parts.player.context.library
            assert library is not None
            players = {
                way: _Player(recipe.resolve(table, pairs), parts.player.chat, parts.engine, library)
                for way, pairs in _WAYS.items()
            }
            drawn = parts.pool.draw(tasks)
            seen = await _played(parts, players["none"], drawn)
            await asyncio.to_thread(_fill, parts, [text for episode in seen for text in _texts(episode)], entries)
            found: dict[str, list[Notes]] = {way: [] for way in players}
            for _ in range(rounds):
                for way, player in players.items():
                    library.renew()
                    library.looked()
                    wall_s, cpu_s = time.perf_counter(), _cpu_s()
                    episodes = await _played(parts, player, drawn)
                    wall_s, cpu_s = time.perf_counter() - wall_s, _cpu_s() - cpu_s
                    read = sum(len(turn.move.prompt_ids) for episode in episodes for turn in episode.turns)
                    found[way].append(Notes(way, wall_s, cpu_s, library.looked().searches, read))
    return [
        replace(rows[0], wall_s=min(row.wall_s for row in rows), cpu_s=min(row.cpu_s for row in rows))
        for rows in found.values()
    ]


def _settings(directory: Path, model: Path | None, tasks: int) -> dict[str, Any]:
    size = {"hidden": 128, "layers": 3, "heads": 4, "kv_heads": 2, "ffn": 384, "context": 2048, "vocab": 1024}
    return {
        "name": "notes",
        "dir": str(directory),
        "env": {
            "name": "textworld",
            "tasks": tasks,
            "workers": 1,
            "options": {"family": "coin_collector/l4", "max_steps": 8, "show": []},
        },
        "eval": {"tasks": 1},
        "player": {"max_turns": 8, "max_tokens": 8},
        "format": "choice",
        "context": {"name": "recall", "place": "observation", "stay": "kept", "budget_tokens": 100},
        "model": {"path": str(model)} if model else {"scratch": size},
        "engine": {"threads": 1},
        "sampling": {"tasks_per_step": tasks, "group_size": 8},
        "store": {"url": f"sqlite:///{directory / 'notes.db'}"},
    }


async def _played(parts: Parts, player: Player, tasks: Sequence[Task]) -> list[Episode]:
    """One rollout; what the engine has read of an earlier one is dropped first, as it is when weights change."""
    await parts.engine.load({}, parts.learner.version)
    groups = await player.collect(
        parts.gym, tasks, group_size=parts.config.sampling.group_size, temperature=1.0, seed=parts.config.seed
    )
    return [episode for group in groups for episode in group]


def _texts(episode: Episode) -> Iterator[str]:
    assert episode.opened is not None, episode.error
    yield episode.opened.result.observation.text
    yield from (turn.result.observation.text for turn in episode.turns if turn.result)


def _fill(parts: Parts, seen: Sequence[str], entries: int) -> None:
    rng = random.Random(0)
    env, situations = parts.pool.env, sorted(set(seen))
    made = [
        NewExperience(
            env,
            rng.choice(situations),
            f"Note {number}: go {rng.choice(['north', 'east', 'south', 'west'])}, then take the coin.",
            "failure" if number % 3 == 0 else "skill",
            rng.random(),
        )
        for number in range(entries)
    ]
    for begin in range(0, entries, _BATCH):
        parts.memory.store.add(made[begin : begin + _BATCH])


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

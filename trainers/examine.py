"""Checkpoints put to the test: each plays the same held-out tasks, with its own format, context and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.chat import Chat
from envserver.catalogue import env_name
from envserver.client import Gym
from envserver.schema import Task
from skills_db.embed import load_embedder
from skills_db.store import Store, open_store
from trainers.config import EvalConfig, RunConfig
from trainers.display import Display
from trainers.engines.choose import engine_for
from trainers.evaluate import Evaluation, evaluate
from trainers.models import load_model
from trainers.parts import library_for, shows_notes
from trainers.player import Player
from trainers.plugged import plugged
from trainers.run import Checkpoint, Run, find_checkpoint
from trainers.tasks import fetch_keys
from trainers.worlds import worlds

__all__ = ["counts_attempts", "examine"]


async def examine(
    paths: Sequence[Path],
    *,
    split: str | None,
    url: str | None,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    display: Display,
    context: Mapping[str, Any] | None = None,
    turns: int | None = None,
    keep: int | None = None,
    notes: bool | None = None,
) -> list[tuple[str, Evaluation]]:
    """Each checkpoint's label and evaluation; worlds, tasks and what `settings` (of EvalConfig) and `options` (of
    the environment) leave unsaid are the first run's.

    `context` is put over each run's own context options, such as more summaries than it learned with. `turns` is the
    longest episode, for worlds that count `attempts` too; with `keep` the policy sees the best so many of its turns,
    whatever it learned with: the sequential test-time scaling of Dr. Kernel (arXiv 2602.05885). A run whose
    context shows notes is played with its library as it is now, or without any; `notes` None is as the run says.
    Raises BadConfig, GymError, StoreError, ValueError.
    """
    checkpoints = [find_checkpoint(path) for path in paths]
    configs = [
        _seen_by(_longer(Run(checkpoint.run).config(), turns), context or {}, keep) for checkpoint in checkpoints
    ]
    first = configs[0]
    asked = EvalConfig.model_validate(first.eval.model_dump() | dict(settings))
    env = first.env.model_copy(update={"url": url or first.env.url, "options": first.env.options | dict(options)})
    split = split or env.eval_split
    name = env_name(env.name)
    found: list[tuple[str, Evaluation]] = []
    with display:
        async with worlds(env) as gym:
            if turns is not None and "attempts" not in options and await counts_attempts(gym, name):
                env = env.model_copy(update={"options": env.options | {"attempts": turns}})
            keys = await fetch_keys(gym, name, split, limit=asked.tasks, options=env.options)
            tasks = [Task(env=name, key=key, options=env.options) for key in keys]
            for checkpoint, config in zip(checkpoints, configs, strict=True):
                with _store(config, notes) or nullcontext() as store:
                    player, weights = _player(config, checkpoint, store)
                    try:
                        await player.engine.load(weights, 0)
                        result = await evaluate(
                            player,
                            gym,
                            tasks,
                            split=split,
                            episodes=asked.episodes,
                            temperature=asked.temperature,
                            seed=first.seed,
                            display=display,
                        )
                    finally:
                        await player.engine.close()
                found.append((f"{checkpoint.run.name}@{checkpoint.step}", result))
    return found


def _longer(config: RunConfig, turns: int | None) -> RunConfig:
    """The run with so many turns."""
    if turns is None:
        return config
    return config.model_copy(update={"player": config.player.model_copy(update={"max_turns": turns})})


async def counts_attempts(gym: Gym, env: str) -> bool:
    """Whether a world ends after a number of attempts that a player may choose."""
    properties = (await gym.card(env)).config_schema.get("properties")
    return isinstance(properties, dict) and "attempts" in properties


def _seen_by(config: RunConfig, options: Mapping[str, Any], keep: int | None) -> RunConfig:
    """The run with these options of its context, or of `best` where that is to `keep` turns. Raises BadConfig."""
    if not options and keep is None:
        return config
    begun = config.context.model_dump() if keep is None else {"name": "best", "keep": keep}
    read = plugged("agents.contexts", "Context")
    return config.model_copy(update={"context": read(begun | dict(options))})


def _store(config: RunConfig, notes: bool | None) -> Store | None:
    """The run's memory, where it is to be played with notes; it is not written to. Raises StoreError."""
    if not shows_notes(config) or not (config.memory.at_eval if notes is None else notes):
        return None
    url, embedder, delta = config.store.url, load_embedder(config.store.embedder), config.store.delta
    return open_store(url, create=False, readonly=True, embedder=embedder, delta=delta)


def _player(config: RunConfig, checkpoint: Checkpoint, store: Store | None) -> tuple[Player, dict[str, Tensor]]:
    """Who plays, with the weights that it plays with."""
    model, tokenizer = load_model(config.model.model_copy(update={"path": checkpoint.model}))
    chat = Chat(tokenizer)
    library = library_for(config, store, chat) if store is not None else None
    weights = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
    return Player(config, chat, engine_for(config, model, chat), library), weights

"""Checkpoints put to the test: each plays the same held-out tasks, with its own format, context and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.chat import Chat
from envserver.catalogue import env_name
from envserver.schema import Task
from trainers.config import EvalConfig, RunConfig
from trainers.display import Display
from trainers.evaluate import Evaluation, evaluate
from trainers.models import load_model
from trainers.parts import engine_for
from trainers.player import Player
from trainers.run import Checkpoint, Run, find_checkpoint
from trainers.tasks import fetch_keys
from trainers.worlds import worlds

__all__ = ["examine"]


async def examine(
    paths: Sequence[Path],
    *,
    split: str | None,
    url: str | None,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    display: Display,
) -> list[tuple[str, Evaluation]]:
    """Each checkpoint's label and evaluation; worlds, tasks and what `settings` (of EvalConfig) and `options` (of
    the environment) leave unsaid are the first run's.

    Raises BadConfig, GymError, ValueError.
    """
    checkpoints = [find_checkpoint(path) for path in paths]
    first = Run(checkpoints[0].run).config()
    asked = EvalConfig.model_validate(first.eval.model_dump() | dict(settings))
    env = first.env.model_copy(update={"url": url or first.env.url, "options": first.env.options | dict(options)})
    split = split or env.eval_split
    name = env_name(env.name)
    found: list[tuple[str, Evaluation]] = []
    with display:
        async with worlds(env) as gym:
            keys = await fetch_keys(gym, name, split, limit=asked.tasks, options=env.options)
            tasks = [Task(env=name, key=key, options=env.options) for key in keys]
            for checkpoint in checkpoints:
                config = Run(checkpoint.run).config()
                player = _player(config, checkpoint)
                try:
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


def _player(config: RunConfig, checkpoint: Checkpoint) -> Player:
    model, tokenizer = load_model(config.model.model_copy(update={"path": checkpoint.model}))
    chat = Chat(tokenizer)
    return Player(config, chat, engine_for(config, model, chat))

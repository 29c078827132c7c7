"""The demonstrations that a run would learn from, with their thoughts, to be looked at or kept in a file.

Rule: they are the very ones: same tasks, same expert, same slips, same annotator.
"""

from __future__ import annotations

from agents.types import Episode
from envserver.catalogue import env_name
from trainers.annotators.base import Notes
from trainers.config import RunConfig
from trainers.display import Display
from trainers.plugged import BadConfig
from trainers.tasks import TaskPool, fetch_keys
from trainers.teacher import noted
from trainers.worlds import worlds

__all__ = ["cold_start"]


async def cold_start(config: RunConfig, *, display: Display) -> list[tuple[Episode, Notes]]:
    """Play and annotate. Raises BadConfig where the run's format has no thoughts, and what `noted` raises."""
    if config.format.__dict__["name"] != "rlvmr":
        raise BadConfig("only the format 'rlvmr' has thoughts to annotate; give format.name=rlvmr")
    if not config.sft.demonstrations:
        raise BadConfig("sft.demonstrations is 0, so there is nothing to annotate; give sft.demonstrations=50")
    env, name = config.env, env_name(config.env.name)
    with display:
        async with worlds(env) as gym:
            keys = await fetch_keys(gym, name, env.split, limit=env.tasks, options=env.options)
            pool = TaskPool(name, keys, seed=config.seed, options=env.options)
            tasks = pool.first(config.sft.demonstrations)
            return await noted(config, gym, tasks, chat=None, display=display)

"""Where the time of a training step goes, for `trainer bench`."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from trainers.engines.local import Local

__all__ = ["where_time_goes"]


async def where_time_goes(steps: int) -> dict[str, float]:
    """Shares of wall time of GRPO steps on keydoor over a served gym, from a model of random weights."""
    from trainers import recipe
    from trainers.ahead import Ahead
    from trainers.display import Display
    from trainers.loop import begin, one_step
    from trainers.parts import assembled

    with tempfile.TemporaryDirectory() as directory:
        settings: dict[str, Any] = {
            "name": "bench",
            "dir": directory,
            "steps": steps + 1,
            "env": {"name": "keydoor", "tasks": 16},
            "eval": {"every": 0, "tasks": 1},
            "model": {"scratch": {"hidden": 128, "ffn": 384, "context": 1024}},
            "player": {"max_turns": 6, "max_tokens": 8},
            "sampling": {"tasks_per_step": 4, "group_size": 8},
            "store": {"url": f"sqlite:///{Path(directory) / 'bench.db'}"},
            "checkpoint": {"every": steps + 1},
        }
        async with assembled(recipe.resolve(settings, []), resume=False, display=Display(quiet=True)) as parts:
            engine = parts.engine
            assert isinstance(engine, Local)
            await begin(parts)
            async with Ahead(parts) as ahead:
                await one_step(parts, ahead)  # the first one warms up
                sampled_s, started = engine.busy_s, time.perf_counter()
                for _ in range(steps):
                    await one_step(parts, ahead)
            wall_s, sampled_s = time.perf_counter() - started, engine.busy_s - sampled_s
            rows = [json.loads(line) for line in parts.run.metrics.read_text().splitlines()][-steps:]
    rollout_s = sum(row["time/rollout_s"] for row in rows)
    learned_s = sum(row.get("time/update_s", 0.0) + row.get("time/load_s", 0.0) for row in rows)
    found = {
        "sampling": sampled_s,
        "waiting for worlds and the wire": max(rollout_s - sampled_s, 0.0),
        "learning": learned_s,
        "memory, metrics, checkpoints": max(wall_s - rollout_s - learned_s, 0.0),
    }
    return {name: seconds / wall_s for name, seconds in found.items()}

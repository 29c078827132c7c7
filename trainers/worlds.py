"""The server a run plays on: the one its config names, or one of its own that ends with it."""

from __future__ import annotations

import difflib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from envserver import plugins
from envserver.client import Gym
from envserver.launch import launch
from trainers.config import EnvSection
from trainers.plugged import BadConfig

__all__ = ["worlds"]


@asynccontextmanager
async def worlds(env: EnvSection, *, log: Path | None = None) -> AsyncIterator[Gym]:
    """An open Gym. A server that is started here answers the expert's route: it ends with the run.

    `log` gets what such a server prints; none: nobody does, but its end stands in the error where it does not start.
    """
    token = env.token or os.environ.get("ENVSERVER_TOKEN")
    if env.url is not None:
        async with Gym(env.url, token=token, timeout_s=env.timeout_s) as gym:
            yield gym
        return
    known = plugins.names("envserver.envs")
    if env.name not in known and ":" not in env.name:  # `package.module:Class` is the server's to find
        close = difflib.get_close_matches(env.name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
        raise BadConfig(f"no environment is named '{env.name}'; {hint}")
    options = {env.name: env.options}
    with TemporaryDirectory(prefix="worlds-") as scratch:
        log = log or Path(scratch) / "server.log"
        with launch([env.name], workers=env.workers, expert=True, token=token, env_options=options, log=log) as served:
            async with Gym(served.url, token=token, timeout_s=env.timeout_s) as gym:
                yield gym

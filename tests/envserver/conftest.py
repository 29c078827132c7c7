"""A served server with worlds that misbehave."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from envserver.client import Gym
from envserver.launch import Launched, launch

HERE = Path(__file__).parent
WORLDS = tuple(f"worlds:{name}" for name in ("Counter", "Trivial", "Copyable", "Wild", "Random", "Liar", "Null"))

# The server's own process has to find `worlds`.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Every world of `worlds`, on two workers, with the expert and a deadline of 1.5 s."""
    log = tmp_path_factory.mktemp("server") / "log"
    with launch(WORLDS, workers=2, expert=True, log=log, call_timeout_s=1.5) as launched:
        yield launched


@pytest.fixture
async def gym(server: Launched) -> AsyncIterator[Gym]:
    """A client of `server`."""
    async with Gym(server.url, timeout_s=20) as gym:
        yield gym


@pytest.fixture
async def http(server: Launched) -> AsyncIterator[httpx.AsyncClient]:
    """Bare HTTP to `server`."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        yield http

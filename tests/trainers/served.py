"""A policy that is really served, in the test's own event loop; time stands still until the test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tiny import tiny_model

from trainers import recipe
from trainers.config import RunConfig
from trainers.display import Display
from trainers.serving.serve_and_learn import Served, assembled

__all__ = ["Hands", "Service", "batch", "config", "question", "serving"]


class Hands:
    """A clock that is moved by hand; it begins at noon."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def local(self) -> datetime:
        return datetime(2026, 3, 2, 12) + timedelta(seconds=self.passed_s)

    def move(self, *, minutes: float = 0, hours: float = 0) -> None:
        self.passed_s += 60 * minutes + 3600 * hours


@dataclass
class Service:
    """What a test holds of it."""

    served: Served
    clock: Hands
    http: httpx.AsyncClient
    alarms: list[str]

    async def ask(self, *messages: dict[str, str], session: str | None = None, **more: Any) -> dict[str, Any]:
        """One answer; fails where there is none."""
        headers = {} if session is None else {"X-Session": session}
        body = {"model": "tiny", "messages": list(messages), "max_tokens": 8, **more}
        answer = await self.http.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def rated(self, session: str, reward: float, text: str = "open the door") -> None:
        """A session of one turn, rated and over."""
        await self.ask(question(text), session=session)
        done = await self.http.post(f"/v1/sessions/{session}/end", json={"reward": reward})
        assert done.status_code == 200, done.text

    async def learning(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get("/v1/learning")).json()
        return found

    async def until(self, **wanted: Any) -> None:
        """Let the scheduler look until /v1/learning says so; ten seconds at most."""
        for _ in range(1000):
            await self.served.scheduler.tick()
            state = self.served.scheduler.state()
            if all(state[name] == value for name, value in wanted.items()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{wanted} never came, but {state}")


def question(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def config(directory: Path, *pairs: str) -> RunConfig:
    """A server called `tiny`, whose window opens after ten minutes of silence."""
    table = {
        "name": "tiny",
        "dir": str(directory),
        "env": {"name": "chat"},
        "model": {"path": str(tiny_model())},
        "algorithm": {"name": "grpo", "kl": 0.0},
        "engine": {"threads": 1, "max_sessions": 8},
        "store": {"url": f"sqlite:///{directory}/memory.db"},
        "serving": {"window": {"quiet_hours": "", "idle_minutes": 10}},
    }
    return recipe.resolve(table, pairs)


@asynccontextmanager
async def serving(directory: Path, *pairs: str) -> AsyncIterator[Service]:
    """It listens, and its scheduler waits for the test."""
    clock, alarms = Hands(), list[str]()
    display = Display(quiet=True)
    display.alarm = alarms.append  # type: ignore[method-assign]
    async with assembled(config(directory, *pairs), display=display, clock=clock) as served:
        server = uvicorn.Server(uvicorn.Config(served.app, port=0, log_level="critical"))
        bound = server.config.bind_socket()
        listening = asyncio.create_task(server._serve([bound]))
        while not server.started:
            assert not listening.done()
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", timeout=60) as http:
            try:
                yield Service(served, clock, http, alarms)
            finally:
                await served.scheduler.close()
                server.should_exit = True
                await listening


async def batch(service: Service, *rewards: float) -> None:
    """A session of one turn for each reward."""
    for index, reward in enumerate(rewards):
        await service.rated(f"s{index}", reward)

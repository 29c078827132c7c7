"""OpenEnv's own server with the null world: `VENV/bin/python openenv_peer.py PORT REPLY_FILE`, until it is killed.

Runs where OpenEnv is installed and nothing of ours is. REPLY_FILE holds the observation that every step shows, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State

SEEN = json.loads(Path(sys.argv[2]).read_text())


class CommandAction(Action):  # type: ignore[misc]
    """A command."""

    command: str


class CommandObservation(Observation):  # type: ignore[misc]
    """What is shown."""

    text: str
    choices: list[str]


class Null(Environment):  # type: ignore[misc]
    """Nothing happens here."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, **_: Any) -> CommandObservation:
        self.steps = 0
        return CommandObservation(**SEEN, done=False, reward=None)

    def step(self, action: CommandAction, timeout_s: float | None = None, **_: Any) -> CommandObservation:
        self.steps += 1
        return CommandObservation(**SEEN, done=False, reward=0.0)

    @property
    def state(self) -> State:
        return State(step_count=self.steps)


app = create_app(Null, CommandAction, CommandObservation, env_name="null", max_concurrent_envs=4096)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", ws_per_message_deflate=False, backlog=4096)

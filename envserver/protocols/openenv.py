"""OpenEnv's wire, for each environment below its own path: `/openenv/{env}` is what its clients take for a base URL.

`WS .../ws` is OpenEnv's session; its HTTP routes are sessions, too, which OpenEnv's are not. `reset` takes `key`, or
`split` and `index`, beside the `seed` and `episode_id` that OpenEnv knows.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from envserver.protocols._openenv.routes import create_app
from envserver.protocols._openenv.talk import Talk
from envserver.protocols.base import Host, Message, Protocol, Receive, Send

__all__ = ["OpenEnv"]


class OpenEnv(Protocol):
    """OpenEnv 1: what `openenv.core.GenericEnvClient` and `MCPToolClient` speak."""

    websocket = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.app: Any = create_app(host)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        env, _, rest = scope["path"].removeprefix(scope["root_path"]).lstrip("/").partition("/")
        if scope["type"] == "websocket" and rest == "ws":
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("session_id", [None])
            await Talk(self.host, env, asked[0]).run(scope, receive, send)
            return
        await self.app({**scope, "env": env, "root_path": f"{scope['root_path']}/{env}"}, receive, send)

"""The tools of a server that is asked for no environment: look at the worlds, open one, play it by its session's id.

They keep nothing between calls: a session's id is in the model's hands, and its next step is in the session table.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import to_json

from envserver.calls import signature
from envserver.protocols._mcp.rpc import INVALID_PARAMS, Refusal
from envserver.protocols._mcp.tools import META, shown, told
from envserver.protocols.base import Choice, Host
from envserver.schema import Action, Index, SessionId
from envserver.session import logged
from envserver.verbs import sentence

__all__ = ["Hall"]


class Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ListEnvs(Arguments):
    """List the environments: a name and a summary each."""


class ListTasks(Arguments):
    """List the task keys of an environment's split."""

    env: str
    split: str = "train"
    offset: Annotated[int, Field(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 20


class Open(Choice):
    """Open a session of a task: by its key, by split and index, or by a seed. Answers its id and what is seen first."""

    model_config = ConfigDict(extra="forbid")

    env: str


class Step(Arguments):
    """Play one step of a session: a text, or a call of one of its tools. An index makes repeating it safe."""

    session: SessionId
    text: str = ""
    tool: str | None = None
    arguments: dict[str, JsonValue] = {}
    index: Index | None = None
    """Steps taken before this one; without it, this is the next."""


class Close(Arguments):
    """Close a session."""

    session: SessionId


TOOLS: dict[str, type[BaseModel]] = {
    "list_envs": ListEnvs,
    "list_tasks": ListTasks,
    "open": Open,
    "step": Step,
    "close": Close,
}


class Hall:
    """Answers calls of the server's own tools."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @staticmethod
    def tools() -> list[dict[str, Any]]:
        """As `tools/list` shows them."""
        return [
            {
                "name": name,
                "description": " ".join((kind.__doc__ or "").split()),
                "inputSchema": {"type": "object", **kind.model_json_schema()},
            }
            for name, kind in TOOLS.items()
        ]

    async def call(self, params: dict[str, JsonValue]) -> bytes:
        """A CallToolResult as JSON. Raises Refusal, and what the session table raises."""
        name, arguments = params.get("name"), params.get("arguments")
        if not isinstance(name, str) or name not in TOOLS:
            raise Refusal(INVALID_PARAMS, f"Unknown tool: {str(name)[:128]}; there are: {', '.join(TOOLS)}")
        try:
            asked = TOOLS[name].model_validate({} if arguments is None else arguments)
        except ValidationError as error:
            return told(f"{name}: {sentence(error)}", error="BadRequest")
        match asked:
            case ListEnvs():
                cards = await self.host.nursery.cards()
                return told("\n".join(f"{card.env}: {card.summary}" for card in cards))
            case ListTasks():
                keys, total = await self.host.keys(asked.env, asked.split, asked.offset, asked.limit)
                return told("\n".join([f"{total} tasks", *keys]))
            case Open():
                return await self._open(asked)
            case Step():
                episode = self.host.episode(asked.session)
                if asked.index is not None:
                    episode.index = asked.index
                action = Action(text=asked.text, tool=asked.tool, arguments=asked.arguments)
                answer = episode.ask(logged(action))
                result = answer if isinstance(answer, bytes) else await asyncio.shield(answer)
                episode.took()
                return shown(result, episode.index)
        assert isinstance(asked, Close)
        self.host.sessions.close(asked.session)
        return told(f"session {asked.session} is closed")

    async def _open(self, asked: Open) -> bytes:
        episode, opened = await self.host.open(await self.host.task(asked.env, asked), owner="mcp")
        lines = [f"session: {episode.id}", opened.instructions]
        lines += ["Tools, to be called by step:", *map(signature, opened.tools)] if opened.tools else []
        step = opened.result.model_dump()
        seen = step.pop("observation")
        lines.append(seen["text"])
        lines += ["Accepted here:", *seen["choices"]] if seen["choices"] else []
        content: list[dict[str, str]] = [{"type": "text", "text": "\n".join(lines)}]
        meta = {META: {"session": episode.id, "index": episode.index, **step}}
        return to_json({"content": content, "isError": False, "_meta": meta})

"""OpenEnv's HTTP routes, below an environment's path.

Where OpenEnv makes an environment for each request, a reset opens a session here: its id comes back in the header
`X-Session-ID`, in a cookie and in the result's metadata, and is sent again in either of the first two, or as the
query's or the body's `session_id`. A step without an `index` is the next one; with it, it is played once however often
it is sent. Errors are OpenEnv's: `{"detail": ...}`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import from_json, to_json
from starlette.responses import JSONResponse

from envserver.errors import BadRequest, GymError, UnknownEnv
from envserver.protocols._listing import at, count, listed
from envserver.protocols._openenv.frames import (
    CommandAction,
    CommandObservation,
    CommandState,
    Reset,
    action,
    observed,
)
from envserver.protocols._openenv.mcp import Mcp
from envserver.protocols.base import Episode, Host
from envserver.schema import Index
from envserver.session import logged

__all__ = ["COOKIE", "create_app"]

COOKIE = "openenv_session"
HEADER = "X-Session-ID"
KINDS = {"valid": "validation"}
"""Split -> OpenEnv's name of its kind, where it is not the same."""


class Play(BaseModel):
    """Body of a reset, and what every body may say."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    session_id: Annotated[str, Field(max_length=128)] | None = None
    """The session that goes on, or is closed by a reset."""


class ResetRequest(Play, Reset):
    """Body of a reset."""


class StepRequest(Play):
    """Body of a step."""

    action: CommandAction
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    """Read by nobody: the server's own deadline holds."""
    request_id: Annotated[str, Field(max_length=255)] | None = None
    index: Index | None = None
    """Steps taken before this one."""


class ObservationResponse(BaseModel):
    """What a reset and a step answer."""

    observation: CommandObservation
    reward: float | None = None
    done: bool = False
    metadata: dict[str, JsonValue] | None = None


class TasksRequest(BaseModel):
    """Body of the routes about tasks."""

    model_config = ConfigDict(extra="ignore")

    split: Annotated[str, Field(max_length=128)]
    index: int | None = None
    start: int | None = None
    stop: int | None = None


def create_app(host: Host) -> FastAPI:
    """The routes, for whichever environment stands in `scope["env"]`."""
    # Its version is the interface's, not ours: OpenEnv's validator asks for 1.
    app = FastAPI(title="Turnhalle, as OpenEnv", version="1.0.0", docs_url=None, redoc_url=None)
    app.add_exception_handler(GymError, _on_gym_error)

    def episode(request: Request, named: str | None) -> Episode:
        id = named or request.headers.get(HEADER) or request.cookies.get(COOKIE)
        if id is None:
            raise BadRequest(f"no session: reset first, and send its {HEADER} (a cookie does it, too)")
        return host.episode(id, request.scope["env"])

    @app.post("/reset", response_model=ObservationResponse)
    async def reset(request: Request, body: ResetRequest | None = None) -> Response:
        """Open a session; the one that was played before is closed."""
        body = body or ResetRequest()
        task = await host.task(request.scope["env"], body)
        id = body.session_id or request.headers.get(HEADER) or request.cookies.get(COOKIE)
        last = Episode(host.sessions, id, 0) if id is not None else None
        opened, _ = await host.follow(last, task, owner=body.episode_id)
        answer = observed(opened.last(), first=True)
        response = _json(b'%b,"session_id":%b}}' % (answer[:-2], to_json(opened.id)), {HEADER: opened.id})
        response.set_cookie(COOKIE, opened.id, path=request.scope["root_path"], httponly=True, samesite="lax")
        return response

    @app.post("/step", response_model=ObservationResponse)
    async def step(request: Request, body: StepRequest) -> Response:
        """Play one step."""
        playing = episode(request, body.session_id)
        if body.index is not None:
            playing.index = body.index
        answer = playing.ask(logged(action(body.action, playing.tools())))
        return _json(observed(answer if isinstance(answer, bytes) else await asyncio.shield(answer)))

    @app.get("/state", response_model=CommandState)
    async def state(request: Request, session_id: str | None = None) -> CommandState:
        """Where the episode is; before the first, nowhere."""
        if session_id is None and HEADER not in request.headers and COOKIE not in request.cookies:
            return CommandState()
        playing = episode(request, session_id)
        owner = host.sessions.session(playing.id).owner
        return CommandState(episode_id=owner or playing.id, step_count=playing.index)

    @app.get("/health")
    async def health(request: Request) -> dict[str, str]:
        """Whether the environment can be played."""
        await host.card(request.scope["env"])
        return {"status": "healthy"}

    @app.get("/metadata")
    async def metadata(request: Request) -> dict[str, str | None]:
        """What the environment is."""
        card = await host.card(request.scope["env"])
        return {
            "name": card.env,
            "description": card.summary,
            "readme_content": card.instructions,
            "version": "1.0.0",
            "author": None,
            "documentation_url": None,
        }

    @app.get("/schema")
    async def schema() -> dict[str, Any]:
        """JSON schemas of action, observation and state."""
        return {
            "action": CommandAction.model_json_schema(),
            "observation": CommandObservation.model_json_schema(),
            "state": CommandState.model_json_schema(),
        }

    @app.post("/mcp")
    async def mcp(request: Request) -> Response:
        """JSON-RPC: the environment's tools."""
        try:
            item = from_json(await request.body(), allow_inf_nan=False)
        except ValueError:
            item = None
        return _json(await Mcp(host, request.scope["env"]).answer(item))

    @app.get("/list_environments")
    async def environments(request: Request) -> list[str]:
        """The one environment."""
        return [(await host.card(request.scope["env"])).env]

    @app.get("/{name}/splits")
    async def splits(request: Request, name: str) -> list[dict[str, str]]:
        """Its splits."""
        card = await host.card(_same(request, name))
        return [{"name": split, "type": KINDS.get(split, split)} for split in card.splits]

    @app.post("/{name}/num_tasks")
    async def number(request: Request, name: str, body: TasksRequest) -> dict[str, int]:
        """How many tasks a split has."""
        return {"num_tasks": await count(host, _same(request, name), body.split)}

    @app.post("/{name}/tasks")
    async def tasks(request: Request, name: str, body: TasksRequest) -> dict[str, Any]:
        """The first 10,000 tasks of a split; what each is reset with."""
        env = _same(request, name)
        return {"tasks": await listed(host, env, body.split), "env_name": env}

    @app.post("/{name}/task")
    async def task(request: Request, name: str, body: TasksRequest) -> dict[str, Any]:
        """One task of a split, from its end where the index is negative."""
        return {"task": await at(host, _same(request, name), body.split, body.index or 0)}

    @app.post("/{name}/task_range")
    async def task_range(request: Request, name: str, body: TasksRequest) -> dict[str, Any]:
        """Tasks of a split as Python's slice has them, 10,000 at most."""
        env = _same(request, name)
        return {"tasks": await listed(host, env, body.split, body.start, body.stop), "env_name": env}

    return app


def _same(request: Request, name: str) -> str:
    env: str = request.scope["env"]
    if name.lower() != env.lower():
        raise UnknownEnv(f"unknown environment '{name[:128]}'; here is '{env}'")
    return env


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, 200, headers, "application/json")


async def _on_gym_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GymError)
    headers = {"Retry-After": str(max(1, round(error.retry_after_s)))} if error.retry_after_s is not None else None
    return JSONResponse({"detail": error.detail, "kind": type(error).__name__}, error.status, headers)

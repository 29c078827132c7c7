"""The native HTTP routes, and the server that serves them. No game logic."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from pydantic import JsonValue
from pydantic_core import from_json
from starlette.exceptions import HTTPException

import envserver
from envserver import catalogue, metrics, plugins
from envserver.config import ServerConfig
from envserver.door import Door, refusal
from envserver.errors import BadRequest, GymError
from envserver.foundry import Foundry
from envserver.lane import WEBSOCKET
from envserver.ledger import Ledger
from envserver.mounts import Mounts
from envserver.protocols.base import MOUNTED, Host, Protocol
from envserver.schema import (
    Action,
    BatchOpen,
    BatchOpened,
    BatchStepped,
    BatchSteps,
    Demonstration,
    EnvCard,
    ForkRequest,
    Health,
    Opened,
    OpenRequest,
    SessionState,
    StepRequest,
    StepResult,
    Task,
    TaskPage,
)
from envserver.sessions import Sessions
from envserver.strict import StrictRoute
from envserver.verbs import Verbs, described
from envserver.workers.inline import Inline
from envserver.workers.nursery import Nursery
from envserver.workers.pool import pool_of

__all__ = ["Unserved", "create_app", "serve"]

PROTOCOLS = "envserver.protocols"
PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
TITLES = {
    401: "no or a wrong bearer token",
    403: "this server does not allow it",
    404: "no such environment, task or session",
    409: "out of turn, or the episode is over",
    413: "the body is too large",
    422: "the request could not be read",
    429: "the gym is full",
    502: "the world failed",
    504: "the world did not answer",
}

SessionPath = Annotated[str, Path(description="The session's id.")]
EnvPath = Annotated[str, Path(description="The environment's name.")]
OptionsQuery = Annotated[str, Query(description="The environment's options, a JSON object.", max_length=65536)]


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": TITLES[status], **PROBLEM} for status in (401, *statuses)}


def create_app(config: ServerConfig, mounts: Mounts | None = None) -> FastAPI:
    """The application, which closes `mounts` at its end. Raises NoSuchPlugin, BadLedger and NoPool."""
    mounts = mounts or Mounts()
    specs = catalogue.specs(config.envs)
    options = catalogue.env_options(config.env_options, specs)
    installed = sorted({*plugins.names(PROTOCOLS)} - MOUNTED)
    asked = installed if config.protocols is None else config.protocols
    protocols = {name: plugins.load(PROTOCOLS, name, Protocol) for name in asked}  # type: ignore[type-abstract]
    ledger = Ledger(config.ledger) if config.ledger is not None else None
    pool = pool_of(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nursery = Nursery(specs, options, config.max_steps)
        inline, processes = Inline(nursery), pool(nursery, config)
        foundry = Foundry(processes, nursery, processes=processes.size, timeout_s=config.open_timeout_s)
        sessions = Sessions(config, nursery, inline, foundry, ledger)
        app.state.nursery, app.state.processes, app.state.sessions = nursery, processes, sessions
        app.state.verbs = Verbs(sessions, config)
        host = Host(sessions, nursery, config)
        app.state.protocols = {name: kind(host) for name, kind in protocols.items()}
        nursery.start()
        processes.start()
        foundry.start()
        sessions.start()
        if ledger is not None:
            # Whoever was playing asks again at once, and a session is taken up only where its world is known.
            await nursery.cards()
        try:
            yield
        finally:
            for protocol in app.state.protocols.values():
                protocol.close()
            await sessions.close_all()
            await foundry.close()
            await processes.close()
            inline.close()
            nursery.close()
            mounts.close()

    # A browser loads nothing from elsewhere: /docs comes with its scripts, and ReDoc would fetch a logo.
    app = FastAPIOffline(
        redoc_url=None,
        static_url="/docs/static",
        title="Turnhalle",
        version=envserver.__version__,
        description="Worlds for agents that act in many turns.",
        swagger_ui_parameters={"validatorUrl": None},
        lifespan=lifespan,
    )
    app.router.route_class = StrictRoute
    app.add_middleware(Door, config=config)
    app.add_exception_handler(GymError, _on_gym_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)
    _routes(app, config)
    for name, mount in mounts.apps.items():
        app.mount(f"/{name}", mount)
    return app


def _routes(app: FastAPI, config: ServerConfig) -> None:
    @app.get("/health", response_model=Health)
    async def health() -> Health:
        """Liveness, capacity and limits."""
        nursery, processes = app.state.nursery, app.state.processes
        cards = {name: nursery.known(name) for name in nursery.specs}
        short = any(card is not None and card.weight == "worker" for card in cards.values()) and not processes.workers
        missing = any(nursery.absent(catalogue.env_name(spec)) for spec in config.envs)
        return Health(
            status="degraded" if short or missing else "ok",
            version=envserver.__version__,
            envs=[name for name in cards if not nursery.absent(name)],
            sessions=len(app.state.sessions),
            max_sessions=config.max_sessions,
            workers=[worker.shown() for worker in processes.workers],
            limits=config.limits(),
        )

    @app.get("/metrics", response_class=Response, responses=_refusals())
    async def prometheus() -> Response:
        """Counters and gauges in Prometheus' text format."""
        text = metrics.render(app.state.sessions, app.state.processes)
        return Response(text, media_type="text/plain; version=0.0.4")

    @app.get("/v1/envs", response_model=list[EnvCard], responses=_refusals())
    async def envs() -> list[EnvCard]:
        """The catalogue."""
        cards: list[EnvCard] = await app.state.nursery.cards()
        return cards

    @app.get("/v1/envs/{env}", response_model=EnvCard, responses=_refusals(404, 422))
    async def env(env: EnvPath) -> EnvCard:
        """One environment: instructions, tools, options, splits."""
        card: EnvCard = await app.state.nursery.card(env)
        return card

    @app.get("/v1/envs/{env}/tasks", response_model=TaskPage, responses=_refusals(404, 422, 502, 504))
    async def tasks(
        env: EnvPath,
        split: Annotated[str, Query(max_length=128)],
        offset: Annotated[int, Query(ge=0, lt=1 << 53)] = 0,
        limit: Annotated[int, Query(ge=1, le=10000)] = 1000,
        options: OptionsQuery = "{}",
    ) -> Response:
        """A page of a split's task keys, as these options list them."""
        return _json(await app.state.sessions.tasks(env, split, offset, limit, _options(options)))

    @app.get(
        "/v1/envs/{env}/demonstration",
        response_model=Demonstration,
        responses=_refusals(403, 404, 422, 502, 504),
    )
    async def demonstration(
        env: EnvPath,
        key: Annotated[str, Query(max_length=512)],
        seed: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
        options: OptionsQuery = "{}",
    ) -> Response:
        """How the expert plays one task."""
        try:
            task = Task(env=env, key=key, seed=seed, options=_options(options))
        except ValueError as error:
            raise BadRequest(f"the task cannot be read: {error}") from None
        return _json(await app.state.verbs.demonstration(task))

    opening = _refusals(404, 409, 413, 422, 429, 502, 504)

    @app.post("/v1/sessions", status_code=201, response_model=Opened, responses=opening)
    async def open(request: OpenRequest) -> Response:
        """Open a session; the same id and task again answer the same."""
        return _opened(await app.state.sessions.open(request.task, request.session, request.owner))

    @app.get("/v1/sessions", response_model=list[SessionState], responses=_refusals())
    async def sessions() -> list[SessionState]:
        """Every session, with owner, age and lease."""
        states: list[SessionState] = app.state.sessions.states()
        return states

    @app.get("/v1/sessions/{session}", response_model=SessionState, responses=_refusals(404, 422))
    async def state(session: SessionPath) -> Response:
        """State and transcript of one session."""
        return _json(await app.state.sessions.state(session))

    stepping = _refusals(404, 409, 413, 422, 502, 504)

    @app.post("/v1/sessions/{session}/steps", response_model=StepResult, responses=stepping)
    async def step(session: SessionPath, request: StepRequest) -> Response:
        """Play one step; a taken index answers the same result again."""
        return _json(await app.state.verbs.step(session, request))

    @app.post("/v1/sessions/{session}/fork", status_code=201, response_model=Opened, responses=opening)
    async def fork(session: SessionPath, request: ForkRequest | None = None) -> Response:
        """A second live session at a step of this one."""
        request = request or ForkRequest()
        return _opened(await app.state.sessions.fork(session, request.index, request.session))

    @app.delete("/v1/sessions/{session}", status_code=204, responses=_refusals(422))
    async def close(session: SessionPath) -> Response:
        """Close a session; closing again is fine."""
        app.state.sessions.close(session)
        return Response(status_code=204)

    @app.get(
        "/v1/sessions/{session}/expert", response_model=Action | None, responses=_refusals(403, 404, 422, 502, 504)
    )
    async def expert(session: SessionPath) -> Response:
        """The expert's next action from this state."""
        return _json(await app.state.verbs.expert(session))

    @app.post("/v1/batch/sessions", response_model=BatchOpened, responses=_refusals(413, 422))
    async def opens(request: BatchOpen) -> Response:
        """Open many; each is answered or refused on its own."""
        return _json(await app.state.verbs.opens(request))

    @app.post("/v1/batch/steps", response_model=BatchStepped, responses=_refusals(413, 422))
    async def steps(request: BatchSteps) -> Response:
        """Step many; each is answered or refused on its own."""
        return _json(await app.state.verbs.steps(request))


class Unserved(RuntimeError):
    """Raised where the server cannot begin; one sentence."""


def serve(config: ServerConfig) -> None:
    """Serve until SIGTERM or SIGINT; no worker outlives this.

    Prints the URL once it listens, and writes it to `port_file`. Raises NoSuchPlugin for an environment or a mount that
    is not there, what a mount raises, BadLedger, Unserved where the address is taken or the file cannot be written.
    """
    mounts = Mounts(config.mounted(), config.token.get_secret_value() if config.token else None)
    try:
        _listen(config, create_app(config, mounts))
    finally:
        mounts.close()


def _listen(config: ServerConfig, app: FastAPI) -> None:
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        loop="uvloop",
        http="httptools",
        ws=WEBSOCKET,
        ws_max_size=config.frame_limit_bytes,
        # A learner may hold its event loop for a while; that is no reason to hang up.
        ws_ping_interval=30.0,
        ws_ping_timeout=300.0,
        ws_per_message_deflate=False,
        access_log=False,
        log_level=config.log_level,
        backlog=4096,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listener = socket.create_server((config.host, config.port), family=family, backlog=settings.backlog)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise Unserved(f"nothing is served at {config.host}:{config.port}: {why}; choose --host and --port") from None
    part = config.port_file and config.port_file.with_name(config.port_file.name + ".part")
    try:
        if part is not None:
            part.touch()
    except OSError as error:
        raise Unserved(f"the port file '{config.port_file}' cannot be written: {error.strerror}") from None
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    class Announced(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            # What is there now stays, and what a step makes goes by its count of references: without this the
            # collector takes a tenth of the time of a step of a trivial world.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            if part is not None and config.port_file is not None:
                part.write_text(url + "\n", encoding="utf-8")
                part.replace(config.port_file)
            print(f"envserver: serving at {url}", flush=True)

    server = Announced(settings)
    server.run(sockets=[listener])
    if not server.started:
        raise Unserved("the server ended before it served anything; the lines above say why")


def _options(text: str) -> dict[str, JsonValue]:
    """The options in a query. Raises BadRequest."""
    try:
        read = from_json(text, allow_inf_nan=False)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise BadRequest('options is a JSON object, such as {"size": 3}')
    return read


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _opened(body: bytes) -> Response:
    # An id needs no escape in JSON; a proxy before several servers learns from the header where the session is.
    id = body[len(b'{"session":"') : body.index(b'"', len(b'{"session":"'))]
    return Response(body, 201, {"X-Session": id.decode()}, "application/json")


async def _on_gym_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, GymError)
    return refusal(error)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return refusal(BadRequest(f"the body is not JSON: {first['ctx']['error']}"))
    if isinstance(first.get("input"), bytes):
        return refusal(BadRequest("the body is not said to be JSON; send it with 'Content-Type: application/json'"))
    return refusal(BadRequest(described(error.errors())))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path[:200]}"
    details = {404: f"there is no {asked}; see /docs", 405: f"{asked} is not allowed; see /docs"}
    status = 422 if error.status_code == 400 else error.status_code
    response = refusal(BadRequest(details.get(status, str(error.detail))), status)
    response.headers.update(error.headers or {})
    return response


async def _on_bug(_: Request, __: Exception) -> Response:
    return refusal(GymError("the server failed; its log says more"))

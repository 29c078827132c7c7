"""`trainer serve-and-learn`: a policy behind an OpenAI-compatible API that learns from its users when nobody asks.

MetaClaw (arXiv 2603.17187). Who is served has a copy of what learns: the weights of one version, replaced between two
requests, while the next version is made. What does not learn, such as the base under adapters, is there once.

Rule: a server goes on where the last one of its name ended, however that was. It begins with a checkpoint, so that what
is served is always on disk.
"""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI

from agents.chat import Chat
from agents.contexts.recall import RecallConfig
from agents.library import Library
from envserver.catalogue import env_name
from trainers.algorithms.base import Algorithm
from trainers.config import RunConfig
from trainers.display import Display
from trainers.engines.choose import engine_for
from trainers.metrics import MetricsLog
from trainers.models import context_tokens, load_model
from trainers.parts import beginning, built_model, skills_of
from trainers.player import Player
from trainers.plugged import BadConfig, build
from trainers.query import QueryData
from trainers.remember import Memory
from trainers.run import Checkpoint, Run
from trainers.serving.app import create_app
from trainers.serving.books import Books
from trainers.serving.desk import Desk
from trainers.serving.journal import Journal
from trainers.serving.judge import Judge
from trainers.serving.pupil import Pupil
from trainers.serving.scheduler import Scheduler
from trainers.serving.sessions import Sessions
from trainers.serving.window import Clock, SystemClock, Window
from trainers.tasks import TaskPool, fetch_keys
from trainers.worlds import worlds

__all__ = ["Served", "assembled", "serve_and_learn"]


@dataclass(frozen=True, slots=True)
class Served:
    """A policy that can be served, and its scheduler."""

    app: FastAPI
    desk: Desk
    scheduler: Scheduler
    window: Window
    chat: Chat


async def serve_and_learn(
    config: RunConfig, *, host: str, port: int, port_file: Path | None = None, display: Display | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. Raises BadConfig, StoreError, ValueError, OSError where it cannot begin."""
    with display or Display(quiet=True) as shown, _listening(host, port) as listener:
        async with assembled(config, display=shown) as served:
            settings = uvicorn.Config(
                served.app, access_log=False, log_level="warning", server_header=False, timeout_graceful_shutdown=3
            )
            url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/v1"

            def begun() -> None:
                if port_file is not None:
                    part = port_file.with_name(port_file.name + ".part")
                    part.write_text(url + "\n", encoding="utf-8")
                    part.replace(port_file)
                print(f"trainer: serving '{config.name}' at {url}", flush=True)

            learning = asyncio.create_task(served.scheduler.go_on())
            try:
                await _Server(settings, begun).serve([listener])
            finally:
                learning.cancel()
                await asyncio.gather(learning, return_exceptions=True)


@asynccontextmanager
async def assembled(config: RunConfig, *, display: Display, clock: Clock | None = None) -> AsyncIterator[Served]:
    """All of it, open; nobody learns before the scheduler is asked to. Raises BadConfig, StoreError, ValueError."""
    run, clock = Run(config.directory), clock or SystemClock()
    checkpoint = beginning(run, config, resume=True)
    books = _books(run, checkpoint)
    torch.manual_seed(config.seed)
    path = checkpoint.model if checkpoint is not None else config.model.path
    found = load_model(config.model.model_copy(update={"path": path})) if path else None
    async with AsyncExitStack() as stack:
        memory = Memory(config.store, tell=display.alarm)
        stack.push_async_callback(memory.close)
        run.make()
        journal = Journal(run.directory / "waiting")
        for trained in books.get("trained", ()):
            journal.forget(trained)
        model, tokenizer = found or await _built(config, run, display)
        memory.begin(config.name, config.model_dump(mode="json"), run=books.get("memory_run"))
        run.create(config)
        run.memory_run.write_text(memory.run)
        chat = Chat(tokenizer)
        # What does not learn is shared.
        kept = {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad}
        shown = copy.deepcopy(model, kept)
        engine = engine_for(config, shown, chat)
        stack.push_async_callback(engine.close)
        env = env_name(config.env.name)
        algorithm = _algorithm(config, env)
        learner = Pupil(
            model,
            config.learner,
            device=config.model.device,
            reference="reference" in algorithm.keeps,
            tokenizer=tokenizer,
        )
        library = Library(memory.store, env, tokens=chat.count)
        data = QueryData(library, config.skills.reading)
        state = Books(run.directory / "serving.json", data)
        log = MetricsLog(run.metrics, last_step=books.get("step"))
        stack.callback(log.close)
        window = Window(config.serving.window, clock)
        sessions = Sessions(config.serving, journal, env, clock)
        scheduler = Scheduler(
            config,
            run=run,
            sessions=sessions,
            window=window,
            journal=journal,
            memory=memory,
            learner=learner,
            engine=engine,
            algorithm=algorithm,
            data=data,
            books=state,
            skills=skills_of(config, memory.store, data, Player(config, chat, engine, library), display),
            log=log,
            display=display,
            updates=books.get("step", 0),
        )
        if checkpoint is None:
            scheduler.checkpoint(0)
        else:
            learner.load(checkpoint.path)
            display.say(f"going on after update {scheduler.updates}")
        await engine.load(learner.weights(), learner.version)
        state.read()
        judge = Judge(config.serving.judge) if config.serving.judge.url else None
        longest = context_tokens(model)
        desk = Desk(
            config.serving,
            model=config.name,
            chat=chat,
            sampler=engine,
            context_tokens=min(config.engine.context_tokens or longest, longest),
            longest_chars=max(map(len, tokenizer.get_vocab())),
            sessions=sessions,
            window=window,
            library=library,
            context=config.context if isinstance(config.context, RecallConfig) else None,
            judge=judge,
            tell=display.alarm,
        )
        stack.push_async_callback(desk.close)
        desk.read()

        def learning() -> dict[str, Any]:
            told = {"said": dict(judge.counts), "error": judge.error or None} if judge is not None else None
            return scheduler.state() | {"judge": told}

        token = config.serving.token or os.environ.get("TRAINER_TOKEN") or None
        yield Served(create_app(desk, token=token, learning=learning), desk, scheduler, window, chat)


class _Server(uvicorn.Server):
    """One that leaves the loop whole when it is told to end, so that everybody else can end after it."""

    def __init__(self, settings: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(settings)
        self._on_start = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The address, taken before anything heavy is done. Raises BadConfig."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise BadConfig(f"nothing can be served at {host}:{port}: {error}; choose --host and --port") from error
    with listener:
        yield listener


def _books(run: Run, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """What a server's checkpoint says beside the weights. Raises BadConfig for one that `trainer train` wrote."""
    if checkpoint is None:
        return {}
    found = checkpoint.state()
    if "trained" not in found:
        raise BadConfig(
            f"'{run.directory}' holds a run of `trainer train`; to serve what it learned, give another name=... and "
            f"model.path={checkpoint.model}"
        )
    return found


async def _built(config: RunConfig, run: Run, display: Display) -> tuple[torch.nn.Module, Any]:
    """A policy from nothing, whose tokenizer has read what the config's worlds say."""
    env = config.env
    async with worlds(env, log=run.directory / "server.log") as gym:
        name = env_name(env.name)
        keys = await fetch_keys(gym, name, env.split, limit=env.tasks, options=env.options)
        return await built_model(config, run, gym, TaskPool(name, keys, seed=config.seed, options=env.options), display)


def _algorithm(config: RunConfig, env: str) -> Algorithm:
    """The loss to learn by. Raises BadConfig for one that cannot take a turn's advantage as it is given."""
    algorithm: Algorithm = build("trainers.algorithms", "Algorithm", config.algorithm, TaskPool(env, ["sessions"]))
    if algorithm.raw_credit or algorithm.needs_critic:
        raise BadConfig(
            f"algorithm.name = '{algorithm.config.name}' makes advantages of its own, but a served policy's turns are "
            "credited by their rewards over the batch; choose another, such as cispo"
        )
    return algorithm

"""Where worlds live: the contract of a home, and the worlds of one process.

A home opens worlds and plays them; it never retries, never remembers and never restores: sessions do. Results travel as
the JSON bytes of StepResult, encoded once beside the world, with the flags a session needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple, NoReturn

import orjson
from pydantic import JsonValue
from pydantic_core import to_json

from envserver.catalogue import BadOption, configured
from envserver.core import Briefing, Env, EnvConfig
from envserver.errors import UnknownTask, WorldFailed
from envserver.schema import Action, Demonstration, Observation, StepResult, Task, TaskPage

__all__ = ["Home", "Result", "Served", "World", "WorldLost", "Worlds", "briefed", "played"]

MAX_LISTINGS = 64
"""Task listings a process remembers."""

result_json: Callable[[StepResult], bytes] = StepResult.__pydantic_serializer__.to_json
PLAIN = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""What is not a plain value is refused."""


class Result(NamedTuple):
    """A StepResult, encoded, and the flags a session looks at."""

    body: bytes
    over: bool
    truncated: bool


# The class's own constructor goes through Python.
_made: Callable[[type[Result], tuple[bytes, bool, bool]], Result] = tuple.__new__


class WorldLost(Exception):
    """Raised when a world went away with its worker; `culprit` where its own call was being played just then."""

    def __init__(self, reason: str, *, culprit: bool = False) -> None:
        super().__init__(reason)
        self.culprit = culprit


class World(ABC):
    """One live episode."""

    __slots__ = ()

    told: bytes
    """The episode's own instructions and tools, as `briefed` writes them; empty where they are the environment's."""

    @property
    @abstractmethod
    def lost(self) -> bool:
        """True once the world is gone and has to be rebuilt."""

    @abstractmethod
    async def step(self, action: bytes) -> Result:
        """Play one action, as JSON. Raises WorldFailed, WorldSilent or WorldLost."""

    @abstractmethod
    async def copy(self) -> World | None:
        """A second world in the same state; None where the environment has no copy."""

    @abstractmethod
    async def expert(self) -> bytes:
        """The expert's next action as JSON, or `null`."""

    @abstractmethod
    def close(self) -> None:
        """Let the world go; returns at once and is safe to call twice."""


class Home(ABC):
    """A place that can open worlds."""

    @abstractmethod
    async def open(self, task: Task) -> tuple[World, Result]:
        """A world at its first state. Raises UnknownTask, WorldFailed, WorldSilent or WorldLost."""

    @abstractmethod
    async def tasks(self, env: str, split: str, offset: int, limit: int, options: Mapping[str, JsonValue]) -> bytes:
        """A TaskPage as JSON. Raises UnknownTask for a split or an option that is not there."""

    @abstractmethod
    async def demonstration(self, task: Task) -> bytes:
        """A Demonstration as JSON."""


class Served(NamedTuple):
    """An environment as it is served."""

    kind: type[Env]
    options: Mapping[str, JsonValue]
    """The server's settings of it; a Task's options go on top."""

    def config(self, options: Mapping[str, JsonValue]) -> EnvConfig:
        """What a client's options make of it. Raises BadOption for one that is not there or is the server's own."""
        for name in self.kind.Config.servers_own:
            if name in options and options[name] != self.options.get(name):
                raise BadOption(f"option '{name}' is the server's own; start the server with it")
        return configured(self.kind, {**self.options, **options})


class Worlds:
    """The live worlds of one process, by number. Whatever a world raises becomes a GymError."""

    def __init__(self, envs: Mapping[str, Served], max_steps: int) -> None:
        self.envs = envs
        self.max_steps = max_steps
        self._worlds: dict[int, Env] = {}
        self._tasks: dict[tuple[str, str, bytes], Sequence[str]] = {}
        """The listings asked for last, by environment, split and options."""

    def open(self, world: int, task: Task) -> Result:
        """Begin `task` as number `world`."""
        env, result = self._begin(task)
        try:
            encoded = _encode(env, result)
        except WorldFailed:
            self._let_go(env)
            raise
        self._worlds[world] = env
        return encoded

    def step(self, world: int, action: Action) -> Result:
        """Play one action."""
        return played(self._worlds[world], action)

    def told(self, world: int) -> bytes:
        """The own briefing of number `world`; empty where it has none."""
        env = self._worlds[world]
        try:
            briefing = env.briefing()
            return b"" if briefing is None else briefed(briefing)
        except (Exception, SystemExit) as error:
            _failed(env, "briefing", error)

    def env(self, world: int) -> Env:
        """The environment behind number `world`."""
        return self._worlds[world]

    def copy(self, world: int, to: int) -> bool:
        """Copy number `world` as number `to`; False where the environment has no copy."""
        env = self._worlds[world]
        try:
            self._worlds[to] = env.copy()
        except NotImplementedError:
            return False
        except (Exception, SystemExit) as error:
            _failed(env, "copy", error)
        return True

    def expert(self, world: int) -> Action | None:
        """The expert's next action."""
        env = self._worlds[world]
        try:
            return env.expert()
        except (Exception, SystemExit) as error:
            _failed(env, "expert", error)

    def close(self, world: int) -> None:
        """Let number `world` go; unknown numbers are fine."""
        env = self._worlds.pop(world, None)
        if env is not None:
            self._let_go(env)

    def close_all(self) -> None:
        """Let every world go."""
        for world in list(self._worlds):
            self.close(world)

    def tasks(self, env: str, split: str, offset: int, limit: int, options: Mapping[str, JsonValue]) -> TaskPage:
        """A page of the keys of a split."""
        served = self.envs[env]
        listing = (env, split, to_json(dict(sorted(options.items()))))
        keys = self._tasks.get(listing)
        if keys is None:
            try:
                keys = served.kind.tasks(served.config(options), split)
            except BadOption as error:
                raise UnknownTask(f"'{env}' lists no tasks: {error}") from None
            except KeyError:
                splits = ", ".join(served.kind.splits)
                raise UnknownTask(f"'{env}' has no split '{split}'; there are: {splits}") from None
            except (Exception, SystemExit) as error:
                raise WorldFailed(f"'{env}' failed to list its tasks: {type(error).__name__}: {error}") from error
            if len(self._tasks) >= MAX_LISTINGS:
                del self._tasks[next(iter(self._tasks))]
            self._tasks[listing] = keys
        stop = min(len(keys), offset + limit)
        page = [keys[position] for position in range(offset, stop)]
        return TaskPage(env=env, split=split, total=len(keys), offset=offset, keys=page)

    def demonstration(self, task: Task) -> Demonstration:
        """Play `task` as its expert does."""
        env, result = self._begin(task)
        actions: list[Action] = []
        try:
            while not result.over and len(actions) < self.max_steps and (action := env.expert()) is not None:
                actions.append(action)
                result = env.step(action)
        except (Exception, SystemExit) as error:
            _failed(env, "demonstration", error)
        finally:
            self._let_go(env)
        return Demonstration(task=task, actions=actions, success=result.success is True)

    def _begin(self, task: Task) -> tuple[Env, StepResult]:
        served = self.envs[task.env]
        try:
            config = served.config(task.options)
        except BadOption as error:
            raise UnknownTask(f"'{task.env}' refuses the task's options: {error}") from None
        env: Env | None = None
        try:
            env = served.kind(config)
            return env, env.reset(task)
        except KeyError as error:
            self._let_go(env)
            detail = error.args[0] if error.args and isinstance(error.args[0], str) else ""
            hint = f": {detail}" if detail and detail != task.key else ""
            raise UnknownTask(f"'{task.env}' has no task '{task.key}'{hint}; see its tasks route") from None
        except (Exception, SystemExit) as error:
            self._let_go(env)
            raise WorldFailed(f"'{task.env}' failed to begin '{task.key}': {type(error).__name__}: {error}") from error

    @staticmethod
    def _let_go(env: Env | None) -> None:
        try:
            if env is not None:
                env.close()
        except (Exception, SystemExit) as error:
            print(f"envserver: {type(env).__name__}.close raised {type(error).__name__}: {error}", flush=True)


def briefed(briefing: Briefing) -> bytes:
    """Two fields of Opened, as JSON without braces."""
    return b'"instructions":%b,"tools":%b' % (to_json(briefing.instructions), to_json(list(briefing.tools)))


def played(env: Env, action: Action) -> Result:
    """One step, encoded. Raises WorldFailed for whatever the world raises."""
    try:
        result = env.step(action)
    except (Exception, SystemExit) as error:
        _failed(env, "step", error)
    return _encode(env, result)


def _encode(env: Env, result: StepResult) -> Result:
    try:
        if not isfinite(result.reward):
            raise ValueError(f"reward {result.reward} is not finite")
        truncated = result.truncated
        return _made(Result, (_json(result), truncated or result.terminated, truncated))
    except Exception as error:
        _failed(env, "result", error)


def _json(result: StepResult) -> bytes:
    """StepResult's own JSON; by way of orjson, in a third of the time, where it holds nothing but plain values."""
    seen = result.observation
    if type(result) is StepResult and type(seen) is Observation:
        try:
            return orjson.dumps({**result.__dict__, "observation": seen.__dict__}, None, PLAIN)
        except orjson.JSONEncodeError:
            pass
    return result_json(result)


def _failed(env: Env, where: str, error: BaseException) -> NoReturn:
    raise WorldFailed(f"{type(env).__name__}.{where} raised {type(error).__name__}: {error}") from error

"""AgentGym's wire, for each environment below its own path: `/agentgym/{env}` is what its clients take for a base URL.

AgentGym (arXiv 2406.04151) has two families of clients. The first (ALFWorld, TextCraft, BabyAI, ScienceWorld) names its
episode `id` and is answered objects; the other (SQLGym, WebShop, SearchQA, the tools) names it `env_idx`. Their calls
tell them apart but for a bare `create`: that one is the first family's, save for `sql` and below `/agentgym/{env}/idx`.

`create` gives out a number; the session is opened by `reset`, which takes the index of a task, and closes the last one.
Where AgentGym answers an error with status 200 and its clients die of a missing key, here it has its own status, which
they do look at: `{"error": ...}`.
"""

from __future__ import annotations

import contextlib
import random
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from envserver.errors import BadRequest, GymError, GymFull, UnknownSession
from envserver.protocols._http import Refused, answer, body, json_response, said
from envserver.protocols.base import Choice, Episode, Host, Message, Protocol, Receive, Send
from envserver.schema import MAX_TEXT_CHARS, Task

__all__ = ["AgentGym"]

PREFIX = "agentgym-"
"""A session's id is this and the number that its client knows."""
NUMBERED = frozenset(("sql",))
"""Environments whose AgentGym client is of the other family and says nothing when it creates."""
Number = Annotated[int, Field(ge=0, lt=1 << 53)]
Place = Annotated[int, Field(ge=0, lt=1 << 53, strict=True)] | None


class Asked(BaseModel):
    """What names an episode in either family's bodies; keys that are not known are ignored, as AgentGym does."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    id: Number | None = None
    env_idx: Number | None = None

    @property
    def number(self) -> int:
        """The episode's number. Raises BadRequest."""
        number = self.id if self.env_idx is None else self.env_idx
        if number is None:
            raise BadRequest("no episode: send the id (or the env_idx) that /create answered")
        return number


class Step(Asked):
    """Body of a step."""

    action: Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
    """The bare command; in a world of tools a call in one line, such as `look 3`, or the call as JSON."""


class Reset(Asked, Choice):
    """Body of a reset: the index by whatever name, or a Choice's own words."""

    game: Place = None
    data_idx: Place = None
    item_id: Place = None
    session_id: Place = None
    world_type: str = "Text"

    @property
    def choice(self) -> Choice:
        """Which task is asked for."""
        names = [self.game, self.data_idx, self.item_id, self.session_id]
        if self.env_idx is not None:
            names.append(self.id)
        index = next((index for index in names if index is not None), self.index)
        return Choice(key=self.key, split=self.split, index=index, seed=self.seed, options=self.options)


class Create(Choice):
    """Body of a creation: TextCraft's client has one that opens the episode at once, the tools' has an `id`."""

    id: Any = None
    minecraft_dir: str | None = None
    commands: str | None = None
    goal: str | None = None


class AgentGym(Protocol):
    """AgentGym: what the clients of `agentenv.envs` speak."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.scores: dict[str, tuple[int, float]] = {}
        """Session -> the sum of its rewards after so many steps; what is missing is summed again."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer(self._handle, _refusal, scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope["root_path"]).strip("/")
        env, _, route = path.partition("/")
        numbered = env in NUMBERED
        if route == "idx" or route.startswith("idx/"):
            numbered, route = True, route[4:]
        match request.method, route:
            case "POST", "step":
                return json_response(await self._step(env, Step.model_validate(await body(request))))
            case "POST", "reset":
                return json_response(await self._reset(env, Reset.model_validate(await body(request))))
            case "POST", "create":
                return json_response(await self._create(env, await body(request), numbered))
            case "POST", "close":
                return json_response(await self._close(env, Asked.model_validate(await body(request)).number))
            case "GET", "observation" | "available_actions" | "detail":
                asked = Asked.model_validate(dict(request.query_params))
                episode = self._episode(env, asked.number)
                await episode.opened()
                seen = self._seen(episode, asked.number)
                return json_response(seen if route == "detail" else seen[route])
            case "GET", "list_envs":
                return json_response(self._numbers(env))
            case "GET", "":
                return json_response(f"This is environment {(await self.host.card(env)).env}.")
        known = "create, step, reset, close, observation, available_actions, detail, list_envs"
        raise Refused(404, f"AgentGym has no {request.method} /{route[:64]} here; it has: {known}")

    async def _create(self, env: str, asked: dict[str, Any], numbered: bool) -> dict[str, Any] | int:
        """A number; for TextCraft's client, which begins to play, a session as well."""
        create = Create.model_validate(asked)
        await self.host.card(env)
        most = self.host.config.max_sessions
        if len(self.host.sessions) >= most:
            raise GymFull(f"all {most} sessions are taken; close some or ask again", retry_after_s=1.0)
        number = random.randrange(1 << 53)
        if numbered or "id" in asked:
            return number
        if create.minecraft_dir is None:
            return {"id": number}
        if create.commands is not None or create.goal is not None:
            raise BadRequest(f"the tasks of '{env}' are its own; leave commands and goal null, and reset to an index")
        seen = await self._open(number, await self.host.task(env, create))
        return {key: seen[key] for key in ("id", "observation", "done", "reward")}

    async def _reset(self, env: str, asked: Reset) -> dict[str, Any] | list[Any] | str:
        if asked.world_type != "Text":
            raise BadRequest(f"world_type is Text here, not {asked.world_type[:64]!r}")
        number = asked.number
        seen = await self._open(number, await self.host.task(env, asked.choice))
        if asked.env_idx is None:
            return seen
        # SearchQA's client and the tools' say `id` and are told the text; SQLGym's and WebShop's get a pair.
        text: str = seen["observation"]
        return [text, None] if asked.id is None else text

    async def _open(self, number: int, task: Task) -> dict[str, Any]:
        """The session of a number, at the first state of this task; the one it had is closed."""
        id = f"{PREFIX}{number}"
        with contextlib.suppress(UnknownSession):
            held = self.host.sessions.session(id)
            if held.task.env != task.env:
                raise BadRequest(f"{number} plays '{held.task.env}'; create one of '{task.env}'")
            if held.task != task or held.actions:
                # One that is being opened for a reset before this one ends first.
                with contextlib.suppress(GymError):
                    await self.host.sessions.opened(id)
                self.host.sessions.close(id)
        self.scores.pop(id, None)
        episode, opened = await self.host.open(task, id=id, owner="agentgym")
        return self._seen(episode, number) | {"task_type": task.key, "task_description": opened.instructions}

    async def _step(self, env: str, asked: Step) -> dict[str, Any]:
        number = asked.number
        episode = self._episode(env, number)
        await episode.step(said(asked.action, episode.tools()))
        seen = self._seen(episode, number)
        if asked.env_idx is None:
            del seen["id"]
            return seen
        text = seen["observation"]
        return {"state": text, "observation": text, "reward": seen["reward"], "done": seen["done"], "info": None}

    async def _close(self, env: str, number: int) -> bool:
        """Whether there was one."""
        try:
            episode = self._episode(env, number)
        except UnknownSession:
            return False
        episode.close()
        self.scores.pop(episode.id, None)
        return True

    def _episode(self, env: str, number: int) -> Episode:
        try:
            return self.host.episode(f"{PREFIX}{number}", env)
        except UnknownSession:
            detail = f"the id {number} is not valid: nothing was reset there, or it is closed, or its lease ran out"
            raise UnknownSession(detail) from None

    def _seen(self, episode: Episode, number: int) -> dict[str, Any]:
        """Where an episode is, in the first family's words."""
        last = from_json(episode.last())
        return {
            "id": number,
            "observation": last["observation"]["text"],
            "reward": last["reward"],
            "score": self._score(episode.id),
            "done": last["terminated"] or last["truncated"],
            "available_actions": last["observation"]["choices"],
        }

    def _score(self, id: str) -> float:
        results = self.host.sessions.session(id).results
        count, total = self.scores.pop(id, (0, 0.0))
        for result in results[count:]:
            total += from_json(result)["reward"]
        self.scores[id] = len(results), total
        while len(self.scores) > self.host.config.max_sessions:
            self.scores.pop(next(iter(self.scores)))
        return total

    def _numbers(self, env: str) -> list[int]:
        states = self.host.sessions.states()
        ids = [state.session for state in states if state.task.env == env and state.session.startswith(PREFIX)]
        return [int(id.removeprefix(PREFIX)) for id in ids if id.removeprefix(PREFIX).isdecimal()]


def _refusal(error: GymError) -> Response:
    # 503 is what makes SQLGym's and WebShop's clients ask again.
    status = 503 if isinstance(error, GymFull) else error.status
    return json_response({"error": error.detail, "kind": type(error).__name__}, status)

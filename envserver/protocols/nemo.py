"""NeMo Gym's wire, an environment a path: `/nemo/{env}` is what its agents take for a resources server.

Both of its kinds of servers are here. To `simple_agent` it is tools: `/seed_session` opens a session, each tool is a
route, `/verify` answers the sum of the rewards and closes. To `gymnasium_agent` it is an environment: `/reset`, `/step`
with the model's response, `/close`. The session is a cookie, sent anew with every answer, since agents keep the last
answer's cookies alone; the row that seeds it names the task (`key`, or `split` and `index`, or `seed`; `options`), at
its top or in its `verifier_metadata`.

What NeMo Gym's servers do not do: a session ends with its lease, is closed twice without an error, and a repeated seed
(`resources_session_id`), step (`_ng_step_request_id`) or `/verify` is answered what the first was. A session that was
lost or failed is no reward of 0 but `mask_sample`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import uuid
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from envserver.errors import BadRequest, EpisodeOver, GymError, OutOfTurn, UnknownSession
from envserver.protocols._http import Refused, answer, body, json_response, said
from envserver.protocols._mcp.bound import instructions
from envserver.protocols._mcp.rpc import Refusal
from envserver.protocols._mcp.tools import called
from envserver.protocols._nemo import AGGREGATED, aggregated
from envserver.protocols.base import Choice, Episode, Host, Message, Protocol, Receive, Send
from envserver.schema import StepResult

__all__ = ["NemoGym"]

COOKIE = "nemo_session"
MOST_KEPT = 10_000
"""Verdicts, answers and ends that are remembered for who asks again; the oldest go first."""
PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
FAILED = frozenset(("env_error", "infra_error", "timeout", "cancelled"))
CLAIMS = {"supports_explicit_close": True, "supports_step_idempotency": True}
"""What a reset's info promises."""

Id = Annotated[str, Field(min_length=1, max_length=1024)] | None


class Named(BaseModel):
    """What may name the session in a body, beside the cookie; other keys are the row's."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    resources_session_id: Id = None
    ng_session_id: Id = Field(default=None, alias="_ng_session_id")

    @property
    def session(self) -> str | None:
        """Our id of it."""
        name = self.resources_session_id or self.ng_session_id
        if name is None:
            return None
        plain = PLAIN.fullmatch(name)
        return f"nemo-{name if plain else hashlib.sha256(name.encode()).hexdigest()}"


class Row(Named):
    """A row of a data set, which seeds a session."""

    verifier_metadata: dict[str, JsonValue] | None = None
    task_data: dict[str, JsonValue] | None = None

    @property
    def choice(self) -> Choice:
        """The task it names. Raises ValidationError."""
        said = {**(self.verifier_metadata or {}), **(self.task_data or {}), **(self.model_extra or {})}
        return Choice.model_validate({name: said[name] for name in Choice.model_fields if said.get(name) is not None})


class Item(BaseModel):
    """One item of a response's output, as far as it is an action."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str = ""
    content: list[dict[str, Any]] | str | None = None
    name: str = ""
    arguments: str = ""
    call_id: str = ""

    def text(self) -> str:
        """A message's text; empty for anything else."""
        if self.type != "message" or self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(part.get("text", "")) for part in self.content if part.get("type") == "output_text")


class Answered(BaseModel):
    """The model's response: an OpenAI Responses object."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    output: list[Item]


class Stepping(BaseModel):
    """Body of a step."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    response: Answered
    request_id: Annotated[str, Field(max_length=1024)] | None = Field(default=None, alias="_ng_step_request_id")


class NemoGym(Protocol):
    """NeMo Gym 0.4: what its `simple_agent` and `gymnasium_agent` speak."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.ended: dict[str, None] = {}
        """Sessions that were closed by their client or at their end."""
        self.steps: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}
        """Session and request -> the step that is played for it."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer(self._handle, _refusal, scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope["root_path"]).strip("/")
        env, _, route = path.partition("/")
        if (request.method, route) == ("GET", "reverify_mode"):
            await self.host.card(env)
            return json_response("unsupported")
        if request.method != "POST" or not route or "/" in route:
            raise Refused(404, f"NeMo Gym has no {request.method} /{route[:64]} here")
        asked = await body(request)
        if route == "aggregate_metrics":
            return json_response(aggregated(AGGREGATED.validate_python(asked)))
        held = request.cookies.get(COOKIE)
        match route:
            case "seed_session" | "reset":
                held, told = await self._open(env, route, Row.model_validate(asked), held)
            case "close" | "close_session":
                told = self._close(env, Named.model_validate(asked), held)
            case "verify":
                told = asked | self._verify(env, _given(held))
            case "step":
                told = await self._step(env, _given(held), Stepping.model_validate(asked))
            case tool:
                told = await self._call(env, _given(held), tool, asked)
        response = json_response(told)
        if held is not None:
            # With another path than the root, aiohttp does not send it back to an address that is a number.
            response.set_cookie(COOKIE, held, httponly=True, samesite="lax")
        return response

    async def _open(self, env: str, route: str, row: Row, held: str | None) -> tuple[str, dict[str, Any]]:
        """A session for a row; the one that the cookie had is closed."""
        id = row.session or f"nemo-{uuid.uuid4().hex}"
        if id in self.ended:
            raise OutOfTurn("this session was closed; seed another")
        episode, opened = await self.host.open(await self.host.task(env, row.choice), id=id, owner="nemo")
        if held is not None and held != id:
            with contextlib.suppress(GymError):
                self._end(self.host.episode(held, env).id)
        if row.resources_session_id is not None:
            return id, {"resources_session_id": row.resources_session_id}
        if route == "seed_session":
            return id, {"observation": opened.result.observation.text}
        return episode.id, {"observation": instructions(opened), "info": CLAIMS}

    def _close(self, env: str, named: Named, held: str | None) -> dict[str, Any]:
        id = named.session or _given(held)
        try:
            self.host.episode(id, env)
            outcome = "closed"
        except UnknownSession:
            outcome = "already_closed"
        self._end(id)
        if named.resources_session_id is not None:
            return {"resources_session_id": named.resources_session_id}
        return {"outcome": outcome}

    def _end(self, id: str) -> None:
        self.host.sessions.close(id)
        _keep(self.ended, id, None)

    def _verify(self, env: str, id: str) -> dict[str, Any]:
        """What a session was worth; it is closed."""
        verdict = self.verdicts.get(id)
        if verdict is None:
            try:
                self.host.episode(id, env)
                session = self.host.sessions.session(id)
            except UnknownSession:
                return _masked("lost_session", "the session is not there: its lease ran out, or its server is gone")
            results = [from_json(result) for result in session.results]
            last = results[-1] if results else {}
            if session.outcome in FAILED or not results:
                why = session.failure.detail if session.failure is not None else "the session failed"
                verdict = _masked(session.outcome or "opening", why)
            else:
                verdict = {
                    "reward": sum(result["reward"] for result in results),
                    "success": float(last["success"] is True),
                    "steps": float(len(session.actions)),
                    "terminated": last["terminated"],
                    "truncated": last["truncated"],
                    "mask_sample": False,
                }
            _keep(self.verdicts, id, verdict)
            self._end(id)
        return verdict

    async def _call(self, env: str, id: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """A tool's route: one step."""
        episode = self._episode(env, id)
        try:
            action = called({"name": tool, "arguments": arguments}, episode.tools())
        except Refusal as refusal:
            raise Refused(404, refusal.message) from None
        return _shown(await episode.step(action))

    async def _step(self, env: str, id: str, asked: Stepping) -> dict[str, Any]:
        """The answer to a model's response, played once for each request id."""
        if asked.request_id is None:
            return await self._play(env, id, asked.response)
        task = self.steps.get((id, asked.request_id))
        if task is None:
            task = asyncio.create_task(self._play(env, id, asked.response))
            # Read, so that an error whose asker has gone is not reported a second time.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            _keep(self.steps, (id, asked.request_id), task)
        return await asyncio.shield(task)

    async def _play(self, env: str, id: str, response: Answered) -> dict[str, Any]:
        """Every call of a response, each a step; without calls, its text, one step."""
        episode = self._episode(env, id)
        calls = [item for item in response.output if item.type == "function_call"]
        rewards, outputs, last = 0.0, [], None
        for call in calls:
            if last is not None and last.over:
                outputs.append({"call_id": call.call_id, "output": "the episode is over"})
                continue
            try:
                action = called({"name": call.name, "arguments": _arguments(call.arguments)}, episode.tools())
            except Refusal as refusal:
                outputs.append({"call_id": call.call_id, "output": refusal.message})
                continue
            last = await episode.step(action)
            rewards += last.reward
            outputs.append({"call_id": call.call_id, "output": _text(last)})
        if not calls:
            text = "".join(item.text() for item in response.output).strip()
            last = await episode.step(said(text, episode.tools()))
            rewards = last.reward
        if last is not None and last.over:
            self._end(id)
        return {
            "observation": None if calls or last is None else _text(last),
            "reward": rewards,
            "terminated": last is not None and last.terminated,
            "truncated": last is not None and last.truncated,
            "info": {
                **(last.info if last is not None else {}),
                "success": last.success if last is not None else None,
                **({"tool_outputs": outputs} if calls else {}),
            },
        }

    def _episode(self, env: str, id: str) -> Episode:
        try:
            return self.host.episode(id, env)
        except UnknownSession:
            if id in self.ended:
                raise EpisodeOver("the episode is over; reset for another") from None
            raise


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    while len(kept) > MOST_KEPT:
        kept.pop(next(iter(kept)))


def _given(held: str | None) -> str:
    if held is None:
        raise BadRequest(f"no session: seed one, or reset, and send its cookie {COOKIE}")
    return held


def _arguments(text: str) -> Any:
    try:
        return from_json(text or "{}", allow_inf_nan=False)
    except ValueError:
        return text


def _text(result: StepResult) -> str:
    """What a model is shown after a step."""
    seen = result.observation
    return seen.text + ("\nAccepted here:\n" + "\n".join(seen.choices) if seen.choices else "")


def _shown(result: StepResult) -> dict[str, Any]:
    """A tool's answer, which the model reads as it is; `done` is what `use_done_flag` looks for."""
    seen = result.observation
    return {"observation": seen.text, **({"choices": seen.choices} if seen.choices else {}), "done": result.over}


def _masked(kind: str, reason: str) -> dict[str, Any]:
    """A verdict that is none: NeMo Gym leaves the sample out."""
    return {"reward": 0.0, "mask_sample": True, "failure_kind": f"turnhalle:{kind}", "failure_reason": reason}


def _refusal(error: GymError) -> Response:
    return json_response({"detail": error.detail, "kind": type(error).__name__}, error.status)

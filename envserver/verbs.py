"""What HTTP and WebSocket share beyond the session table: batches, the expert's permission, an error's sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import ValidationError

from envserver.config import ServerConfig
from envserver.errors import BadRequest, Forbidden, GymError
from envserver.schema import BatchOpen, BatchSteps, StepRequest, Task
from envserver.session import logged
from envserver.sessions import Sessions

__all__ = ["Verbs", "described", "sentence"]


class Verbs:
    """The verbs that are more than one call of the session table."""

    def __init__(self, sessions: Sessions, config: ServerConfig) -> None:
        self.sessions = sessions
        self.config = config

    async def step(self, session: str, request: StepRequest) -> bytes:
        """Play one step to its end, whether or not the asker stays."""
        answer = self.sessions.step(session, request.index, logged(request.action))
        return answer if isinstance(answer, bytes) else await asyncio.shield(answer)

    async def opens(self, batch: BatchOpen) -> bytes:
        """Open many; each is answered or refused on its own."""
        self._fits(batch.requests)
        calls = [self.sessions.open(request.task, request.session, request.owner) for request in batch.requests]
        return _spliced(await asyncio.gather(*calls, return_exceptions=True))

    async def steps(self, batch: BatchSteps) -> bytes:
        """Step many; each is answered or refused on its own."""
        self._fits(batch.requests)
        answers: list[bytes | BaseException | None] = []
        under_way: dict[int, asyncio.Future[bytes]] = {}
        for place, request in enumerate(batch.requests):
            answer: bytes | GymError | None = None
            try:
                played = self.sessions.step(request.session, request.index, logged(request.action))
                if isinstance(played, bytes):
                    answer = played
                else:
                    under_way[place] = played
            except GymError as error:
                answer = error
            answers.append(answer)
        if under_way:
            await asyncio.wait(set(under_way.values()))
        for place, task in under_way.items():
            answers[place] = task.exception() or task.result()
        return _spliced(answers)

    async def expert(self, session: str) -> bytes:
        """The expert's next action. Raises Forbidden unless this is allowed."""
        self._allowed()
        return await self.sessions.expert(session)

    async def demonstration(self, task: Task) -> bytes:
        """The expert's whole game. Raises Forbidden unless this is allowed."""
        self._allowed()
        return await self.sessions.demonstration(task)

    def _fits(self, requests: Sequence[object]) -> None:
        if len(requests) > self.config.max_batch:
            raise BadRequest(
                f"a batch holds at most {self.config.max_batch} requests, this one {len(requests)}; split it"
            )

    def _allowed(self) -> None:
        if not self.config.expert:
            raise Forbidden("the expert is off; start the server with --expert")


def sentence(error: ValidationError) -> str:
    """The first thing that is wrong, in one sentence."""
    return described(error.errors(include_url=False, include_context=False, include_input=False))


def described(errors: Sequence[object]) -> str:
    """The same of pydantic's list of errors."""
    first = errors[0]
    assert isinstance(first, dict)
    where = ".".join(str(part) for part in first["loc"] if part != "body")[:200]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where or 'the body'}: {first['msg']}{more}"


def _spliced(answers: Sequence[bytes | BaseException | None]) -> bytes:
    shown = []
    for answer in answers:
        if isinstance(answer, bytes):
            shown.append(answer)
        elif isinstance(answer, GymError):
            shown.append(answer.problem().model_dump_json().encode())
        elif answer is not None:
            raise answer
    return b'{"answers":[%b]}' % b",".join(shown)

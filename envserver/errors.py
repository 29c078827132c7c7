"""What can go wrong between a player and a world, by name.

On the wire an error is `application/problem+json`; the client raises the same class, found in `KINDS` by its name and
never by importing a path that came over the wire. A policy's nonsense is no error: the world answers it.
"""

from __future__ import annotations

from envserver.schema import Problem

__all__ = [
    "KINDS",
    "BadRequest",
    "EpisodeOver",
    "Forbidden",
    "GymError",
    "GymFull",
    "GymUnreachable",
    "OutOfTurn",
    "Unauthorized",
    "UnknownEnv",
    "UnknownSession",
    "UnknownTask",
    "WorldFailed",
    "WorldSilent",
    "from_problem",
]


class GymError(Exception):
    """Base of every error of the gym; `detail` is one sentence that says what was wrong and what to do."""

    status = 500
    title = "the gym failed"

    def __init__(self, detail: str, *, session: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.session = session
        self.retry_after_s = retry_after_s

    def problem(self) -> Problem:
        """This error as it crosses the wire."""
        return Problem(
            type=type(self).__name__,
            title=self.title,
            status=self.status,
            detail=self.detail,
            session=self.session,
            retry_after_s=self.retry_after_s,
        )


class BadRequest(GymError, ValueError):
    """Raised when a request cannot be read: malformed JSON, a wrong type, an unknown key, too large a body."""

    status = 422
    title = "the request could not be read"


class Unauthorized(GymError, PermissionError):
    """Raised when the bearer token is missing or wrong."""

    status = 401
    title = "a bearer token is needed"


class Forbidden(GymError, PermissionError):
    """Raised when the server was not started with what the route needs, such as `--expert`."""

    status = 403
    title = "this server does not allow it"


class UnknownEnv(GymError, LookupError):
    """Raised when no environment has this name, or its extra is not installed."""

    status = 404
    title = "no such environment"


class UnknownTask(GymError, LookupError):
    """Raised when the environment has no such split or key, or refuses the options."""

    status = 404
    title = "no such task"


class UnknownSession(GymError, LookupError):
    """Raised when a session never was, was closed, or its lease ran out."""

    status = 404
    title = "no such session"


class OutOfTurn(GymError):
    """Raised when a step's index is ahead of the session, or repeats a taken index with another action."""

    status = 409
    title = "this step is out of turn"


class EpisodeOver(GymError):
    """Raised when a step comes after the end of the episode."""

    status = 409
    title = "the episode is over"


class GymFull(GymError):
    """Raised when every session is taken; `retry_after_s` says when to ask again."""

    status = 429
    title = "the gym is full"


class WorldFailed(GymError, RuntimeError):
    """Raised when a world's own code raised, or its worker died and the world cannot be rebuilt."""

    status = 502
    title = "the world failed"


class WorldSilent(GymError, TimeoutError):
    """Raised when a world did not answer before its deadline; the session is over."""

    status = 504
    title = "the world did not answer"


class GymUnreachable(GymError, ConnectionError):
    """Raised by the client alone: no server answers, after every retry."""

    status = 503
    title = "the gym cannot be reached"


KINDS: dict[str, type[GymError]] = {
    kind.__name__: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        UnknownEnv,
        UnknownTask,
        UnknownSession,
        OutOfTurn,
        EpisodeOver,
        GymFull,
        WorldFailed,
        WorldSilent,
        GymUnreachable,
    )
}
"""Every kind that may cross the wire, by name."""


def from_problem(problem: Problem) -> GymError:
    """The error a Problem stands for; an unknown type becomes a plain GymError."""
    kind = KINDS.get(problem.type, GymError)
    return kind(problem.detail, session=problem.session, retry_after_s=problem.retry_after_s)

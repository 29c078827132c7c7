"""Tasks by their places in a split, as OpenEnv and ORS list them: each is what it is opened with."""

from __future__ import annotations

from envserver.errors import UnknownTask
from envserver.protocols.base import Host

__all__ = ["BadIndex", "at", "count", "listed"]

MOST_LISTED = 10_000


class BadIndex(UnknownTask):
    """Raised for a place that its split does not have."""

    status = 400


async def count(host: Host, env: str, split: str) -> int:
    """How many tasks a split has."""
    return (await host.keys(env, split, 0, 1))[1]


async def at(host: Host, env: str, split: str, place: int) -> dict[str, str]:
    """One task of a split, from its end where the place is negative. Raises BadIndex."""
    total = await count(host, env, split)
    if not -total <= place < total:
        raise BadIndex(f"'{env}' has {total} tasks in '{split}', none at {place}")
    return {"key": (await host.keys(env, split, place % total, 1))[0][0]}


async def listed(
    host: Host, env: str, split: str, start: int | None = None, stop: int | None = None
) -> list[dict[str, str]]:
    """Tasks of a split as Python's slice has them, 10,000 at most."""
    first, end, _ = slice(start, stop).indices(await count(host, env, split))
    keys = (await host.keys(env, split, first, min(end - first, MOST_LISTED)))[0] if end > first else []
    return [{"key": key} for key in keys]

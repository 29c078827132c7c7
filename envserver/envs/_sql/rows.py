"""A database of a subject, filled from a generator: the same rows for the same seed, as SQL's script."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from random import Random

from envserver.envs._sql.schemas import Schema

__all__ = ["filled"]

FIRST = date(2021, 1, 1)
DAYS = 3 * 365
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "zi")


def filled(schema: Schema, seed: str) -> sqlite3.Connection:
    """A database in memory. Its sizes differ with the seed; some people and things have no deed, most deeds no "
    "extra."""
    rng = Random(seed)
    link = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None, cached_statements=0)
    link.executescript(schema.ddl())
    people, things = rng.randint(24, 40), rng.randint(16, 28)
    deeds, extras = rng.randint(220, 360), rng.randint(70, 120)

    def fill(table: str, rows: list[tuple[object, ...]]) -> None:
        link.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    link.execute("BEGIN")
    names = _names(rng, people + things)
    fill(schema.who.name, [(n + 1, names[n], rng.choice(schema.places), _day(rng)) for n in range(people)])
    fill(
        schema.what.name,
        [
            (n + 1, names[people + n], rng.choice(schema.kinds), rng.randint(5, 400), rng.randint(200, 30_000) / 100)
            for n in range(things)
        ],
    )
    # Some are busier than others, and one in eight does nothing.
    busy = [0 if rng.random() < 0.12 else rng.randint(1, 9) for _ in range(people - 1)] + [5]
    used = [0 if rng.random() < 0.12 else rng.randint(1, 9) for _ in range(things - 1)] + [5]
    fill(
        schema.deed.name,
        [
            (
                n + 1,
                rng.choices(range(1, people + 1), busy)[0],
                rng.choices(range(1, things + 1), used)[0],
                _day(rng),
                rng.randint(1, 60),
                rng.choice(schema.states),
                None if rng.random() < 0.2 else rng.randint(1, 10),
            )
            for n in range(deeds)
        ],
    )
    fill(
        schema.extra.name,
        [
            (n + 1, rng.randint(1, deeds), rng.choice(schema.causes), rng.randint(100, 9_000) / 100)
            for n in range(extras)
        ],
    )
    link.execute("COMMIT")
    return link


def _names(rng: Random, count: int) -> list[str]:
    """So many different names."""
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(rng.choices(SYLLABLES, k=rng.randint(2, 3))).capitalize()] = None
    return list(names)


def _day(rng: Random) -> str:
    return (FIRST + timedelta(rng.randrange(DAYS))).isoformat()

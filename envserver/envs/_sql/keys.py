"""What a key names: a subject, how hard, a split and a number; the question drawn for it, and its two databases.

A key has one spelling. A question belongs to one split by its words, so no two splits share one. What is shown and
what is hidden are two databases of the same tables, and a question whose answer is the same in both is drawn again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from envserver.envs._sql.guarded import Guarded, Refused, Row
from envserver.envs._sql.judge import same
from envserver.envs._sql.rows import filled
from envserver.envs._sql.schemas import SCHEMAS
from envserver.envs._sql.templates import TEMPLATES, Asked
from envserver.numbered import SIZES, belongs

__all__ = ["LEVELS", "MOST_ROWS", "Posed", "QuestionKey", "drawn", "parse"]

LEVELS = 3
ATTEMPTS = 2000
LONGEST_BYTES = 1000
"""Of a text or a row: so many that a query's steps can pile up fit the heap."""
MOST_ROWS = 200
"""Of a right answer."""

KEY = re.compile(r"([a-z]+)/d([1-9])/([a-z]+)/([0-9]{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuestionKey:
    """One question."""

    schema: str
    level: int
    split: str
    number: int

    def __str__(self) -> str:
        return f"{self.schema}/d{self.level}/{self.split}/{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Posed:
    """A question, its databases, the first of which is shown, and what is right in each."""

    asked: Asked
    databases: list[Guarded]
    right: list[list[Row]]


def parse(key: str) -> QuestionKey:
    """The question a key names. Raises KeyError, with what is wrong, where it names none."""
    match = KEY.fullmatch(key)
    if match is None:
        raise KeyError(f"sql has no key {key[:80]!r}; keys look like shop/d1/train/0042")
    found = QuestionKey(match[1], int(match[2]), match[3], int(match[4]))
    if found.schema not in SCHEMAS:
        raise KeyError(f"sql has no subject '{found.schema[:40]}'; there are: {', '.join(SCHEMAS)}")
    if found.level > LEVELS:
        raise KeyError(f"d is 1 to {LEVELS}, not {found.level}")
    if found.split not in SIZES:
        raise KeyError(f"sql has no split '{found.split[:40]}'; there are: {', '.join(SIZES)}")
    if found.number >= SIZES[found.split]:
        last = SIZES[found.split] - 1
        raise KeyError(f"the {found.split} split's questions are numbered 0000 to {last:04d}, not {found.number:04d}")
    return found


def drawn(key: QuestionKey, seed: int) -> Posed:
    """The question of a key and a seed: the first drawn that is of the key's split and says something."""
    rng, schema = Random(f"{key}#{seed}"), SCHEMAS[key.schema]
    databases = [
        Guarded(filled(schema, f"{key}#{seed}#{which}"), longest_bytes=LONGEST_BYTES) for which in ("shown", "hidden")
    ]
    for _ in range(ATTEMPTS):
        asked = rng.choice(TEMPLATES[key.level])(schema, rng)
        if not belongs(asked.words, key.split):
            continue
        try:
            right = [database.ask(asked.query, MOST_ROWS + 1)[1] for database in databases]
        except Refused as refused:
            raise RuntimeError(f"the query {asked.query!r} is refused: {refused}") from None
        if all(map(_says_something, right)) and not same(right[0], right[1], ordered=False):
            return Posed(asked, databases, right)
    raise RuntimeError(f"no question of {key} was found in {ATTEMPTS} draws; that is a fault of the templates")


def _says_something(rows: list[Row]) -> bool:
    """Whether a result is neither empty nor full of zeros and NULL nor too long to be told."""
    return 0 < len(rows) <= MOST_ROWS and any(cell not in (0, None) for row in rows for cell in row)

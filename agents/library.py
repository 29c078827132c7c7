"""What players may ask of memory: notes and skills for a situation, off the event loop and once for each situation.

Rule: between two renewals a situation has one answer, so every episode of a group is shown the same. A library that is
shut, or whose database does not answer, gives nothing: play goes on without, and the misses are counted. Skills come
with their generation, read before they are: what is shown is never of an older one than is said.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from skills_db.errors import StoreError
from skills_db.types import Hit, Query, SkillVersionRow

if TYPE_CHECKING:
    from skills_db.store import Store

__all__ = ["Asked", "Library", "about_tokens"]

T = TypeVar("T")

KNOWN_TEXTS = 4096
"""Texts whose length is remembered: the same few notes are shown again and again."""


@dataclass(slots=True)
class Asked:
    """What was asked since the last time someone looked."""

    times: int = 0
    searches: int = 0
    """Of these, the ones that memory was searched for; the others were known."""
    failed: int = 0
    search_s: float = 0.0
    """Sum over the searches, which may overlap."""
    told_tokens: int = 0
    """Length of the notes that were shown, headings included."""
    skill_tokens: int = 0
    """Length of the skills' blocks, once an episode."""
    error: str = ""
    """Of the last search that failed."""


def about_tokens(text: str) -> int:
    """A tokenizer's count, guessed: four bytes a token."""
    return -(-len(text.encode()) // 4)


class Library:
    """One environment's experiences, and all skills, in a store."""

    def __init__(self, store: Store, env: str, *, tokens: Callable[[str], int] = about_tokens) -> None:
        self.env = env
        self.tokens = functools.lru_cache(maxsize=KNOWN_TEXTS)(tokens)
        """Length of a text in the policy's tokens."""
        self.open = True
        """Whether notes are given."""
        self.gives_skills = True
        """Whether skills are given."""
        self.generation = 0
        """Of the skills."""
        self.asked = Asked()
        self._store = store
        self._known: dict[object, asyncio.Task[list[Any]]] = {}
        self._given: dict[str, SkillVersionRow] = {}
        """Skills that were given, by their hashes."""

    def renew(self, *, open: bool = True) -> None:
        """Memory has changed: what is known is asked again."""
        self.open = open
        self._known.clear()

    def evolve(self) -> int:
        """Skills have been added: the next generation, and what is known is asked again."""
        self.generation += 1
        self._known.clear()
        return self.generation

    @contextmanager
    def shut(self) -> Iterator[None]:
        """No notes and no skills meanwhile."""
        before, (self.open, self.gives_skills) = (self.open, self.gives_skills), (False, False)
        try:
            yield
        finally:
            self.open, self.gives_skills = before

    def looked(self) -> Asked:
        """What was asked since the last look."""
        found, self.asked = self.asked, Asked()
        return found

    async def near(self, situation: str, *, skills: int, failures: int) -> list[Hit]:
        """The notes of a situation's cluster, else those of the nearest situations; skills first."""
        query = Query(env=self.env, situation=situation, skills=skills, failures=failures)
        return await self._once(query, lambda: self._store.search(query)) if self.open else []

    async def any(self, draw: str, *, skills: int, failures: int) -> list[Hit]:
        """So many notes without regard to the situation, a function of `draw` and of what there is; skills first."""
        counts = {"skill": skills, "failure": failures}
        return await self._once((draw, skills, failures), lambda: self._drawn(draw, counts)) if self.open else []

    async def skills(
        self, situation: str, *, limit: int, match: Literal["template", "embedding"]
    ) -> tuple[int, list[SkillVersionRow]]:
        """The generation of the skills, and those for a situation: `limit` general ones, then its own."""
        generation = self.generation
        if not self.gives_skills:
            return generation, []
        choose = functools.partial(self._store.skills_for, situation, limit=limit, match=match, env=self.env)
        found = await self._once(("skills", situation, limit, match), choose)
        self._given |= {one.digest: one for one in found}
        return generation, found

    def given(self, digests: Sequence[str]) -> list[SkillVersionRow]:
        """Skills that were given before, as they were, by their hashes."""
        return [self._given[digest] for digest in digests if digest in self._given]

    def count(self) -> int:
        """How many experiences there are. Blocks. Raises StoreError."""
        return sum(map(len, self._store.live(self.env).values()))

    def _drawn(self, draw: str, counts: dict[str, int]) -> list[Hit]:
        rng = Random(draw)
        live = self._store.live(self.env)
        drawn = [id for kind, count in counts.items() for id in rng.sample(live[kind], min(count, len(live[kind])))]
        rows = [self._store.experience(id) for id in drawn]
        return [Hit(row.id, row.advice, row.kind, row.score, "vector", 1.0) for row in rows]

    async def _once(self, key: object, search: Callable[[], Sequence[T]]) -> list[T]:
        self.asked.times += 1
        if key not in self._known:
            self._known[key] = asyncio.ensure_future(self._searched(key, search))
        # One player that is cancelled must not take the answer from the others that wait for it.
        return await asyncio.shield(self._known[key])

    async def _searched(self, key: object, search: Callable[[], Sequence[T]]) -> list[T]:
        asked, began = self.asked, time.monotonic()
        asked.searches += 1
        try:
            return list(await asyncio.to_thread(search))
        except StoreError as error:
            self._known.pop(key, None)
            asked.failed += 1
            asked.error = str(error)
            return []
        finally:
            asked.search_s += time.monotonic() - began

"""Which skills are found by words, and which a player is shown in a situation.

`find` joins two rankings as `skills_db.hybrid` does for experiences: by the engine's full text, where all words occur,
and by the cosine of the query and "name. description. the body's first 200 characters". Of the filters of
experiences, `env` keeps that category and general skills, and run and age are those of the version in use; no skill is
a warning, and none has a level or a score.

`choose` is after MetaClaw (arXiv 2603.17187), as its code has it: up to `limit` skills of the category `general`, then
up to `SPECIFIC` of other categories, then up to `MISTAKES` of the category `common_mistakes`. `template` takes the
general ones by name; of the others those whose category is the environment, then those of which a word occurs in the
situation, the larger share of their words first. That these words are those of name, category and description, where
its code lists some for each category, is ours. `embedding` takes both by the cosine above. Equals stand in the order of
their names.

Skills are few, so their vectors are made when they are compared and remembered by their text: a column would hold those
of one embedder, and of what a skill said before it was edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from skills_db.embedders.base import Embedder
from skills_db.errors import BadRecord
from skills_db.hybrid import MOST_CHARS, MOST_WORDS, Place, Wanted, check_wanted, join, places_of
from skills_db.search import Terms, flat, ranked, snippet_of, terms
from skills_db.skills import in_use, read_versions
from skills_db.tables import EPISODES, SKILLS, VERSIONS
from skills_db.types import SkillVersionRow

__all__ = ["MISTAKES", "SPECIFIC", "Match", "RankedSkill", "SkillSearch"]

Match = Literal["template", "embedding"]

SPECIFIC = 10
MISTAKES = 5
_HEAD_CHARS = 200
_MOST_VECTORS = 4096
"""So many are remembered."""

_FUNCTION_WORDS = (
    "about after all and any are before but can does each for from has have how into its may must not off one only "
    "other out over should than that the their them then there these they this those through until use used using was "
    "were what when where whether which while who will with without would you your"
)
_SAY_NOTHING = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class RankedSkill:
    """One skill that was looked for, as it is in use."""

    skill: str
    """Its name."""
    version: int
    category: str
    description: str
    snippet: str
    """One line of name, description and body, the query's words in [brackets]."""
    retired: str | None
    """ISO 8601, UTC; None: in use."""
    total: float
    places: Sequence[Place]
    """Why: the largest part first; of the rankings `text` and `vector`."""


class SkillSearch:
    """Looks among the skills of one database; to be shared by threads."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        """(D,) by text."""

    def find(
        self, connection: sa.Connection, text: str, wanted: Wanted, *, category: str | None, retired: bool
    ) -> list[RankedSkill]:
        """Skills for words or for a situation, the best first. Raises BadRecord."""
        check_wanted(wanted)
        text = text[:MOST_CHARS]
        if not text.strip() or wanted.kind == "failure" or (wanted.level, wanted.score_at_least) != (None, None):
            return []
        filters = _filters(wanted, category)
        heads = {head.id: head for head in _read_heads(connection, *filters, retired=retired)}
        asked = terms(text)
        near = self._by_cosine(text, list(heads.values()))
        rankings = {
            "text": [found for found in _by_text(connection, asked) if found[0] in heads],
            "vector": [(head.id, cosine) for head, cosine in near],
        }
        totals = join(rankings)
        best = sorted(totals, key=lambda id: (-totals[id], heads[id].name))[: wanted.limit]
        places = places_of(rankings, best)
        return [
            RankedSkill(
                skill=version.skill,
                version=version.version,
                category=heads[id].category,
                description=version.description,
                snippet=snippet_of(f"{version.skill} {version.description} {version.body}", asked),
                retired=heads[id].retired.isoformat() if heads[id].retired else None,
                total=totals[id],
                places=tuple(places[id]),
            )
            for id, version in read_versions(connection, best).items()
        ]

    def choose(
        self, connection: sa.Connection, text: str, *, limit: int, match: Match, env: str
    ) -> list[SkillVersionRow]:
        """The versions in use of the skills for a situation. Raises BadRecord."""
        if match not in get_args(Match):
            raise BadRecord(f"skills are not matched by '{match}': say template or embedding")
        if limit < 1:
            raise BadRecord(f"{limit} general skills cannot be shown: say 1 or more")
        heads = _read_heads(connection)
        general = [head for head in heads if head.category == "general"]
        mistakes = [head for head in heads if head.category == "common_mistakes"]
        specific = [head for head in heads if head.category not in ("general", "common_mistakes")]
        text = text[:MOST_CHARS]
        if match == "embedding":
            general, specific = ([head for head, _ in self._by_cosine(text, part)] for part in (general, specific))
        else:
            specific = _by_words(text, specific, env)
        chosen = general[:limit] + specific[:SPECIFIC] + mistakes[:MISTAKES]
        return list(read_versions(connection, [head.id for head in chosen]).values())

    def _by_cosine(self, text: str, heads: Sequence[Any]) -> list[tuple[Any, float]]:
        """(head, cosine similarity), the nearest first."""
        if not heads:
            return []
        asked_D = self._embedder.embed([text])[0]
        similar_N = self._embed([f"{head.name}. {head.description}. {head.head}" for head in heads]) @ asked_D
        return [(heads[i], float(similar_N[i])) for i in np.argsort(-np.round(similar_N, 4), kind="stable")]

    def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D)"""
        known = self._vectors
        if missing := sorted(set(texts) - known.keys()):
            fresh = dict(zip(missing, self._embedder.embed(missing), strict=True))
            known = {**known, **fresh}
            self._vectors = known if len(known) <= _MOST_VECTORS else fresh
        return np.stack([known[text] for text in texts])


def _filters(wanted: Wanted, category: str | None) -> list[sa.ColumnElement[bool]]:
    filters: list[sa.ColumnElement[bool]] = []
    if category is not None:
        filters.append(SKILLS.c.category == category)
    if wanted.env is not None:
        filters.append(SKILLS.c.category.in_([wanted.env, "general"]))
    if wanted.run is not None:
        filters.append(VERSIONS.c.episode.in_(sa.select(EPISODES.c.id).where(EPISODES.c.run == wanted.run)))
    if wanted.newer_than is not None:
        filters.append(VERSIONS.c.created >= wanted.newer_than)
    if wanted.older_than is not None:
        filters.append(VERSIONS.c.created < wanted.older_than)
    return filters


def _read_heads(connection: sa.Connection, *filters: sa.ColumnElement[bool], retired: bool = False) -> list[Any]:
    """What skills in use say at first, by name."""
    head = sa.func.substr(VERSIONS.c.body, 1, _HEAD_CHARS).label("head")
    columns = (SKILLS.c[name] for name in ("name", "category", "description", "retired"))
    query = sa.select(VERSIONS.c.id, *columns, head).join_from(SKILLS, VERSIONS, in_use())
    query = query.where(*filters)
    if not retired:
        query = query.where(SKILLS.c.retired.is_(None))
    return sorted(connection.execute(query), key=lambda row: row.name)  # engines differ where a hyphen sorts


def _by_text(connection: sa.Connection, asked: Terms) -> list[tuple[int, float]]:
    """(version, rank)"""
    if not asked or sum(len(words) for words, _ in asked) > MOST_WORDS:
        return []
    query = sa.select(VERSIONS.c.id).join_from(SKILLS, VERSIONS, in_use())
    return [(row.id, row.rank) for row in connection.execute(ranked(connection, query, "skill", asked))]


def _by_words(text: str, heads: Sequence[Any], env: str) -> list[Any]:
    said = _keywords(text)
    found = []
    for head in heads:
        own = _keywords(f"{head.name} {head.category} {head.description}")
        share = len(own & said) / max(1, len(own))
        if head.category == env or share:
            found.append((head.category != env, -share, head))
    return [head for *_, head in sorted(found, key=lambda each: each[:2])]


def _keywords(text: str) -> set[str]:
    """Words of three letters or more that say something, without a plural's s."""
    words = (word for word in flat(text).split() if len(word) >= 3 and word not in _SAY_NOTHING)
    return {word[:-1] if word.endswith("s") and not word.endswith("ss") else word for word in words}

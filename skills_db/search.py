"""Full text over what policies were shown, what they did, what was learned, and skills as they are in use.

A query is words and "quoted phrases"; all must occur, and a bare word also finds the words it begins. Anything else in
it, unbalanced quotes and operators too, only parts words: no query is an error. Both engines cut words alike: letters,
digits and what lies beyond ASCII, unstemmed, without regard to case. Of very long texts only the beginning is looked
into: of skills, and on PostgreSQL of turns, 200,000 characters.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import sqlalchemy as sa

from skills_db.skills import in_use
from skills_db.tables import EPISODES, EXPERIENCES, SKILLS, TURNS, VERSIONS
from skills_db.types import Found

__all__ = [
    "KINDS",
    "Terms",
    "as_asked",
    "find",
    "flat",
    "matching_experiences",
    "occurrences",
    "ranked",
    "snippet_of",
    "terms",
]

Kind = Literal["observation", "action", "experience", "skill"]

KINDS: tuple[Kind, ...] = ("observation", "action", "experience", "skill")
_IN_TURN: tuple[Kind, ...] = ("skill", "experience", "observation", "action")
"""Lessons are few and turns are many."""

_PIECE = re.compile(r'"([^"]*)"|([^\s"]+)')
_WORD = re.compile(r"[^\W_]+")
_LIMIT_WORDS = 64
"""Beyond this many words a query is cut: nobody types more, and an engine's parser has a depth."""
_SNIPPET_CHARS = 160
_LONGEST = "200000"
"""So many characters of a turn's text are looked into on PostgreSQL, which refuses the words of a longer one."""

_SPACE: sa.ColumnElement[str] = sa.literal_column("' '")
_LESSON = (EXPERIENCES.c.situation + _SPACE + EXPERIENCES.c.advice).label("body")
_SIMPLE: Any = sa.literal_column("'simple'::regconfig")
_ROWS = {"observation": TURNS, "action": TURNS, "experience": EXPERIENCES, "skill": SKILLS}
_PARTS = {code: " " for code in range(128) if not chr(code).isalnum()}
_PARTS_CHARS = frozenset(map(chr, _PARTS))
_PARTS_WORDS = r"'[\x01-/:-@[-`{-\x7f]+'"

Terms = list[tuple[list[str], bool]]
Query = sa.Select[Any]


def terms(text: str) -> Terms:
    """The query's terms: the words of each, and whether its last word stands for all that begin with it."""
    found: Terms = []
    count = 0
    for phrase, bare in _PIECE.findall(text):
        words = _WORD.findall(phrase or bare)[: _LIMIT_WORDS - count]
        count += len(words)
        if words:
            found.append((words, not phrase))
    return found


def flat(text: str) -> str:
    """The words of a text in lower case, each between two spaces of its own."""
    return f" {'  '.join(text.lower().translate(_PARTS).split())} "


def occurrences(text: str, words: list[str], prefix: bool) -> int:
    """How often a term occurs, both in lower case; `prefix`: its last word may be the beginning of one."""
    first, *others = words
    count, at = 0, text.find(first)
    while at >= 0:
        end = at + len(first)
        whole = at == 0 or text[at - 1] in _PARTS_CHARS
        for word in others:
            begin = end
            while whole and end < len(text) and text[end] in _PARTS_CHARS:
                end += 1
            whole = whole and end > begin and text.startswith(word, end)
            end += len(word)
        count += whole and (prefix or end == len(text) or text[end] in _PARTS_CHARS)
        at = text.find(first, at + 1)
    return count


def find(
    connection: sa.Connection,
    text: str,
    *,
    env: str | None = None,
    kind: str | None = None,
    run: str | None = None,
    retired: bool = False,
    limit: int = 20,
) -> list[Found]:
    """What the words occur in: the best of each kind by the engine's own rank, then the second of each, and so on.

    A rank says nothing beside that of another kind: on SQLite it falls with the share of a table's rows that match.
    `kind` is one of KINDS. With `env`, skills are those of that category and general ones; with `run`, experiences and
    skills are those learned in the run's episodes. What is retired is found where `retired` says so.
    """
    wanted = terms(text)
    if not wanted or limit <= 0:
        return []
    found: list[tuple[int, Found]] = []
    for each in _IN_TURN:
        if kind not in (None, each):
            continue
        match each:
            case "experience":
                query = _experiences(env, run, retired)
            case "skill":
                query = _skills(env, run, retired)
            case _:
                query = _turns(each, env, run)
        for place, row in enumerate(connection.execute(ranked(connection, query, each, wanted).limit(limit))):
            snippet = snippet_of(row.body, wanted)
            hit = Found(each, str(row.id), row.position, row.env, row.key, snippet, float(row.rank))
            found.append((place, hit))
    return [hit for _, hit in sorted(found, key=lambda each: each[0])[:limit]]


def ranked(connection: sa.Connection, query: Query, kind: Kind, wanted: Terms) -> Query:
    """The query's rows of a kind in which all terms occur, with their `rank`, the best first."""
    return (_rank_fts5 if connection.dialect.name == "sqlite" else _rank_tsvector)(query, kind, wanted)


def snippet_of(text: str, wanted: Terms) -> str:
    """One line around the first word that was asked for, those words in [brackets]."""
    text = " ".join(text.split())
    lower = text.lower()
    if len(lower) != len(text):  # some letters become two; then what is found here would not be there
        lower = text
    hits = _hits(lower, wanted)
    begin = max(0, hits[0][0] - _SNIPPET_CHARS // 4) if hits else 0
    begin = text.rfind(" ", 0, begin) + 1
    end = begin + _SNIPPET_CHARS
    end = len(text) if end >= len(text) else max(text.rfind(" ", begin, end), hits[0][1] if hits else begin) or end
    pieces, at = [], begin
    for first, last in hits:
        if last <= end:
            pieces += [text[at:first], "[", text[first:last], "]"]
            at = last
    return ("…" if begin else "") + "".join(pieces) + text[at:end] + ("…" if end < len(text) else "")


def _hits(lower: str, wanted: Terms) -> list[tuple[int, int]]:
    """Where words that are asked for begin and end in a text in lower case, in order; a snippet's length of them."""
    whole = {word.lower() for words, prefix in wanted for word in (words[:-1] if prefix else words)}
    starts = tuple(words[-1].lower() for words, prefix in wanted if prefix)
    found: set[tuple[int, int]] = set()
    for word in (*whole, *starts):
        at, last = lower.find(word), len(lower)
        while 0 <= at <= last:
            match = None if at and lower[at - 1].isalnum() else _WORD.match(lower, at)
            if match and (match[0] in whole or (starts and match[0].startswith(starts))):
                found.add(match.span())
                last = min(last, at + _SNIPPET_CHARS)
            at = lower.find(word, at + 1)
    hits = sorted(found)
    return [hit for hit in hits if hit[0] <= hits[0][0] + _SNIPPET_CHARS]


def _turns(column: str, env: str | None, run: str | None) -> Query:
    body = TURNS.c[column].label("body")
    query = sa.select(EPISODES.c.id, TURNS.c.position, EPISODES.c.env, EPISODES.c.key, body)
    query = query.join_from(TURNS, EPISODES, EPISODES.c.number == TURNS.c.episode)
    if env is not None:
        query = query.where(EPISODES.c.env == env)
    return query if run is None else query.where(EPISODES.c.run == run)


def _experiences(env: str | None, run: str | None, retired: bool) -> Query:
    key = EXPERIENCES.c.kind.label("key")
    query = sa.select(EXPERIENCES.c.id, EXPERIENCES.c.turn.label("position"), EXPERIENCES.c.env, key, _LESSON)
    if env is not None:
        query = query.where(EXPERIENCES.c.env == env)
    if run is not None:
        query = query.where(EXPERIENCES.c.episode.in_(sa.select(EPISODES.c.id).where(EPISODES.c.run == run)))
    return query if retired else query.where(EXPERIENCES.c.retired.is_(None))


def _skills(env: str | None, run: str | None, retired: bool) -> Query:
    body = (SKILLS.c.name + _SPACE + SKILLS.c.description + _SPACE + VERSIONS.c.body).label("body")
    query = sa.select(
        SKILLS.c.name.label("id"),
        VERSIONS.c.turn.label("position"),
        SKILLS.c.category.label("env"),
        (sa.literal_column("'v'") + sa.cast(VERSIONS.c.version, sa.Text)).label("key"),
        body,
    ).join_from(SKILLS, VERSIONS, in_use())
    if env is not None:
        query = query.where(SKILLS.c.category.in_([env, "general"]))
    if run is not None:
        query = query.where(VERSIONS.c.episode.in_(sa.select(EPISODES.c.id).where(EPISODES.c.run == run)))
    return query if retired else query.where(SKILLS.c.retired.is_(None))


def matching_experiences(dialect: str) -> Query:
    """Ids and texts of the experiences in which all terms occur, the newest first; its parameter `asked` says which."""
    query, asked = sa.select(EXPERIENCES.c.id, _LESSON), sa.bindparam("asked", type_=sa.Text)
    if dialect == "sqlite":
        # By the index's own row number, in which it yields them: by the table's, all matches would be sorted first.
        newest: sa.ColumnElement[Any] = sa.literal_column("experiences_fts.rowid").desc()
        return _match_fts5(query, EXPERIENCES, asked).order_by(newest)
    words: Any = sa.literal_column("experiences.words_fts")
    return query.where(words.op("@@")(sa.func.to_tsquery(_SIMPLE, asked))).order_by(EXPERIENCES.c.id.desc())


def as_asked(dialect: str, wanted: Terms) -> str:
    """The terms as the engine's full text reads them."""
    return _fts5_terms(wanted) if dialect == "sqlite" else _tsquery_terms(wanted)


def _fts5_terms(wanted: Terms) -> str:
    return " AND ".join('"' + " ".join(words) + '"' + ("*" if prefix else "") for words, prefix in wanted)


def _tsquery_terms(wanted: Terms) -> str:
    def operand(words: list[str], prefix: bool) -> str:
        # Letters and digits alone stand between these quotes, so nothing in them can end them.
        return "('" + "' <-> '".join(words) + "'" + (":*" if prefix else "") + ")"

    return " & ".join(operand(*term) for term in wanted)


def _match_fts5(query: Query, table: sa.Table, asked: str | sa.ColumnElement[str]) -> Query:
    name: sa.ColumnElement[Any] = sa.literal_column(f"{table.name}_fts")
    index = sa.table(f"{table.name}_fts", sa.column("rowid"))
    return query.where(index.c.rowid == table.c.id, name.op("MATCH")(asked))


def _rank_fts5(query: Query, kind: Kind, wanted: Terms) -> Query:
    table = _ROWS[kind]
    name: sa.ColumnElement[Any] = sa.literal_column(f"{table.name}_fts")
    asked = f"{{{kind}}} : ({_fts5_terms(wanted)})" if table is TURNS else _fts5_terms(wanted)
    rank = (-sa.func.bm25(name)).label("rank")
    query = _match_fts5(query.add_columns(rank), table, asked)
    return query.order_by(rank.desc(), table.c.id.desc())


def _rank_tsvector(query: Query, kind: Kind, wanted: Terms) -> Query:
    table = _ROWS[kind]
    words, asked = _tsvector(kind, wanted)
    rank = sa.func.ts_rank(words, asked).label("rank")
    return query.add_columns(rank).where(words.op("@@")(asked)).order_by(rank.desc(), table.c.id.desc())


def _tsvector(kind: Kind, wanted: Terms) -> tuple[Any, Any]:
    """The words of an experience, of a skill or of a turn's column, and what is asked of them."""
    asked = sa.func.to_tsquery(_SIMPLE, _tsquery_terms(wanted))
    table = _ROWS[kind]
    if table is not TURNS:
        return sa.literal_column(f"{table.name}.words_fts"), asked
    # The index's expression, constant by constant: bound parameters in it would hide the index from the planner.
    begin = sa.func.left(TURNS.c[kind], sa.literal_column(_LONGEST))
    parted = sa.func.regexp_replace(
        begin, sa.literal_column(_PARTS_WORDS), sa.literal_column("' '"), sa.literal_column("'g'")
    )
    return sa.func.to_tsvector(_SIMPLE, parted), asked

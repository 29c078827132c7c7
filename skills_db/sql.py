"""A query by hand that the engine itself keeps from writing.

SQLite: `query_only`, an authorizer that lets nothing but reading through, and a clock that interrupts. PostgreSQL: a
read-only transaction, a statement timeout, and a cursor, which takes one SELECT and nothing else. It does not cover
what the role itself may do by reading: a superuser's SELECT can call functions that read files, so give it a role of
its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Any

import sqlalchemy as sa

from skills_db.database import Database
from skills_db.errors import BadQuery
from skills_db.types import Table

__all__ = ["select"]

_LIMIT_BYTES = 64 * 1024 * 1024
"""Of one value, on SQLite."""
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_INTERRUPT_EVERY = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""


def select(database: Database, query: str, *, limit: int, timeout_s: float) -> Table:
    """The first `limit` rows of a query. Raises BadQuery."""
    if limit < 0 or not timeout_s > 0:
        raise BadQuery(f"{limit} rows in {timeout_s:g} s cannot be read: say 0 or more rows, and more than 0 s")
    if not query.strip().rstrip(";").strip():
        raise BadQuery("the query is empty: write a SELECT")
    if "\x00" in query:
        raise BadQuery("the query has a NUL in it: take it out")
    with database.reading() as connection:
        run = _sqlite if database.dialect == "sqlite" else _postgresql
        return run(connection, query.strip().rstrip(";"), limit, timeout_s)


def _sqlite(connection: sa.Connection, query: str, limit: int, timeout_s: float) -> Table:
    raw: Any = connection.connection.driver_connection
    # A virtual table is declared when it is first named, which the authorizer would take for the making of a table.
    virtual = raw.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'").fetchall()
    for (name,) in virtual:
        with contextlib.suppress(sqlite3.Error):  # one whose module is not loaded is no matter of this query
            raw.execute('SELECT 1 FROM "{}" LIMIT 0'.format(name.replace('"', '""'))).close()
    deadline = time.monotonic() + timeout_s
    raw.execute("PRAGMA query_only = ON")
    longest = raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LIMIT_BYTES)
    raw.set_authorizer(_may)
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _INTERRUPT_EVERY)
    cursor = raw.cursor()
    try:
        cursor.execute(query)
        if cursor.description is None:
            raise BadQuery("the query answers no rows: write a SELECT")
        return _table([column[0] for column in cursor.description], cursor.fetchmany(limit + 1), limit)
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            raise BadQuery(f"the query took longer than {timeout_s:g} s: narrow it, or allow it more") from error
        if getattr(error, "sqlite_errorname", "") == "SQLITE_AUTH":
            raise BadQuery("the query is refused: it may only read, so write a SELECT over the tables") from error
        raise BadQuery(f"the query is refused: {_said(error)}") from error
    finally:
        cursor.close()
        raw.set_progress_handler(None, 0)
        raw.set_authorizer(None)
        raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
        raw.execute("PRAGMA query_only = OFF")


def _may(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    if action in _READS and not (action == sqlite3.SQLITE_FUNCTION and second == "load_extension"):
        return sqlite3.SQLITE_OK
    # The full-text tables look by it whether somebody else has written.
    if action == sqlite3.SQLITE_PRAGMA and first == "data_version":
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _postgresql(connection: sa.Connection, query: str, limit: int, timeout_s: float) -> Table:
    import psycopg

    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(timeout_s * 1000))}")
    connection.exec_driver_sql("SELECT 1")  # from here on the transaction cannot be made to write
    raw: Any = connection.connection.driver_connection
    connection.detach()  # what a query did to the session goes with it
    try:
        # A server prepares no more than one statement, so nothing can follow the SELECT.
        with raw.cursor(name="query") as cursor:
            cursor.execute(query, binary=True)
            rows = cursor.fetchmany(limit + 1)
            return _table([column.name for column in cursor.description], rows, limit)
    except psycopg.errors.QueryCanceled as error:
        raise BadQuery(f"the query took longer than {timeout_s:g} s: narrow it, or allow it more") from error
    except (psycopg.Error, UnicodeError, ValueError, OverflowError) as error:
        reads = query.lstrip("( \n\t").partition(" ")[0].lower() in ("select", "with", "values", "table")
        if isinstance(error, psycopg.errors.SyntaxError) and not reads:  # a cursor's grammar knows no other words
            raise BadQuery("the query is refused: it may only read, so write a SELECT over the tables") from error
        raise BadQuery(f"the query is refused: {_said(error)}") from error


def _table(columns: list[str], rows: list[Any], limit: int) -> Table:
    return Table(tuple(columns), tuple(tuple(row) for row in rows[:limit]), len(rows) > limit)


def _said(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")

"""A URL becomes an engine: SQLite in WAL mode or PostgreSQL by psycopg 3, and whatever they raise becomes ours.

A transaction that will write says so when it begins (`writing`): SQLite then takes its lock at once and waits for other
writers, where a lock asked for later would fail at once.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from skills_db.errors import (
    BadRecord,
    NotAStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)

__all__ = ["Database", "connect", "parse_url"]

BUSY_TIMEOUT_S = 60.0
AT_ONCE_MS = 10
"""PostgreSQL's shortest wait that is one: 0 would wait for ever."""
TRUSTED_S = 1.0
"""A PostgreSQL connection that was used so lately is not asked whether it still answers: that costs a round trip."""
NEIGHBOURS_SEEN = 64
"""Vectors that pgvector's graph holds at once in a search: the more, the more of the nearest it finds. A connection is
told so when it is opened, since to tell it in each transaction is a round trip, too."""
CACHE_KIB = 32 * 1024
"""Of a SQLite connection, at most: what leads to a million experiences fits, and is not read again for each."""


class Database:
    """An engine and its transactions."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self.engine = engine
        self.where = where
        """The database as messages name it, without a password."""
        self._closed = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database."""
        with self._translated(), self.engine.connect() as connection:
            if self.dialect == "postgresql":  # there a statement would see what was committed before it began
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def asking(self) -> Iterator[sa.Connection]:
        """Statements that write nothing and need not see the same state; PostgreSQL is spared BEGIN and ROLLBACK."""
        with self._translated(), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @contextmanager
    def writing(self, *, waits: bool = True) -> Iterator[sa.Connection]:
        """A transaction that commits at its end and rolls back where something is raised.

        One that does not wait raises StoreBusy where another holds what it needs.
        """
        with self._translated(), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True, waits=waits)
            with connection.begin():
                if not waits and self.dialect == "postgresql":
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {AT_ONCE_MS}")
                yield connection

    def close(self) -> None:
        """Give the connections back; idempotent."""
        self._closed = True
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise StoreClosed(f"{self.where} has been closed: open it again")
        try:
            yield
        except exc.DBAPIError as error:
            raise translate(error.orig or error, self.where) from error
        except sqlite3.Error as error:
            raise translate(error, self.where) from error
        except (exc.StatementError, OverflowError) as error:
            raise BadRecord(f"a value cannot be kept in {self.where}: {_first_line(error)}") from error


def parse_url(url: str) -> sa.URL:
    """The URL with its driver; a plain path is a SQLite file. Raises StoreUnreachable for other schemes."""
    if not url.strip():
        raise StoreUnreachable("the database's URL is empty: say sqlite:///PATH or postgresql://USER@HOST/NAME")
    if "://" not in url:
        return sa.URL.create("sqlite+pysqlite", database=str(Path(url).expanduser()))
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise StoreUnreachable(
            "the database's URL cannot be read: say sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME"
        ) from error
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            if parsed.database in (None, "", ":memory:"):
                raise StoreUnreachable("memory is kept in a file: say sqlite:///PATH")
            return parsed.set(drivername="sqlite+pysqlite")
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise StoreUnreachable(
                f"memory does not speak '{other}': say sqlite:///PATH or postgresql://USER@HOST/NAME"
            )


def connect(url: str, *, create: bool = True, readonly: bool = False) -> Database:
    """Open the database; nothing is written but, where `create` allows it, an empty SQLite file and its directory.

    Raises StoreUnreachable, NotAStore, StoreReadOnly (a SQLite file that may not be written and was not asked for
    `readonly`), StoreBusy.
    """
    parsed = parse_url(url)
    where = parsed.render_as_string(hide_password=True).replace("+pysqlite", "").replace("+psycopg", "")
    if parsed.drivername.startswith("sqlite"):
        database = Database(_sqlite(parsed, where, create=create and not readonly, readonly=readonly), where)
    else:
        database = Database(_postgresql(parsed, readonly=readonly), where)
    try:
        if database.dialect == "sqlite" and not readonly:
            _use_wal(database)
        with database.reading() as connection:
            connection.execute(sa.text("SELECT 1"))
    except BaseException:
        database.close()
        raise
    return database


def _sqlite(url: sa.URL, where: str, *, create: bool, readonly: bool) -> sa.Engine:
    path = Path(str(url.database)).expanduser()
    try:
        found, is_directory = path.exists(), path.is_dir()
    except OSError as error:
        raise StoreUnreachable(f"{where} cannot be looked at: {error.strerror}; name another database") from error
    if is_directory:
        raise StoreUnreachable(f"{where} is a directory: name a file in it")
    if not found:
        if not create:
            raise StoreUnreachable(f"there is no database at {path}: a run makes one, or name another")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachable(f"the directory of {where} cannot be made: {error.strerror}") from error
    elif not readonly and not os.access(path, os.W_OK):
        raise StoreReadOnly(f"{where} may not be written: change its permissions or name another database")
    mode = "ro" if readonly else "rwc" if create else "rw"
    if readonly and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        # A WAL database is read through a -shm file beside it; where none can be made, nobody can be writing either.
        mode = "ro&immutable=1"
    file = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(file, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)

    engine = sa.create_engine("sqlite+pysqlite://", creator=opened, poolclass=sa.QueuePool, max_overflow=-1)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late to take the lock
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("waits", True):
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")
        finally:
            if not options.get("waits", True):
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")

    return engine


def _postgresql(url: sa.URL, *, readonly: bool) -> sa.Engine:
    try:
        engine = sa.create_engine(
            url, max_overflow=-1, connect_args={"connect_timeout": url.query.get("connect_timeout", 10)}
        )
    except ModuleNotFoundError as error:
        raise StoreUnreachable("PostgreSQL needs its extra: pip install 'turnhalle[postgres]'") from error

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: ConnectionPoolEntry) -> None:
        connection.autocommit = True
        connection.execute(f"SET hnsw.ef_search = {NEIGHBOURS_SEEN}")  # a name of no meaning where pgvector is not
        connection.autocommit = False

    @sa.event.listens_for(engine, "before_cursor_execute")
    def form(connection: sa.Connection, cursor: Any, sql: str, values: Any, context: Any, many: bool) -> None:
        if context is not None and "binary" in context.execution_options:
            cursor.format = 1

    @sa.event.listens_for(engine, "checkin")
    def used(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def answers(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: object) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) < TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:  # a server that was started anew has forgotten all of them
            raise exc.InvalidatePoolError from error

    return engine.execution_options(postgresql_readonly=True) if readonly else engine


def _use_wal(database: Database) -> None:
    # Switching a fresh file to WAL does not wait for other openers by the busy timeout, so it is tried again here.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            with database._translated():
                raw = database.engine.raw_connection()
                try:
                    raw.cursor().execute("PRAGMA journal_mode = WAL").close()
                finally:
                    raw.close()
            return
        except StoreBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def translate(cause: BaseException, where: str) -> StoreError:
    """Our error for the driver's, told by SQLite's error name or PostgreSQL's SQLSTATE."""
    said = _first_line(cause)
    state = getattr(cause, "sqlstate", None) or ""
    name = getattr(cause, "sqlite_errorname", None) or ""
    if name.startswith("SQLITE_FULL") or state == "53100":
        return StoreFull(f"the disk of {where} is full: make room and try again, nothing was half written")
    if name.startswith("SQLITE_READONLY") or state in ("25006", "42501"):
        return StoreReadOnly(f"{where} may not be written: change its permissions or name another database")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or state in ("40001", "40P01", "55P03"):
        return StoreBusy(f"{where} stayed locked by other writers: try again")
    if name.startswith("SQLITE_NOTADB"):
        return NotAStore(f"{where} is no SQLite database: name another file")
    if name.startswith("SQLITE_CORRUPT"):
        return NotAStore(f"{where} is damaged ({said}): restore it from a copy")
    if name.startswith("SQLITE_CANTOPEN"):
        return StoreUnreachable(f"{where} cannot be opened: check that its directory exists and may be entered")
    if name.startswith("SQLITE_CONSTRAINT") or state.startswith("23"):
        return BadRecord(f"{where} refuses the record: {said}")
    if name.startswith(("SQLITE_TOOBIG", "SQLITE_MISMATCH")) or state.startswith(("22", "54")):
        return BadRecord(f"a value cannot be kept in {where}: {said}")
    if not name and not state and type(cause).__name__ in ("DataError", "InterfaceError", "ProgrammingError"):
        return BadRecord(f"a value cannot be kept in {where}: {said}")
    if not name and (not state or state.startswith(("08", "28", "3D", "57P"))):
        return StoreUnreachable(f"{where} does not answer: {said}")
    return StoreError(f"{where} failed: {said}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")

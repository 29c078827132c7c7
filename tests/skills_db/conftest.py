"""Both engines: a SQLite file, and a database of a real PostgreSQL server that the tests start once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from skills_db.models import Base
from skills_db.store import Store, open_store


def _programs() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        places.append(Path(on_path).resolve().parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def _as_nobody() -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a running server's database `postgres`; the server and its data go with the session."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs (initdb, pg_ctl) on this machine")
    with _serve(programs) as url:
        yield url


@contextmanager
def _serve(programs: Path) -> Iterator[str]:
    home = Path(tempfile.mkdtemp(prefix="turnhalle-pg-"))
    if os.getuid() == 0:
        os.chown(home, 65534, 65534)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(*words: str) -> None:
        done = subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=120, **_as_nobody())  # type: ignore[call-overload]
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"

    data = home / "data"
    try:
        call(
            str(programs / "initdb"), "-D", str(data), "-U", "turnhalle", "--auth=trust", "--no-sync", "-E", "UTF8",
            "--locale=C",
        )  # fmt: skip
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off "
            "-c synchronous_commit=off -c full_page_writes=off -c max_connections=100 -c shared_buffers=16MB"
        )
        call(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql://turnhalle@127.0.0.1:{port}/postgres"
        finally:
            call(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(url: str, *statements: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_migrated(postgres_server: str) -> str:
    """URL of a database with the schema, which tests empty before they use it."""
    _run(postgres_server, "CREATE DATABASE migrated")
    url = postgres_server.replace("/postgres", "/migrated")
    open_store(url).close()
    return url


@pytest.fixture(scope="session")
def sqlite_migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema; a copy is quicker than a migration."""
    path = tmp_path_factory.mktemp("migrated") / "memory.db"
    open_store(str(path)).close()
    return path


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """URL of an empty database."""
    _run(postgres_server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return postgres_server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without a schema, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'memory.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path, sqlite_migrated: Path) -> str:
    """URL of a database with the schema and nothing in it, on each engine in turn."""
    if request.param == "sqlite":
        path = tmp_path / "memory.db"
        shutil.copyfile(sqlite_migrated, path)
        return f"sqlite:///{path}"
    found: str = request.getfixturevalue("postgres_migrated")
    _run(found, f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY CASCADE")
    return found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An open, empty store, on each engine in turn."""
    with open_store(url) as opened:
        yield opened

"""Sessions on disk: what another server needs to go on with them where this one was killed.

A file a session, `ID.session`: a line of what it is, the opening result, then two lines a step: the action as it is
logged, the result as it was given out. A step is written before it is answered, so what a client has seen is there,
and what is cut off at the end nobody has seen. Who plays a session holds the lock of its file, which the kernel drops
with the process: servers that share the directory take up each other's sessions, never one that is being played.

A file is in the page cache when its step is answered: killed servers and containers lose nothing, a loss of power may
cost the last steps. Only sessions of deterministic worlds are kept, since others cannot be replayed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import time
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from envserver.schema import Task
from envserver.session import Kept, Logged, Session

__all__ = ["BadLedger", "Ledger"]

SUFFIX = ".session"


class BadLedger(RuntimeError):
    """Raised where a directory cannot hold sessions; one sentence."""


class Ledger:
    """The sessions that one server keeps in a directory."""

    def __init__(self, directory: Path) -> None:
        """Raises BadLedger where no file can be made and locked there."""
        self.directory = directory
        self.unkept = 0
        """Sessions given up since they could not be written."""
        self._files: dict[str, int] = {}
        # A session holds a descriptor here, and most hosts give a process a thousand until it asks.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        probe = directory / f"probe-{os.getpid()}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with probe.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.unlink()
        except OSError as error:
            raise BadLedger(f"sessions cannot be kept in '{directory}': {error.strerror}") from None

    def opened(self, session: Session) -> None:
        """Begin a session's file with everything it holds; nothing for a world that cannot be replayed."""
        if not session.card.deterministic or session.closed:
            return
        head = {
            "task": session.task.model_dump(),
            "owner": session.owner,
            "parent": session.parent,
            "began_at": session.began_at,
            "told": session.told.decode(),
        }
        lines = [to_json(head), session.results[0]]
        for action, result in zip(session.actions, session.results[1:], strict=True):
            lines += [_line(action), result]
        try:
            file = os.open(self._path(session.id), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            self.unkept += 1
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Another server plays a session of this id, and the file is its own.
            self.unkept += 1
            os.close(file)
            return
        self._files[session.id] = file
        # What stands there is a session that could not be read.
        os.ftruncate(file, 0)
        self._write(session.id, file, b"\n".join(lines) + b"\n")

    def stepped(self, id: str, action: Logged, result: bytes) -> None:
        """Add a step."""
        file = self._files.get(id)
        if file is not None:
            self._write(id, file, b"%b\n%b\n" % (_line(action), result))

    def closed(self, id: str) -> None:
        """Forget a session, also one that another server has left."""
        if id in self._files or self.recall(id) is not None:
            with contextlib.suppress(OSError):
                self._path(id).unlink()
            self.release(id)

    def recall(self, id: str) -> Kept | None:
        """Take up a session that nobody plays; None where there is none, or none that can be read.

        Reads the file where it is called: once a session, after a crash.
        """
        try:
            file = os.open(self._path(id), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(file).st_nlink:
                raise ValueError("it was swept before it was locked")
            with open(file, "rb", closefd=False) as reader:
                raw = reader.read()
            kept, whole_bytes = _read(raw)
            os.ftruncate(file, whole_bytes)
        except (OSError, ValueError, KeyError, TypeError):
            os.close(file)
            return None
        self._files[id] = file
        return kept

    def release(self, id: str) -> None:
        """Leave a session to others."""
        file = self._files.pop(id, None)
        if file is not None:
            os.close(file)

    def sweep(self, lease_s: float) -> int:
        """Take away what nobody has played for `lease_s`; how many those were."""
        found = 0
        silent_since = time.time() - lease_s
        for path in self.directory.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime >= silent_since:
                    continue
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    found += 1
        return found

    def close(self) -> None:
        """Let go of every session; their files stay."""
        for id in list(self._files):
            self.release(id)

    def _path(self, id: str) -> Path:
        return self.directory / f"{id}{SUFFIX}"

    def _write(self, id: str, file: int, data: bytes) -> None:
        try:
            if os.write(file, data) == len(data):
                return
        except OSError:
            pass
        self._give_up(id)

    def _give_up(self, id: str) -> None:
        """A file with a step missing would be replayed wrongly."""
        self.unkept += 1
        self.closed(id)


def _line(action: Logged) -> bytes:
    """An action as a line: a text as a JSON string, any other as the object it is logged as."""
    return action if isinstance(action, bytes) else to_json(action)


def _read(raw: bytes) -> tuple[Kept, int]:
    """A session, and how many bytes of it are whole. Raises ValueError, KeyError or TypeError for what is none."""
    lines = raw.split(b"\n")
    steps = (len(lines) - 3) // 2
    if steps < 0:
        raise ValueError("the opening result is not whole")
    lines = lines[: 2 + 2 * steps]
    head: dict[str, Any] = from_json(lines[0])
    actions = [line if line[:1] == b"{" else from_json(line) for line in lines[2::2]]
    results = lines[1:2] + lines[3::2]
    last = from_json(results[-1])
    parent = head["parent"]
    kept = Kept(
        task=Task.model_validate(head["task"]),
        owner=head["owner"],
        parent=None if parent is None else (parent[0], parent[1]),
        began_at=head["began_at"],
        told=head["told"].encode(),
        actions=actions,
        results=results,
        outcome="terminated" if last["terminated"] else "truncated" if last["truncated"] else None,
    )
    if not 0 <= kept.began_at < len(results):
        raise ValueError("it begins behind its end")
    return kept, sum(map(len, lines)) + len(lines)

"""Games on disk: made once, found again by key and generator, never seen half-written.

A game is a directory `<root>/<version>/<key>/` that appears by one rename, whole and synced; its files are checked
against their hashes when they are found again, and made again where they are damaged. One process makes a game at a
time: the others wait for a file lock, which a killed process lets go. Making happens in a forked child, so the
generator's global state, what it prints, its time and its crashes stay out of the worker.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envserver.envs._textworld.keys import GameKey
from envserver.envs._textworld.making import VERSION, digest, make, preload
from envserver.envs._textworld.play import GameFailed
from envserver.kin import end_with

__all__ = ["GameCache", "default_root"]

LOCKS = 256
"""Lock files; keys share them, so that they do not grow with the games."""


def default_root() -> Path:
    """`$TURNHALLE_CACHE/textworld`, or `turnhalle/textworld` in the user's cache directory."""
    own = os.environ.get("TURNHALLE_CACHE")
    if own:
        return Path(own) / "textworld"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnhalle" / "textworld"


class GameCache:
    """The games below one directory, shared by any number of processes."""

    def __init__(self, root: Path) -> None:
        self.root = root / VERSION

    def directory(self, key: GameKey) -> Path:
        """Where a game is, once it is made."""
        return self.root / str(key)

    def has(self, key: GameKey) -> bool:
        """True where the game is made; its files are not read."""
        return (self.directory(key) / "meta.json").is_file()

    def story(self, key: GameKey, *, timeout_s: float) -> Path:
        """The game's `.z8`, its `.json` beside it, made where it is not there yet.

        Raises GameFailed where the game cannot be made, or not within `timeout_s`, or the directory cannot be written.
        """
        place = self.directory(key)
        if not _whole(place):
            deadline = time.monotonic() + timeout_s
            try:
                with self._lock(key, deadline):
                    if not _whole(place):
                        self._make(key, place, deadline)
            except OSError as error:
                raise GameFailed(f"the games directory '{self.root}' cannot be written: {error}") from error
        return place / "game.z8"

    def _make(self, key: GameKey, place: Path, deadline: float) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".making-{place.name}-"
        for left in place.parent.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        preload(key.family)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=place.parent, ignore_cleanup_errors=True) as scratch:
            made = Path(scratch) / "game"
            made.mkdir()
            _in_a_child(key, made, Path(scratch), deadline)
            for file in sorted(made.iterdir()):
                _sync(file)
            if place.exists():
                shutil.rmtree(place)
            os.rename(made, place)
            _sync(place.parent)

    @contextmanager
    def _lock(self, key: GameKey, deadline: float) -> Iterator[None]:
        """Holds the key's lock file. Raises GameFailed where another process holds it until the deadline."""
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        number = int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:4], "big") % LOCKS
        handle = os.open(locks / f"{number:03d}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES):
                        raise
                if time.monotonic() > deadline:
                    raise GameFailed(f"another process is making '{key}' or a game beside it; try again later")
                time.sleep(0.02)
            yield
        finally:
            os.close(handle)


def _whole(place: Path) -> bool:
    """Whether a game is there and undamaged."""
    try:
        meta = json.loads((place / "meta.json").read_text())
        return all(digest(place / name) == known for name, known in meta["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _in_a_child(key: GameKey, made: Path, scratch: Path, deadline: float) -> None:
    """Makes the game in a forked child, silent and with `scratch` for its temporary files."""
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _child(key, made, scratch, writing, parent)
    os.close(writing)
    said = b""
    try:
        while True:
            ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise GameFailed(f"making '{key}' takes too long; make it beforehand or take smaller parameters")
            chunk = os.read(reading, 4096)
            if not chunk:
                break
            said += chunk
    finally:
        os.close(reading)
        _end(child)
    if said != b"made":
        raise GameFailed(said.decode(errors="replace") or f"making '{key}' was killed; is there enough memory?")


def _end(child: int) -> None:
    """Ends the child and the compilers it started."""
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):  # a process that ignores its children's ends has none to wait for
        os.waitpid(child, 0)


def _child(key: GameKey, made: Path, scratch: Path, writing: int, parent: int) -> None:
    """The child's whole life; it never returns."""
    said = b"making a game failed"
    try:
        os.setsid()
        end_with(parent)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        tempfile.tempdir = str(scratch)
        os.environ["HOME"] = str(scratch)  # Inform makes a folder there, and a container's home is read-only.
        os.chdir(scratch)
        make(key, made)
        said = b"made"
    except GameFailed as error:
        said = str(error).encode()
    except BaseException as error:
        said = f"making '{key}' failed: {type(error).__name__}: {error}"[:1000].encode()
    finally:
        os.write(writing, said)
        os._exit(0)

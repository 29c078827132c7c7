"""What is made once a machine: directories below the cache that appear by one rename, whole.

One process makes a thing; the others wait for its file lock, which a killed process lets go. A directory lists the
sizes of its files, and one whose files have other sizes is made again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Shelf", "default_root"]

SIZES = "sizes.json"


def default_root() -> Path:
    """`$TURNHALLE_CACHE/search`, or `turnhalle/search` in the user's cache directory."""
    own = os.environ.get("TURNHALLE_CACHE")
    if own:
        return Path(own) / "search"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnhalle" / "search"


class Shelf:
    """Named directories, shared by any number of processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, name: str) -> bool:
        """Whether it is there and whole."""
        place = self.root / name
        try:
            sizes = json.loads((place / SIZES).read_text())
            return all((place / file).stat().st_size == size for file, size in sizes.items())
        except (OSError, ValueError, AttributeError):
            return False

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """The directory of a name; `make` fills an empty one where it is not there.

        Raises OSError, in a sentence, where the cache cannot be written, and whatever `make` raises.
        """
        place = self.root / name
        if self.has(name):
            return place
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=self.root))
        except OSError as error:
            raise OSError(f"the cache '{self.root}' cannot be written ({error.strerror}); set cache_dir") from error
        try:
            with self._lock(name):
                if not self.has(name):
                    make(scratch)
                    files = [file for file in sorted(scratch.rglob("*")) if file.is_file()]
                    sizes = {str(file.relative_to(scratch)): file.stat().st_size for file in files}
                    (scratch / SIZES).write_text(json.dumps(sizes))
                    for file in [*files, scratch / SIZES]:
                        _sync(file)
                    shutil.rmtree(place, ignore_errors=True)
                    scratch.rename(place)
                    _sync(self.root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return place

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        handle = os.open(self.root / f".lock-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

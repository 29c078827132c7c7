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
from collections.abc import Callable
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
            lock = os.open(self.root / f".lock-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OSError(f"the cache '{self.root}' cannot be written ({error.strerror}); set cache_dir") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.has(name):
                self._make(name, make)
        finally:
            os.close(lock)
        return place

    def _make(self, name: str, make: Callable[[Path], object]) -> None:
        """Only while the lock is held: what others have begun and left is taken away."""
        for left in self.root.glob(f".making-{name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".making-{name}.", dir=self.root))
        try:
            make(scratch)
            files = [file for file in sorted(scratch.rglob("*")) if file.is_file()]
            sizes = {str(file.relative_to(scratch)): file.stat().st_size for file in files}
            (scratch / SIZES).write_text(json.dumps(sizes))
            for file in [*files, scratch / SIZES]:
                _sync(file)
            shutil.rmtree(self.root / name, ignore_errors=True)
            scratch.chmod(0o755)
            scratch.rename(self.root / name)
            _sync(self.root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

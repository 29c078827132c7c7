"""Files of a sandbox, seen from outside: a path is walked a directory at a time and no symbolic link is followed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

__all__ = ["BadPath", "NoFile", "Placing", "open_file", "split"]

UNFINISHED = ".unfinished"
"""Name of what is being written, until it is whole."""
LONGEST_BYTES = 255
MOST_PARTS = 64


class BadPath(ValueError):
    """Raised for a path that leads nowhere in the sandbox or out of it; one sentence."""


class NoFile(LookupError):
    """Raised where there is no such file; one sentence."""


def split(path: str) -> list[str]:
    """The names of a relative path. Raises BadPath."""
    if "\0" in path:
        raise BadPath("a path holds a NUL byte; leave it out")
    if path.startswith("/"):
        raise BadPath(f"the path {path!r:.200} is absolute; paths are relative to the sandbox's working directory")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadPath(f"the path {path!r:.200} has a '..'; paths stay in the sandbox's working directory")
    if not parts or path.endswith("/"):
        raise BadPath(f"the path {path!r:.200} names no file")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        raise BadPath(f"the path {path!r:.200} is not UTF-8") from None
    if longest > LONGEST_BYTES or len(parts) > MOST_PARTS:
        raise BadPath(f"a path has {MOST_PARTS} names of {LONGEST_BYTES} bytes at most; {path!r:.60}… has more")
    return parts


def open_file(root: str, parts: Sequence[str]) -> int:
    """A descriptor that reads a regular file. Raises BadPath, NoFile."""
    shown = "/".join(parts)
    with _directory(root, parts, make=False) as directory:
        try:
            # Without O_NONBLOCK a named pipe would wait for its other end.
            descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        except OSError as error:
            raise _explained(error, shown) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadPath(f"{shown!r} is no regular file")
    return descriptor


class Placing:
    """A file being written: it takes its name when it is whole, and what bore the name before is kept until then."""

    def __init__(self, root: str, parts: Sequence[str], executable: bool) -> None:
        """Raises BadPath."""
        self.parts = parts
        self.directory = -1
        with _directory(root, parts, make=True) as directory:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with contextlib.suppress(OSError):
                os.unlink(UNFINISHED, dir_fd=directory)
            try:
                self.file = os.open(UNFINISHED, flags, 0o755 if executable else 0o644, dir_fd=directory)
            except OSError as error:
                raise _explained(error, "/".join(parts)) from None
            self.directory = os.dup(directory)

    def place(self) -> None:
        """Give the file its name. Raises BadPath where a directory has it."""
        try:
            os.rename(UNFINISHED, self.parts[-1], src_dir_fd=self.directory, dst_dir_fd=self.directory)
        except OSError as error:
            raise _explained(error, "/".join(self.parts)) from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Take away what was not placed; safe to call twice."""
        if self.directory < 0:
            return
        with contextlib.suppress(OSError):
            os.unlink(UNFINISHED, dir_fd=self.directory)
        os.close(self.directory)
        self.directory = -1


@contextlib.contextmanager
def _directory(root: str, parts: Sequence[str], *, make: bool):  # type: ignore[no-untyped-def]
    """A descriptor of the directory that holds the last of `parts`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    descriptor = os.open(root, flags)
    try:
        for at, part in enumerate(parts[:-1], start=1):
            try:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=descriptor)
                below = os.open(part, flags, dir_fd=descriptor)
            except OSError as error:
                raise _explained(error, "/".join(parts[:at])) from None
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _explained(error: OSError, shown: str) -> Exception:
    """The sentence of a failed call."""
    match error.errno:
        case errno.ENOENT:
            return NoFile(f"there is no file {shown!r} in the sandbox")
        case errno.ELOOP:
            return BadPath(f"{shown!r} is a symbolic link, which is not followed")
        case errno.ENOTDIR:
            return BadPath(f"{shown!r} is a symbolic link or a file, not a directory")
        case errno.EISDIR | errno.ENOTEMPTY:
            return BadPath(f"{shown!r} is a directory")
        case errno.ENOSPC | errno.EDQUOT:
            return BadPath(f"the sandbox's disk is full: {shown!r} was not written")
    return BadPath(f"{shown!r} cannot be opened: {error.strerror}")

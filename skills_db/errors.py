"""What can go wrong between the house and its memory, by name.

Every message is one sentence that says what was wrong and what to do; no password of a URL stands in it. The
transaction that raises has been rolled back: what was committed before is there, and nothing is half written.
"""

from __future__ import annotations

__all__ = [
    "BadQuery",
    "BadRecord",
    "EditConflict",
    "EmbedderMissing",
    "NotAStore",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "StoreNewer",
    "StoreOlder",
    "StoreReadOnly",
    "StoreUnreachable",
    "UnknownRecord",
]


class StoreError(Exception):
    """Base of every error of memory."""


class StoreUnreachable(StoreError, ConnectionError):
    """Raised when no database can be reached at the URL: no file, no server, no right to enter, an unknown scheme."""


class NotAStore(StoreError):
    """Raised when what is at the URL is no database, a damaged one, or somebody else's."""


class StoreNewer(StoreError):
    """Raised when the database was migrated by a later version of this code."""


class StoreOlder(StoreError):
    """Raised when the database needs a migration and was opened with none allowed."""


class StoreReadOnly(StoreError, PermissionError):
    """Raised when something is to be written and the file or the role may only read."""


class StoreFull(StoreError, OSError):
    """Raised when the disk has no room; make some and try again, nothing has been half written."""


class StoreBusy(StoreError, TimeoutError):
    """Raised when other writers kept the database locked for longer than the busy timeout."""


class StoreClosed(StoreError, RuntimeError):
    """Raised when a store or a writer is used after its close."""


class BadRecord(StoreError, ValueError):
    """Raised when a record cannot be kept: a reward that is not finite, lengths that differ, an unknown run."""


class EmbedderMissing(StoreError, LookupError):
    """Raised when no embedder has this name, or what it needs is not installed."""


class UnknownRecord(StoreError, LookupError):
    """Raised when nothing has this id."""


class EditConflict(StoreError):
    """Raised when a skill was edited by somebody else since the version that an edit is based on."""


class BadQuery(StoreError, ValueError):
    """Raised when a query is refused: it is no SQL, would write, or runs for too long."""

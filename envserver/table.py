"""Which sessions there are: those that are played here, and those that a server before this one has left on disk."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from time import monotonic

from envserver.config import ServerConfig
from envserver.errors import GymFull, UnknownSession
from envserver.ledger import Ledger
from envserver.metrics import Counts
from envserver.schema import EnvCard, Task
from envserver.session import Session
from envserver.workers.base import Home
from envserver.workers.nursery import Nursery

__all__ = ["Table"]


class Table(dict[str, Session]):
    """Every session that is played here, by id."""

    def __init__(
        self,
        config: ServerConfig,
        nursery: Nursery,
        home: Callable[[EnvCard], Home],
        counts: Counts,
        ledger: Ledger | None,
    ) -> None:
        super().__init__()
        self.config = config
        self.nursery = nursery
        self.home = home
        self.counts = counts
        self.ledger = ledger

    def find(self, id: str) -> Session:
        """A session, its lease renewed. Raises UnknownSession, and GymFull where it is left on disk and none fits."""
        session = self.known(id)
        if session is None:
            raise self.unknown(id)
        session.touched = monotonic()
        return session

    def known(self, id: str) -> Session | None:
        """The same, None where there is none."""
        session = self.get(id)
        if session is not None or self.ledger is None or (kept := self.ledger.recall(id)) is None:
            return session
        card = self.nursery.known(kept.task.env)
        if card is None:
            self.ledger.release(id)
            return None
        try:
            session = self.enter(id, kept.task, card, kept.parent)
        except GymFull:
            self.ledger.release(id)
            raise
        session.recall(kept)
        self.counts.recalled += 1
        return session

    def enter(self, id: str | None, task: Task, card: EnvCard, parent: tuple[str, int | None] | None) -> Session:
        """A new session, without a world. Raises GymFull."""
        if len(self) >= self.config.max_sessions:
            self.counts.refused += 1
            detail = f"all {self.config.max_sessions} sessions are taken; close some or ask again"
            raise GymFull(detail, retry_after_s=1.0)
        session = Session(id or uuid.uuid4().hex, task, card, self.home(card), parent)
        self[session.id] = session
        return session

    def keep(self, session: Session) -> None:
        """Begin to write down a session."""
        if self.ledger is not None:
            self.ledger.opened(session)

    def forget(self, id: str) -> None:
        """Write a session down no longer: it is closed, or has failed."""
        if self.ledger is not None:
            self.ledger.closed(id)

    def silent(self) -> list[Session]:
        """Sessions whose lease has run out."""
        since = monotonic() - self.config.lease_s
        return [
            session
            for session in self.values()
            if session.touched < since and session.playing is None and session.opening is None
        ]

    @staticmethod
    def unknown(id: str) -> UnknownSession:
        """What is said of an id that no session has."""
        return UnknownSession(
            f"no session '{id[:128]}': it never was, was closed, or its lease ran out", session=id[:128]
        )

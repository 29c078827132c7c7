"""A writer beside the loop: episodes are handed over in memory and committed in batches by a thread of its own.

Nothing is dropped. A full queue makes the caller wait; what memory refuses for good (`BadRecord`) is raised at once or
named by the next call; what it cannot take right now (a full disk, a lock, a lost server) stays queued, the next call
raises why, and each call tries again. `flush()` returns when everything handed over before it is committed; a killed
process loses what was not yet committed and nothing else.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from skills_db.episodes import check_episode
from skills_db.errors import BadRecord, StoreClosed, StoreError, UnknownRecord
from skills_db.store import Store
from skills_db.types import NewEpisode

__all__ = ["EpisodeWriter"]


@dataclass(frozen=True, slots=True)
class _Advantages:
    episode: str
    values: Sequence[float | None]


_Job = tuple[str, NewEpisode] | _Advantages


class EpisodeWriter:
    """Writes to `store`, which stays the caller's to close, after this one.

    `capacity` bounds the jobs that wait, `batch` those of one transaction. Every verb may be called from any thread;
    each may wait, so an event loop calls it by `asyncio.to_thread`.
    """

    def __init__(self, store: Store, *, capacity: int = 512, batch: int = 64) -> None:
        self._store = store
        self._capacity = capacity
        self._batch = batch
        self._jobs: deque[_Job] = deque()
        self._taken = 0  # jobs handed over since the beginning
        self._settled = 0  # of these: committed, or refused for good and reported
        self._refusal: Exception | None = None  # of a job that was refused for good
        self._stall: Exception | None = None  # why the first job in line cannot be written right now
        self._stalled = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="episode-writer", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Jobs that are not yet settled."""
        with self._changed:
            return self._taken - self._settled

    def add(self, run: str, episode: NewEpisode) -> None:
        """Hand over an episode. Raises BadRecord for one that could not be kept, and the error of an earlier job.

        Where an earlier job's error is raised, this episode has not been taken: call again.
        """
        check_episode(episode)
        self._hand_over((run, episode))

    def set_advantages(self, episode_id: str, advantages: Sequence[float | None]) -> None:
        """Hand over (T,) advantages; they are written after the episodes handed over before. Raises as `add` does."""
        self._hand_over(_Advantages(episode_id, list(advantages)))

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until what was handed over is committed. Raises what went wrong, TimeoutError after `timeout_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            self._wake()  # what stalled before is tried again, and does not speak for this try
            self._raise_error()
            target = self._taken
            while self._settled < target:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"{target - self._settled} jobs are not written to {self._store.where} yet")
                self._changed.wait(left)
                self._raise_error()
            self._raise_error()

    def close(self) -> None:
        """Write what waits and stop; idempotent, and called at the interpreter's exit. Raises what went wrong.

        Where memory cannot take what waits, the writer stays open with it: make room and close again.
        """
        with self._changed:
            if not self._thread.is_alive():
                return
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self.abandon()
        self._raise_error()

    def abandon(self) -> None:
        """Nothing more is tried at the interpreter's exit: for a caller that was told what `close` could not write."""
        atexit.unregister(self._close_at_exit)

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except StoreError as error:  # nobody is left to catch it, and a traceback would hide the sentence
            print(f"{self.waiting} records of play are lost: {error}", file=sys.stderr)

    def _hand_over(self, job: _Job) -> None:
        with self._changed:
            self._raise_error()
            while len(self._jobs) >= self._capacity and not self._closing:
                self._wake()
                self._changed.wait()
                self._raise_error()
            if self._closing:
                raise StoreClosed("the episode writer has been closed: make another one")
            self._jobs.append(job)
            self._taken += 1
            self._wake()

    def _wake(self) -> None:
        self._stalled, self._stall = False, None
        self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._refusal is not None:
            error, self._refusal = self._refusal, None
            raise error
        if self._stall is not None:
            error, self._stall = self._stall, None
            raise error

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._stalled or not self._jobs:
                    if self._closing:
                        return
                    self._changed.wait()
                jobs = [self._jobs[i] for i in range(min(self._batch, len(self._jobs)))]
            done = len(jobs)
            refusal: Exception | None = None
            stall: Exception | None = None
            try:
                refusal = self._write(jobs)
            except Exception as error:
                done, stall = 0, error
            with self._changed:
                for _ in range(done):
                    self._jobs.popleft()
                self._settled += done
                self._stalled, self._stall = not done, stall
                self._refusal = self._refusal or refusal
                self._changed.notify_all()

    def _write(self, jobs: Sequence[_Job]) -> StoreError | None:
        """Settle the jobs in one transaction, and say why one of them was refused for good."""
        try:
            self._commit(jobs)
        except (BadRecord, UnknownRecord) as error:
            if len(jobs) == 1:
                return error
            # One of them spoils the transaction: each on its own, so that the others are kept.
            refusals = [refusal for job in jobs if (refusal := self._write([job])) is not None]
            return refusals[0] if refusals else None
        return None

    def _commit(self, jobs: Sequence[_Job]) -> None:
        episodes = [job for job in jobs if not isinstance(job, _Advantages)]
        # Advantages are handed over after their episode, so writing them last keeps the order that matters.
        advantages = [(job.episode, job.values) for job in jobs if isinstance(job, _Advantages)]
        self._store.add_episodes(episodes, advantages)

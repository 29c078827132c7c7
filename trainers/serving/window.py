"""The window in which the policy may learn: MetaClaw's scheduler (arXiv 2603.17187) as a state machine.

    IDLE_WAIT -> WINDOW_OPEN -> UPDATING -> PAUSING -> IDLE_WAIT

A window is open in quiet hours, or while nobody has asked for a time. Who asks closes it: an update under way pauses at
its next micro-batch and goes on in the next window. Ours: in quiet hours a window waits until requests have settled;
`min_window_minutes`, which the released code does not read, keeps one from opening when the quiet hours are nearly
over; whether somebody sits at the machine is not looked at, since who is served sits elsewhere.

Rule: the state changes under one lock. `boundary` is the learner's thread's, all else the event loop's.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from trainers.serving.config import WindowConfig

__all__ = ["Clock", "Dropped", "State", "SystemClock", "Window"]


class Dropped(Exception):
    """Raised at a boundary in an update that is not to be finished."""


class Clock(Protocol):
    """What time it is."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    def local(self) -> datetime:
        """Local time of day."""
        ...


class SystemClock:
    """The machine's."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def local(self) -> datetime:
        """Local time of day."""
        return datetime.now()


class State(StrEnum):
    """Where the scheduler is."""

    IDLE_WAIT = "idle_wait"
    """The policy is needed, or may be soon."""
    WINDOW_OPEN = "window_open"
    """It may learn, and there is no batch yet."""
    UPDATING = "updating"
    """It learns."""
    PAUSING = "pausing"
    """It is needed again, and the micro-batch under way is being finished."""


class Window:
    """One server's."""

    def __init__(self, config: WindowConfig, clock: Clock) -> None:
        self.config = config
        self.state = State.IDLE_WAIT
        self.pauses = 0
        """Updates that gave way so far."""
        self._clock = clock
        self._in_flight = 0
        self._last_s = clock.monotonic()
        self._begun = False
        self._dropped = False
        self._change = threading.Condition()
        self._free = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether an update is under way or paused."""
        return self._begun

    @contextmanager
    def asked(self) -> Iterator[None]:
        """While a request is being answered no window is open."""
        with self._change:
            self._in_flight += 1
            self._last_s = self._clock.monotonic()
            self._shut()
        try:
            yield
        finally:
            with self._change:
                self._in_flight -= 1
                if not self._in_flight:
                    self._free.set()
                self._last_s = self._clock.monotonic()

    async def unasked(self) -> None:
        """Return at a moment when nobody is being answered."""
        while self._in_flight:
            self._free.clear()
            await self._free.wait()

    def tick(self, *, ready: bool) -> State:
        """The state by now; `ready` says whether there is something to learn from."""
        with self._change:
            if self.reason() is None:
                self._shut()
                return self.state
            if self.state is State.IDLE_WAIT:
                self.state = State.WINDOW_OPEN
            if self.state is State.WINDOW_OPEN and (self._begun or ready):
                self.state, self._begun = State.UPDATING, True
                self._change.notify_all()
            return self.state

    def reason(self) -> str | None:
        """Why a window is open, or may open; None where it may not."""
        silent_s = self._clock.monotonic() - self._last_s
        if self._in_flight:
            return None
        idle_minutes = self.config.idle_minutes
        if idle_minutes is not None and silent_s >= 60 * idle_minutes:
            return f"no request for {idle_minutes:g} minutes"
        left_minutes = self._quiet_minutes()
        least = self.config.min_window_minutes if self.state is State.IDLE_WAIT else 0.0
        if left_minutes > 0 and left_minutes >= least and silent_s >= self.config.settle_s:
            return f"quiet hours {self.config.quiet_hours}"
        return None

    def boundary(self) -> None:
        """The learner stands between two micro-batches; returns when it may go on. Raises Dropped."""
        with self._change:
            if self.state is State.PAUSING:
                self.state = State.IDLE_WAIT
            while self.state is not State.UPDATING and not self._dropped:
                self._change.wait()
            if self._dropped:
                raise Dropped

    def drop(self) -> None:
        """The update under way is not to go on: its next boundary, or the one it stands at, raises Dropped."""
        with self._change:
            self._dropped = self._begun
            self._change.notify_all()

    def done(self) -> None:
        """The update is over, finished or dropped."""
        with self._change:
            self._begun = self._dropped = False
            if self.state is State.UPDATING:
                self.state = State.WINDOW_OPEN
            elif self.state is State.PAUSING:
                self.state = State.IDLE_WAIT

    def _shut(self) -> None:
        if self.state is State.WINDOW_OPEN:
            self.state = State.IDLE_WAIT
        elif self.state is State.UPDATING:
            self.state = State.PAUSING
            self.pauses += 1

    def _quiet_minutes(self) -> float:
        """How long the quiet hours still last; 0 outside of them."""
        if self.config.quiet is None:
            return 0.0
        begin, end = self.config.quiet
        now = self._clock.local()
        wall = now.time()
        inside = begin <= wall < end if begin < end else wall >= begin or wall < end
        if not inside:
            return 0.0
        closes = datetime.combine(now.date(), end, now.tzinfo)
        if closes <= now:
            closes += timedelta(days=1)
        return (closes - now).total_seconds() / 60

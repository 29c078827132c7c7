"""The scheduler's state machine, with a clock that is moved by hand."""

from __future__ import annotations

import threading
import time

import pytest
from served import Hands

from trainers.serving.config import WindowConfig
from trainers.serving.window import Dropped, State, Window


def window(clock: Hands, quiet: str = "", idle: float | None = 10, least: float = 0, settle_s: float = 60) -> Window:
    return Window(
        WindowConfig(quiet_hours=quiet, idle_minutes=idle, min_window_minutes=least, settle_s=settle_s), clock
    )


def test_silence_opens_a_window_and_a_request_closes_it() -> None:
    clock = Hands()
    found = window(clock)
    clock.move(minutes=9.9)
    assert found.tick(ready=True) is State.IDLE_WAIT
    clock.move(minutes=0.2)
    assert found.tick(ready=False) is State.WINDOW_OPEN
    assert found.reason() == "no request for 10 minutes"
    with found.asked():
        assert found.state is State.IDLE_WAIT
        clock.move(hours=1)
        assert found.tick(ready=True) is State.IDLE_WAIT, "an answer that takes an hour is no silence"
    assert found.tick(ready=True) is State.IDLE_WAIT
    clock.move(minutes=10)
    assert found.tick(ready=True) is State.UPDATING


@pytest.mark.parametrize(
    ("quiet", "hours", "is_open"),
    [
        ("23:00-07:00", 10.9, False),
        ("23:00-07:00", 11, True),
        ("23:00-07:00", 12.5, True),
        ("23:00-07:00", 18.9, True),
        ("23:00-07:00", 19, False),
        ("13:00-14:00", 1.5, True),
        ("13:00-14:00", 2, False),
    ],
)
def test_quiet_hours_are_local_and_may_wrap_midnight(quiet: str, hours: float, is_open: bool) -> None:
    clock = Hands()
    found = window(clock, quiet=quiet, idle=None)
    clock.move(hours=hours)  # from noon
    assert (found.tick(ready=False) is State.WINDOW_OPEN) is is_open


def test_quiet_hours_that_are_nearly_over_open_no_window_but_do_not_close_one() -> None:
    clock = Hands()
    late, early = (window(clock, quiet="13:00-14:00", idle=None, least=15) for _ in range(2))
    clock.move(minutes=100)
    assert early.tick(ready=False) is State.WINDOW_OPEN
    clock.move(minutes=10)
    assert early.tick(ready=True) is State.UPDATING
    assert late.tick(ready=True) is State.IDLE_WAIT


def test_in_quiet_hours_a_window_waits_until_requests_have_settled() -> None:
    clock = Hands()
    found = window(clock, quiet="11:00-13:00", idle=None, settle_s=60)
    with found.asked():
        pass
    clock.move(minutes=0.9)
    assert found.tick(ready=False) is State.IDLE_WAIT
    clock.move(minutes=0.2)
    assert found.tick(ready=False) is State.WINDOW_OPEN


def stood(found: Window) -> tuple[threading.Thread, list[str]]:
    """A thread that comes to two boundaries."""
    seen: list[str] = []

    def learn() -> None:
        try:
            for name in ("first", "second"):
                found.boundary()
                seen.append(name)
        except Dropped:
            seen.append("dropped")

    thread = threading.Thread(target=learn)
    thread.start()
    return thread, seen


def until(found: Window, state: State) -> None:
    for _ in range(2000):
        if found.state is state:
            return
        time.sleep(0.001)
    raise AssertionError(found.state)


def test_an_update_under_way_pauses_at_a_boundary_and_goes_on_in_the_next_window() -> None:
    clock = Hands()
    found = window(clock)
    clock.move(minutes=11)
    assert found.tick(ready=True) is State.UPDATING
    with found.asked():
        assert found.state is State.PAUSING
        thread, seen = stood(found)
        until(found, State.IDLE_WAIT)
    assert seen == []
    assert found.begun
    clock.move(minutes=11)
    assert found.tick(ready=False) is State.UPDATING, "it goes on, though there is no other batch"
    thread.join(10)
    assert seen == ["first", "second"]
    found.done()
    assert (found.state, found.begun, found.pauses) == (State.WINDOW_OPEN, False, 1)


def test_an_update_that_stands_can_be_dropped() -> None:
    clock = Hands()
    found = window(clock)
    clock.move(minutes=11)
    found.tick(ready=True)
    with found.asked():
        thread, seen = stood(found)
        until(found, State.IDLE_WAIT)
        found.drop()
        thread.join(10)
    assert seen == ["dropped"]
    found.done()
    clock.move(minutes=11)
    assert found.tick(ready=False) is State.WINDOW_OPEN, "nothing is left to go on with"


@pytest.mark.parametrize("span", ["7-9", "23:00", "24:00-07:00", "07:00-07:00", "23:00-07:60"])
def test_a_span_of_hours_that_is_none_is_refused(span: str) -> None:
    with pytest.raises(ValueError, match="no span of hours"):
        WindowConfig(quiet_hours=span)


def test_a_window_that_never_opens_is_refused() -> None:
    with pytest.raises(ValueError, match="never open"):
        WindowConfig(quiet_hours="", idle_minutes=None)

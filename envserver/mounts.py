"""What a server serves beside its worlds, each mount under a path of its name: `/memory`.

A mount is an entry point of the group `envserver.mounts`: a function of the setting it is given and the server's token,
None where it has none, that is a context manager over an ASGI application. It is entered before the server has a port,
so what it raises is the sentence that the command ends with, and left after the last request.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from envserver.plugins import NoSuchPlugin

__all__ = ["Mounts"]

GROUP = "envserver.mounts"

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
Mount = Callable[[str, str | None], AbstractContextManager[Application]]


class Mounts:
    """The applications that were asked for, by name, until they are closed."""

    def __init__(self, settings: Mapping[str, str] | None = None, token: str | None = None) -> None:
        """Enter each mount. Raises NoSuchPlugin, and what a mount raises."""
        self.apps: dict[str, Application] = {}
        with ExitStack() as entered:
            for name, setting in (settings or {}).items():
                self.apps[name] = entered.enter_context(_load(name)(setting, token))
            self._stack = entered.pop_all()

    def close(self) -> None:
        """Leave each mount, the last one first; idempotent."""
        self._stack.close()


def _load(name: str) -> Mount:
    there: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}
    if name not in there:
        close = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(there))}"
        raise NoSuchPlugin(f"no mount is named '{name}'; {hint}")
    try:
        mount: Mount = there[name].load()
    except ModuleNotFoundError as error:
        raise NoSuchPlugin(f"the mount '{name}' needs '{error.name}': install what brings it") from error
    return mount

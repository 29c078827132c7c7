"""A plugin is a file: a name becomes a module, and the module's `__all__` names the one class.

Nothing is registered by hand and listing imports nothing. Third parties add theirs by an entry point in the group that
is the shelf's module path, such as `envserver.envs`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TypeVar

__all__ = ["NoSuchPlugin", "load", "names", "require"]

T = TypeVar("T")


class NoSuchPlugin(LookupError):
    """Raised when a shelf has no plugin of this name, or the plugin's extra is not installed."""


def names(shelf: str) -> list[str]:
    """Names on a shelf (`envserver.envs`), ours and third parties', sorted, without importing any of them."""
    package = importlib.import_module(shelf)
    own = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = {name for name in own if not name.startswith("_") and name not in ("base", "core")}
    return sorted(found | set(_third_party(shelf)))


def require(shelf: str, name: str) -> None:
    """Raises NoSuchPlugin, with a suggestion, where the shelf has no plugin of this name; imports none."""
    known = names(shelf)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(known)}"
        raise NoSuchPlugin(f"no {_noun(shelf)} is named '{name}'{hint}")


def load(shelf: str, name: str, kind: type[T], *, extras: Mapping[str, str] | None = None) -> type[T]:
    """The class that plugin `name` of `shelf` offers.

    `extras` maps a missing top-level module to the extra that brings it. Raises NoSuchPlugin, with a suggestion, for a
    name that is not there, and TypeError where the module's `__all__` does not hold exactly one subclass of `kind`.
    """
    require(shelf, name)
    noun = _noun(shelf)
    path = _third_party(shelf).get(name, f"{shelf}.{name}")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        extra = (extras or {}).get(missing)
        if extra is None:
            raise
        raise NoSuchPlugin(f"{noun} '{name}' needs its extra: pip install 'turnhalle[{extra}]'") from error
    offered = [getattr(module, public) for public in getattr(module, "__all__", ())]
    classes = [item for item in offered if isinstance(item, type) and issubclass(item, kind) and item is not kind]
    if len(classes) != 1:
        raise TypeError(f"{path}.__all__ must name exactly one {kind.__name__}, it names {len(classes)}")
    return classes[0]


def _noun(shelf: str) -> str:
    shelved = shelf.rpartition(".")[2]
    return shelved.removesuffix("es" if shelved.endswith("xes") else "s")


def _third_party(shelf: str) -> dict[str, str]:
    """Entry points of the shelf's group: name -> module path."""
    return {point.name: point.value.partition(":")[0] for point in entry_points(group=shelf)}

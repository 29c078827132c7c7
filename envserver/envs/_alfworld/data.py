"""The official games of this machine, indexed once a process and read one by one.

Whatever `alfworld-download` leaves (`folder.py`) or a packed file (`pack.py`). What was added to the data after it was
indexed is not seen.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from envserver.envs._alfworld import folder, pack
from envserver.envs._alfworld.index import DataUnreadable, Index
from envserver.envs._alfworld.keys import SPLITS, OfficialKey
from envserver.envs._alfworld.row import Row

__all__ = ["Data", "DataUnreadable", "open_data"]


class Data:
    """One data set."""

    def __init__(self, path: Path, index: Index, *, packed: bool) -> None:
        self.path = path
        self.index = index
        self.packed = packed

    def ids(self, split: str) -> list[str]:
        """Ids of the games of a split."""
        return list(self.index.games[split])

    def row(self, key: OfficialKey) -> Row:
        """The game of a key. Raises KeyError where it is not there or skipped, GameUnreadable where it is damaged."""
        where = self.index.games[key.split].get(key.id)
        if where is not None:
            return pack.read_game(self.path, key.id, where) if self.packed else folder.read_game(self.path, key.id)
        if reason := self.index.skipped.get(key.id):
            raise KeyError(f"the game is in the data, but {reason}")
        there = ", ".join(f"{split} {len(games)}" for split, games in self.index.games.items() if games)
        raise KeyError(f"the data of this server has no such game; it has {there}")


def open_data(path: Path | None, cache_dir: Path | None) -> Data:
    """The data at `path`; None: at `$ALFWORLD_DATA`, else where alfworld-download puts it. Raises DataUnreadable."""
    place = path or Path(os.environ.get("ALFWORLD_DATA") or Path.home() / ".cache" / "alfworld")
    try:
        place.stat()
    except OSError as error:
        raise DataUnreadable(
            f"ALFWorld's official games are not at {place} ({error.strerror}); run alfworld-download, start the server "
            "with the option data, or play family 'generated'"
        ) from error
    return _open(place.absolute(), cache_dir or _default_cache())


@lru_cache(maxsize=8)
def _open(path: Path, cache_dir: Path) -> Data:
    if path.is_dir():
        path = folder.split_root(path)
        data = Data(path, folder.scan(path), packed=False)
    elif path.name.endswith((".jsonl", ".jsonl.xz")):
        unpacked = pack.plain(path, cache_dir)
        data = Data(unpacked, pack.scan(unpacked), packed=True)
    else:
        raise DataUnreadable(f"{path} is no ALFWorld data; give a directory, a .jsonl or a .jsonl.xz")
    if not len(data.index):
        why = data.index.reasons() or f"it has no game of {', '.join(SPLITS)}"
        raise DataUnreadable(f"{path} has no game that can be played ({why}); run alfworld-download again")
    return data


def _default_cache() -> Path:
    own = os.environ.get("TURNHALLE_CACHE")
    if own:
        return Path(own) / "alfworld"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnhalle" / "alfworld"

"""Which tasks there are: 30 of them by name, their variations by number, and how lists split them.

A key is `TASK/VARIATION`, such as `boil/13`. Numbers are those of scienceworld 1.2.3; they are written here so that
listing tasks starts no JVM.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Literal

__all__ = ["SPLITS", "VARIATIONS", "ListName", "keys", "parse", "variations"]

ListName = Literal["official", "L0", "L1", "L2"]
SPLITS = ("train", "valid", "test")

VARIATIONS = {
    "boil": 30,
    "change-the-state-of-matter-of": 30,
    "chemistry-mix": 32,
    "chemistry-mix-paint-secondary-color": 36,
    "chemistry-mix-paint-tertiary-color": 36,
    "find-animal": 300,
    "find-living-thing": 300,
    "find-non-living-thing": 300,
    "find-plant": 300,
    "freeze": 30,
    "grow-fruit": 126,
    "grow-plant": 126,
    "identify-life-stages-1": 14,
    "identify-life-stages-2": 10,
    "inclined-plane-determine-angle": 168,
    "inclined-plane-friction-named-surfaces": 1386,
    "inclined-plane-friction-unnamed-surfaces": 162,
    "lifespan-longest-lived": 125,
    "lifespan-longest-lived-then-shortest-lived": 125,
    "lifespan-shortest-lived": 125,
    "measure-melting-point-known-substance": 436,
    "measure-melting-point-unknown-substance": 300,
    "melt": 30,
    "mendelian-genetics-known-plant": 120,
    "mendelian-genetics-unknown-plant": 480,
    "power-component": 20,
    "power-component-renewable-vs-nonrenewable-energy": 20,
    "test-conductivity": 900,
    "test-conductivity-of-unknown-substances": 600,
    "use-thermometer": 540,
}
"""Variations of each task, in the package's order."""

UNLISTED = {"use-thermometer"}
"""What no list of RLVMR holds."""
HELD_OUT = {
    "change-the-state-of-matter-of",
    "chemistry-mix-paint-tertiary-color",
    "find-plant",
    "grow-plant",
    "identify-life-stages-2",
    "inclined-plane-friction-unnamed-surfaces",
    "lifespan-longest-lived-then-shortest-lived",
    "measure-melting-point-unknown-substance",
    "mendelian-genetics-unknown-plant",
    "test-conductivity-of-unknown-substances",
}
"""The task types that L2 tests and never trains on."""

KEY = re.compile(r"([a-z0-9-]{1,64})/(0|[1-9][0-9]{0,3})")


def variations(task: str, split: str) -> range:
    """The package's own splits: half of the variations, the quarter after it, and what is left."""
    total = VARIATIONS[task]
    quarter = total // 4
    bounds = {"train": (0, 2 * quarter), "valid": (2 * quarter, 3 * quarter), "test": (3 * quarter, total)}
    return range(*bounds[split])


def keys(list_name: ListName, split: str, tasks: Sequence[str] = ()) -> list[str]:
    """Keys of a split of a list, task by task; of `tasks` alone where there are any."""
    if split not in SPLITS:
        raise KeyError(f"ScienceWorld has no split '{split[:40]}'; there are: {', '.join(SPLITS)}")
    wanted = [task for task in VARIATIONS if not tasks or task in tasks]
    if list_name == "official":
        return [f"{task}/{number}" for task in wanted for number in variations(task, split)]
    if split == "valid":
        return []
    wanted = [task for task in wanted if task not in UNLISTED]
    if list_name == "L2":
        wanted = [task for task in wanted if (task in HELD_OUT) == (split == "test")]
    own = "valid" if (list_name, split) == ("L0", "test") else split
    return [f"{task}/{number}" for task in wanted for number in variations(task, own)]


def parse(key: str) -> tuple[str, int]:
    """Task and variation of a key. Raises KeyError with a sentence."""
    match = KEY.fullmatch(key)
    if match is None:
        raise KeyError(f"'{key[:80]}' names no task; keys look like boil/13")
    task, number = match[1], int(match[2])
    if task not in VARIATIONS:
        close = difflib.get_close_matches(task, VARIATIONS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(VARIATIONS)}"
        raise KeyError(f"ScienceWorld has no task '{task}'; {hint}")
    if number >= VARIATIONS[task]:
        raise KeyError(f"'{task}' has variations 0 to {VARIATIONS[task] - 1}, not {number}")
    return task, number

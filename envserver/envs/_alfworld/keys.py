"""What an ALFWorld key names, and which keys a split lists.

`generated/pick_and_place_simple/train/0042` is a game that is made from its key; `bathroom/...` is one in that kind of
room; `official/valid_seen/TASK/TRIAL` is one of the data, by the names of its directories. A key has one spelling.
Every prefix of a listing mixes the types as the whole does, so that the first hundred keys are a fair sample.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from envserver.envs._alfworld.goals import TYPES

__all__ = [
    "ROOMS",
    "SIZES",
    "SPLITS",
    "GeneratedKey",
    "OfficialKey",
    "generated",
    "mixed",
    "official",
    "parse",
    "split_of",
    "type_of",
]

SPLITS = ("train", "valid_seen", "valid_unseen")
SIZES = {"train": 10_000, "valid_seen": 1_000, "valid_unseen": 1_000}
"""Generated games that a split lists; a type's games are numbered below that."""
ROOMS = {
    "kitchen": tuple(name for name in TYPES if name != "look_at_obj_in_light"),
    "living_room": ("pick_and_place_simple", "look_at_obj_in_light", "pick_two_obj_and_place"),
    "bedroom": ("pick_and_place_simple", "look_at_obj_in_light", "pick_two_obj_and_place"),
    "bathroom": ("pick_and_place_simple", "pick_clean_then_place_in_recep", "pick_two_obj_and_place"),
}
"""The types of task that each kind of room has the furniture for."""
FAMILIES = ("generated", *ROOMS)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """A game that is made."""

    task_type: str
    split: str
    number: int
    family: str = "generated"
    """Any room, or a kind of room."""

    def __str__(self) -> str:
        return f"{self.family}/{self.task_type}/{self.split}/{self.number:04d}"


@dataclass(frozen=True, slots=True)
class OfficialKey:
    """A game of the official data."""

    split: str
    task: str
    """Directory of the task, such as `pick_and_place_simple-Box-None-Sofa-220`."""
    trial: str

    def __str__(self) -> str:
        return f"official/{self.split}/{self.task}/{self.trial}"

    @property
    def id(self) -> str:
        """As the data names it."""
        return f"{self.split}/{self.task}/{self.trial}"


def parse(key: str) -> GeneratedKey | OfficialKey:
    """The game a key names. Raises KeyError, with the form of a key, where it names none."""
    parts = key.split("/") if key.isascii() and len(key) <= 512 else []
    match parts:
        case [family, task_type, split, number] if family in FAMILIES:
            if task_type not in (types := ROOMS.get(family, TYPES)):
                where = "ALFWorld" if family == "generated" else f"a {family}"
                raise KeyError(f"{where} has no task type '{task_type[:40]}'; there are: {', '.join(types)}")
            _check_split(split)
            if not re.fullmatch(r"\d{4}", number) or int(number) >= SIZES[split]:
                raise KeyError(
                    f"{family} {split} games are numbered 0000 to {SIZES[split] - 1:04d}, not '{number[:40]}'"
                )
            return GeneratedKey(task_type, split, int(number), family)
        case ["official", split, task, trial]:
            _check_split(split)
            if split_of(f"{split}/{task}/{trial}") == split:
                return OfficialKey(split, task, trial)
    raise KeyError(
        f"ALFWorld has no key {key[:80]!r}; keys look like generated/pick_and_place_simple/train/0042 "
        "or official/valid_seen/TASK/TRIAL"
    )


def type_of(name: str) -> str:
    """The type of the official game of this id."""
    return name.split("/")[1].partition("-")[0]


def split_of(name: str) -> str | None:
    """The split of the official game of this id; None where no key names it, as in ALFRED's types that are left out."""
    split, _, rest = name.partition("/")
    task, _, trial = rest.partition("/")
    named = NAME.fullmatch(task) and NAME.fullmatch(trial) and ".." not in name and name.isascii()
    return split if named and split in SIZES and type_of(name) in TYPES and "Sliced" not in task else None


@lru_cache(maxsize=64)
def generated(split: str, weights: tuple[tuple[str, float], ...], family: str = "generated") -> tuple[str, ...]:
    """The generated keys of a split; `weights` are the types that are listed, each with its share."""
    _check_split(split)
    keys = {name: _numbered(GeneratedKey(name, split, 0, family)) for name, _ in weights}
    return tuple(mixed(keys, dict(weights), SIZES[split]))


def _numbered(first: GeneratedKey) -> Iterator[str]:
    return (str(replace(first, number=number)) for number in range(SIZES[first.split]))


def official(ids: Sequence[str], weights: tuple[tuple[str, float], ...], *, by_weight: bool) -> list[str]:
    """The keys of the games of one split that are of a listed type, in an order that does not cluster.

    With `by_weight` they are mixed by weight as long as each type's games last, else as they come.
    """
    shuffled = sorted(ids, key=lambda name: hashlib.sha256(name.encode()).digest())
    by_type: dict[str, list[str]] = {name: [] for name, _ in weights}
    keys = []
    for name in shuffled:
        if type_of(name) in by_type:
            keys.append(f"official/{name}")
            by_type[type_of(name)].append(keys[-1])
    if not by_weight:
        return keys
    return list(mixed({name: iter(games) for name, games in by_type.items()}, dict(weights), len(keys)))


def mixed(keys: Mapping[str, Iterator[str]], weights: Mapping[str, float], count: int) -> Iterator[str]:
    """At most `count` keys, each type as often as its weight says, as long as its keys last."""
    left = {name: keys[name] for name, weight in weights.items() if weight > 0}
    taken = dict.fromkeys(left, 0)
    for _ in range(count):
        while left:
            name = min(left, key=lambda name: (taken[name] + 0.5) / weights[name])
            found = next(left[name], None)
            if found is not None:
                taken[name] += 1
                yield found
                break
            del left[name]


def _check_split(split: str) -> None:
    if split not in SIZES:
        raise KeyError(f"ALFWorld has no split '{split[:40]}'; there are: {', '.join(SPLITS)}")

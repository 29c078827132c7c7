"""What a TextWorld key names: a family, its parameters, a split and a number; or an official game file.

A key has one spelling and names a game completely. No two splits share a generator seed: each split owns a range of its
own, and within a family's parameters every (number, attempt) has a seed of its own.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["ATTEMPTS", "FAMILIES", "SIZES", "FileKey", "GameKey", "check_family", "parse"]

SIZES = {"train": 10_000, "valid": 1_000, "test": 1_000}
"""Games of each split, for every family and every choice of parameters."""
SEED_RANGES = {"train": (0, 1 << 31), "valid": (1 << 31, 1 << 30), "test": (3 << 30, 1 << 30)}
"""First seed and number of seeds of each split."""
ATTEMPTS = 64
"""Seeds a game may try: some give no quest, and some give a game of another split."""

FAMILIES = {
    "custom": (
        re.compile(r"w(?P<rooms>[1-9]\d?)-o(?P<objects>[1-9]\d?)-q(?P<quest>[1-9]\d?)"),
        "custom/w2-o3-q4 (rooms 1 to 20, objects 1 to 60, quest length 1 to 20)",
    ),
    "simple": (
        re.compile(r"(?P<rewards>sparse|balanced|dense)-(?P<goal>detailed|brief|none)"),
        "simple/dense-detailed (sparse, balanced or dense; detailed, brief or none)",
    ),
    "cooking": (
        re.compile(
            r"recipe(?P<recipe>[1-5])(?:-take(?P<take>[1-5]))?(?:-go(?P<go>6|9|12))?"
            r"(?P<open>-open)?(?P<cook>-cook)?(?P<cut>-cut)?(?P<drop>-drop)?"
        ),
        "cooking/recipe2-take1-go6-open-cook-cut-drop (in this order, all but the recipe may be left out)",
    ),
    "coin_collector": (re.compile(r"l(?P<level>[1-9]\d{0,2})"), "coin_collector/l5 (levels of at most 100 rooms)"),
    "treasure_hunter": (re.compile(r"l(?P<level>[1-9]\d?)"), "treasure_hunter/l5 (levels 1 to 30)"),
}
"""Family -> the form of its parameters, and an example that says their bounds."""

FILE_NAME = re.compile(r"[A-Za-z0-9_+=][A-Za-z0-9_+=.,-]{0,199}")


@dataclass(frozen=True)
class GameKey:
    """A game that is generated."""

    family: str
    params: str
    split: str
    number: int

    def __str__(self) -> str:
        return f"{self.family}/{self.params}/{self.split}/{self.number:04d}"

    @cached_property
    def settings(self) -> dict[str, str | None]:
        """The parameters by name, as they are spelt."""
        match = FAMILIES[self.family][0].fullmatch(self.params)
        assert match is not None, self.params
        return match.groupdict()

    def seed(self, attempt: int) -> int:
        """Seed of the generator, for an attempt in [0, 64); inside the split's range."""
        first, count = SEED_RANGES[self.split]
        start = int.from_bytes(hashlib.sha256(f"{self.family}/{self.params}".encode()).digest()[:8], "big")
        return first + (start + self.number * ATTEMPTS + attempt) % count


@dataclass(frozen=True)
class FileKey:
    """An official game file of the server's games directory."""

    split: str
    name: str
    """File name without its `.z8`."""

    def __str__(self) -> str:
        return f"file/{self.split}/{self.name}"


def check_family(text: str) -> None:
    """Raises ValueError, with the family's form, where `text` is no family with parameters such as custom/w2-o3-q4."""
    family, _, params = text.partition("/")
    if family not in FAMILIES:
        raise ValueError(f"TextWorld has no family '{family[:40]}'; there are: {', '.join(FAMILIES)}, file")
    pattern, form = FAMILIES[family]
    match = pattern.fullmatch(params)
    if match is None or not _in_bounds(family, match.groupdict()):
        raise ValueError(f"'{text[:80]}' names no game of this family; it looks like {form}")


def parse(key: str) -> GameKey | FileKey:
    """The game a key names. Raises KeyError, with the form of a key, where it names none."""
    parts = key.split("/") if key.isascii() and len(key) <= 256 else []
    if len(parts) == 3 and parts[0] == "file":
        if parts[1] not in SIZES or not FILE_NAME.fullmatch(parts[2]) or ".." in parts[2]:
            raise KeyError(f"'{key[:80]}' names no game file; it looks like file/test/NAME, without .z8")
        return FileKey(parts[1], parts[2])
    if len(parts) != 4:
        raise KeyError(
            f"TextWorld has no key {key[:80]!r}; keys look like custom/w2-o3-q4/train/0007 or file/test/NAME"
        )
    family, params, split, number = parts
    try:
        check_family(f"{family}/{params}")
    except ValueError as error:
        raise KeyError(str(error)) from error
    if split not in SIZES:
        raise KeyError(f"TextWorld has no split '{split[:40]}'; there are: {', '.join(SIZES)}")
    if not re.fullmatch(r"\d{4}", number) or int(number) >= SIZES[split]:
        raise KeyError(f"the {split} split's games are numbered 0000 to {SIZES[split] - 1:04d}, not '{number[:40]}'")
    return GameKey(family, params, split, int(number))


def _in_bounds(family: str, settings: dict[str, str | None]) -> bool:
    """Whether the generator takes these settings and a game of them fits a .z8 file."""
    match family:
        case "custom":
            return (
                int(settings["rooms"] or 0) <= 20
                and int(settings["objects"] or 0) <= 60
                and int(settings["quest"] or 0) <= 20
            )
        case "cooking":
            return int(settings["take"] or 0) <= int(settings["recipe"] or 0)
        case "coin_collector":
            level = int(settings["level"] or 0)
            return level <= 300 and ((level - 1) // 100 + 1) * ((level - 1) % 100 + 1) <= 100
        case "treasure_hunter":
            return int(settings["level"] or 0) <= 30
        case _:
            return True

"""Official games as `alfworld-download` leaves them: `json_2.1.1/SPLIT/TASK/TRIAL/` with game.tw-pddl, traj_data.json.

Indexing reads the end of each game file alone, where its flag stands. A game's own grammar and domain are not used, so
data of 0.2.x (`put X in/on Y`) and of 0.4.x (`move X to Y`) are the same games.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from envserver.envs._alfworld.index import DataUnreadable, Index, told
from envserver.envs._alfworld.keys import SPLITS, split_of
from envserver.envs._alfworld.row import GameUnreadable, Row

__all__ = ["read_game", "scan", "split_root"]

GAME = "game.tw-pddl"
TRAJECTORY = "traj_data.json"
TAIL_BYTES = 4096
SOLVABLE = re.compile(rb'"solvable"\s*:\s*(true|false|null)')
SENTENCE = re.compile(r"Your task is to: (.*?)\.?\"", re.DOTALL)


def split_root(path: Path) -> Path:
    """The directory with the splits in it: the newest `json_*` below `path`, or `path`. Raises DataUnreadable."""
    try:
        names = sorted(os.listdir(path), reverse=True)
        for root in (path, *(path / name for name in names if name.startswith("json_"))):
            if any((root / split).is_dir() for split in SPLITS):
                return root
        zips = [name for name in names if name.endswith(".zip")]
    except OSError as error:
        raise DataUnreadable(f"ALFWorld's data in {path} cannot be read: {error.strerror}") from error
    hint = f"it has {zips[0]}, which is not unpacked" if zips else "it has none of the directories " + ", ".join(SPLITS)
    raise DataUnreadable(f"{path} holds no ALFWorld data: {hint}; run alfworld-download with ALFWORLD_DATA={path}")


def scan(root: Path) -> Index:
    """What is below `root`. Raises DataUnreadable where that cannot be read."""
    index = Index()
    found: list[tuple[str, str]] = []
    try:
        for split in SPLITS:
            for task in _directories(root / split):
                names = [f"{split}/{task}/{trial}" for trial in _directories(root / split / task)]
                found += [(split, name) for name in names if split_of(name)]
    except OSError as error:
        raise DataUnreadable(f"ALFWorld's data in {error.filename} cannot be read: {error.strerror}") from error
    for (split, name), _ in zip(found, told("indexing ALFWorld", len(found), [1] * len(found)), strict=True):
        reason = _why_not(f"{root}/{name}/{GAME}")
        if reason:
            index.skipped[name] = reason
        else:
            index.games[split][name] = (0, 0)
    return index


def read_game(root: Path, name: str) -> Row:
    """One game. Raises GameUnreadable."""
    game = _json(root / name / GAME)
    trajectory = _json(root / name / TRAJECTORY)
    problem, grammar = (_text(game, key, f"{name}/{GAME}") for key in ("pddl_problem", "grammar"))
    if not game.get("solvable"):
        raise GameUnreadable(f"{name}/{GAME} is not marked solvable, so it cannot be won")
    sentence = SENTENCE.search(grammar)
    if sentence is None:
        raise GameUnreadable(f"the grammar of {name}/{GAME} has no 'Your task is to: ...', so its goal is not known")
    params = trajectory.get("pddl_params")
    if not isinstance(params, dict):
        raise GameUnreadable(f"{name}/{TRAJECTORY} has no 'pddl_params', so its goal is not known")
    told_by = trajectory.get("turk_annotations")
    people = told_by.get("anns") if isinstance(told_by, dict) else None
    return Row(
        id=name,
        task=sentence[1],
        task_type=_text(trajectory, "task_type", f"{name}/{TRAJECTORY}"),
        params=params,
        anns=tuple(
            one["task_desc"]
            for one in (people if isinstance(people, list) else ())
            if isinstance(one, dict) and isinstance(one.get("task_desc"), str)
        ),
        problem=problem,
    )


def _directories(path: Path) -> list[str]:
    """Names of the directories in one, sorted; none where it is missing."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def _why_not(path: str) -> str:
    """Why this game file is not played; empty where it is."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            tail = os.pread(file.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES))
            if not tail.rstrip().endswith(b"}"):
                return "its game.tw-pddl ends in the middle"
            flag = SOLVABLE.search(tail) or SOLVABLE.search(os.pread(file.fileno(), size, 0))
    except FileNotFoundError:
        return "it has no game.tw-pddl"
    except OSError as error:
        return f"its game.tw-pddl cannot be read ({error.strerror})"
    return "" if flag and flag[1] == b"true" else "it is not marked solvable"


def _json(path: Path) -> dict[str, Any]:
    name = "/".join(path.parts[-4:])
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise GameUnreadable(f"{name} cannot be read: {error.strerror}; run alfworld-download again") from error
    except (ValueError, RecursionError) as error:
        raise GameUnreadable(f"{name} is not JSON ({error}); run alfworld-download again") from error
    if not isinstance(found, dict):
        raise GameUnreadable(f"{name} is not a JSON object; run alfworld-download again")
    return found


def _text(found: dict[str, Any], key: str, name: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise GameUnreadable(f"{name} has no '{key}'; it may be of another version of ALFWorld")
    return value

"""Official games packed as JSON lines, one game a line: id, task, task_type, params, anns, problem.

A `.jsonl.xz` is unpacked once into the cache, so that one game can be read without the others.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from envserver.envs._alfworld.index import DataUnreadable, Index, told
from envserver.envs._alfworld.keys import split_of
from envserver.envs._alfworld.row import GameUnreadable, Row

__all__ = ["plain", "read_game", "scan"]

CHUNK_BYTES = 4 << 20
ID = re.compile(rb'\{\s*"id"\s*:\s*"([^"\\]+)"')
UNSOLVABLE = re.compile(rb'"solvable"\s*:\s*(?:false|null)')


def plain(path: Path, cache_dir: Path) -> Path:
    """The file with its lines readable: itself, or what its .xz unpacks to. Raises DataUnreadable."""
    if path.suffix != ".xz":
        return path
    facts = path.stat()
    mine = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    target = cache_dir / f"{mine}-{facts.st_size}-{facts.st_mtime_ns}.jsonl"
    if target.is_file():
        return target
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out, path.open("rb") as packed, lzma.open(packed) as lines:

            def steps() -> Iterator[int]:
                before = 0
                while chunk := lines.read(CHUNK_BYTES):
                    out.write(chunk)
                    yield packed.tell() - before
                    before = packed.tell()

            for _ in told(f"unpacking {path.name}", facts.st_size, steps()):
                pass
        part.replace(target)
    except (lzma.LZMAError, EOFError) as error:
        raise DataUnreadable(f"{path} is damaged or only half there ({error}); fetch it again") from error
    except OSError as error:
        raise DataUnreadable(f"{path} cannot be unpacked into {cache_dir}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return target


def scan(path: Path) -> Index:
    """What is in the file. Raises DataUnreadable where it has no games."""
    index = Index()
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            for _ in told("indexing ALFWorld", total, _lines(file, index)):
                pass
    except OSError as error:
        raise DataUnreadable(f"{path} cannot be read: {error.strerror}") from error
    return index


def _lines(file: Any, index: Index) -> Iterator[int]:
    """Puts each line on the index; gives its bytes."""
    at = 0
    for number, line in enumerate(file, start=1):
        _put(line, at, number, index)
        at += len(line)
        yield len(line)


def _put(line: bytes, at: int, number: int, index: Index) -> None:
    if not line.strip():
        return
    match = ID.match(line)
    name = match[1].decode(errors="replace") if match else _slow_id(line)
    if name is None or not line.rstrip().endswith(b"}"):
        index.skipped[name or f"line {number}"] = "it is no game or ends in the middle"
        return
    split = split_of(name)
    if split is None:
        return
    if b'"solvable"' in line and UNSOLVABLE.search(line):
        index.skipped[name] = "it is not marked solvable"
    else:
        index.games[split][name] = (at, len(line))


def _slow_id(line: bytes) -> str | None:
    """The id of a line that does not begin with it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    name = found.get("id") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None


def read_game(path: Path, name: str, where: tuple[int, int]) -> Row:
    """One game. Raises GameUnreadable."""
    try:
        with path.open("rb") as file:
            file.seek(where[0])
            found = json.loads(file.read(where[1]))
    except OSError as error:
        raise GameUnreadable(f"{name} cannot be read out of {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise GameUnreadable(f"{name} is not JSON in {path.name} ({error}); fetch the file again") from error
    wanted = {"task": str, "task_type": str, "params": dict, "anns": list, "problem": str}
    for key, kind in wanted.items():
        if not isinstance(found.get(key), kind):
            raise GameUnreadable(f"{name} has no '{key}' in {path.name}, or not as it should be; fetch the file again")
    people = tuple(one for one in found["anns"] if isinstance(one, str))
    return Row(name, found["task"], found["task_type"], found["params"], people, found["problem"])

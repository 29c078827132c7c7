"""A directory of a user's tasks: `.jsonl` files whose lines look as those of known data sets do.

| a line has | it is |
|---|---|
| `test_list`, `code`, `text` or `prompt` | MBPP: a function, tried by its asserts |
| `entry_point`, `test`, `prompt`, `canonical_solution` | HumanEval: a function, tried by its `check` |
| `input_output`, `question` | APPS: a program on inputs, or a function where it has an `fn_name` |
| `question`, `answer` with `####` | GSM8K: a value |
| `problem`, `solution` with `\\boxed`, or `answer` | MATH: a value |

A key is `files/SPLIT/FILE/N`, the N-th line of FILE.jsonl; a line belongs to one split by its question (ours).
Nothing of them is run here.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from envserver.envs._python.quest import Function, Quest, Script, Tested, Value
from envserver.numbered import SIZES, belongs

__all__ = ["Files", "files"]

KEY = re.compile(r"files/(train|valid|test)/([\w.-]{1,200})/(0|[1-9]\d{0,7})", re.ASCII)
BOXED = "\\boxed{"


class Files:
    """A directory of tasks, indexed. Raises ValueError where it is none, naming the line that is wrong."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise ValueError(f"files_dir '{path}' is no directory; name the one that holds .jsonl files")
        self._places: dict[str, tuple[Path, int]] = {}
        """Key -> file and offset."""
        for file in sorted(path.glob("*.jsonl")):
            if re.fullmatch(r"[\w.-]{1,200}", file.stem, re.ASCII) is None:
                raise ValueError(f"'{file.name}' cannot stand in a key; name it with letters, digits, '.', '_' and '-'")
            self._read(file)
        if not self._places:
            raise ValueError(f"'{path}' holds no task; put .jsonl files there")

    def keys(self, split: str) -> list[str]:
        """The keys of a split. Raises KeyError for a split that is not there."""
        if split not in SIZES:
            raise KeyError(split)
        return [key for key in self._places if key.split("/")[1] == split]

    def quest(self, key: str) -> Quest:
        """The task of a key. Raises KeyError, with the reason, where there is none."""
        if KEY.fullmatch(key) is None:
            raise KeyError(f"there is no key {key[:80]!r}; keys look like files/train/FILE/0")
        if key not in self._places:
            raise KeyError(f"the server's files have no task '{key[:80]}'")
        file, offset = self._places[key]
        with file.open("rb") as stream:
            stream.seek(offset)
            return _quest(json.loads(stream.readline()))

    def _read(self, file: Path) -> None:
        offset, number = 0, 0
        with file.open("rb") as stream:
            for line_number, line in enumerate(stream, 1):
                if line.strip():
                    try:
                        quest = _quest(json.loads(line))
                    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
                        raise ValueError(
                            f"{file}:{line_number} is no task: {type(error).__name__}: {str(error)[:120]}"
                        ) from None
                    split = next(split for split in SIZES if belongs(quest.question, split))
                    self._places[f"files/{split}/{file.stem}/{number}"] = (file, offset)
                    number += 1
                offset += len(line)


@lru_cache(maxsize=4)
def files(path: Path) -> Files:
    """The index of a directory, read once a process."""
    return Files(path)


def _quest(row: dict[str, Any]) -> Quest:
    """The task a line holds. Raises what reading it raises."""
    if "test_list" in row:
        return _mbpp(row)
    if "entry_point" in row:
        before = _text(row["prompt"])
        gold = before + _text(row["canonical_solution"])
        test = f"{_text(row['test'])}\ncheck(candidate)\n"
        return Tested(f"Complete this function.\n\n{before}", gold, _text(row["entry_point"]), [test], before)
    if "input_output" in row:
        return _apps(row)
    if "problem" in row:
        right = row["answer"] if "answer" in row else _boxed(_text(row["solution"]))
        return Value(_text(row["problem"]), "", _said(right))
    _, marked, right = str(row["answer"]).rpartition("####")
    return Value(_text(row["question"]), "", _said(right if marked else row["answer"]))


def _mbpp(row: dict[str, Any]) -> Tested:
    code, tests = _text(row["code"]), [_text(test) for test in [*row["test_list"], *row.get("challenge_test_list", [])]]
    names = re.findall(r"^def (\w+)", code, re.MULTILINE)
    name = next((name for name in names if re.search(rf"\b{name}\s*\(", tests[0])), None)
    if name is None:
        raise ValueError("its first test calls no function of its code")
    before = "\n".join([*row.get("test_imports", []), row.get("test_setup_code", "")])
    asked = _text(row.get("text") or row["prompt"])
    parameters = re.search(rf"^def {name}\s*\((.*?)\)", code, re.MULTILINE | re.DOTALL)
    told = f"{asked}\n\nName the function {name}({parameters[1] if parameters else ''})."
    return Tested(told, code, name, tests, before)


def _apps(row: dict[str, Any]) -> Quest:
    told = row["input_output"]
    told = json.loads(told) if isinstance(told, str) else told
    pairs = list(zip(told["inputs"], told["outputs"], strict=True))
    if not pairs:
        raise ValueError("it has no inputs")
    solutions = row.get("solutions") or []
    solutions = json.loads(solutions) if isinstance(solutions, str) else solutions
    gold = _text(solutions[0]) if solutions else ""
    asked = "\n\n".join(filter(None, (_text(row["question"]), row.get("starter_code") or "")))
    if name := told.get("fn_name"):
        # Published outputs of functions stand in a list of one.
        cases = [
            (list(given), right[0] if isinstance(right, list) and len(right) == 1 else right) for given, right in pairs
        ]
        return Function(asked, gold, _text(name), cases)
    lines = [("\n".join(a) if isinstance(a, list) else a, "\n".join(b) if isinstance(b, list) else b) for a, b in pairs]
    return Script(
        f"{asked}\n\nWrite a whole program: it reads input and prints.", gold, [(str(a), str(b)) for a, b in lines]
    )


def _boxed(solution: str) -> str:
    """What the last box holds, braces and all."""
    start = solution.rindex(BOXED) + len(BOXED)
    depth, end = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(solution[end], 0)
        end += 1
    return solution[start : end - 1]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text is missing")
    return value


def _said(value: Any) -> str:
    return _text(str(value)).strip()

"""Runs in a sandbox, alone: programs that use a package, and what each of them gives; it knows no right answer.

Standard input: `{"root", "files", "cases"}`, and with `changes` what to try those from `first` to before `last` on.
Sources are imported from memory, afresh for each case. Without `changes` they run in a child, and where one hangs or
ends it the rest in another; the answer is one JSON list. With `changes`, which are sources of ours with a defect, all
run here, within a number of lines that does not depend on how fast the machine is, until enough are found that differ
from `files` in some cases, not in most.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import select
import signal
import sys
import time
import types
from typing import Any

LINES = 20_000
"""Lines of the project that one case may run through where defects are tried."""
CASE_S = 2.0
HUNG = 3
"""Cases that may hang before the rest is given up."""
LEAST = 2
"""Cases that a defect has to spoil; one might be what the report shows."""
CHARS = 20_000
EMPTY = compile("", "", "exec")
"""Of a package that has no `__init__.py`."""


class Spent(BaseException):
    """Raised where a case has run through its lines."""


class Memory:
    """Finds and loads modules out of a dict of sources."""

    def __init__(self, root: str, files: dict[str, str]) -> None:
        self.root = root
        self.code: dict[str, tuple[Any, str]] = {}
        self.paths: set[str] = set()
        self.put(files)

    def put(self, files: dict[str, str]) -> None:
        """Take these sources, in the place of those there were."""
        for path, text in files.items():
            if path.endswith(".py") and path.startswith(self.root):
                name = path[len(self.root) :].removesuffix(".py").replace("/", ".")
                try:
                    code: Any = compile(text, path, "exec", dont_inherit=True)
                except (SyntaxError, ValueError) as error:
                    code = error
                self.code[name.removesuffix(".__init__")] = (code, path)
                self.paths.add(path)
                while "." in name:
                    name = name.rpartition(".")[0]
                    self.code.setdefault(name, (EMPTY, f"{self.root}{name.replace('.', '/')}/__init__.py"))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self.code:
            return None
        package = self.code[name][1].endswith("/__init__.py")
        return importlib.util.spec_from_loader(name, self, is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        code, path = self.code[module.__name__]
        if isinstance(code, Exception):
            raise code
        module.__file__ = path
        exec(code, module.__dict__)

    def forget(self) -> None:
        """Let the next import be a first one."""
        for name in self.code:
            sys.modules.pop(name, None)


def shown(value: Any, depth: int = 0) -> str:
    """A text that is the same for what is equal, floats to nine digits; of other objects the kind alone."""
    if depth > 20:
        return "..."
    if isinstance(value, bool) or value is None or isinstance(value, str | bytes):
        return repr(value)[:CHARS]
    if isinstance(value, float):
        text = f"{value:.9g}"
        return text.removesuffix(".0")
    if isinstance(value, int):
        return f"{value}" if abs(value) < 10**9 else f"{float(value):.9g}" if abs(value) < 10**300 else "huge"
    if isinstance(value, dict):
        pairs = sorted(f"{shown(key, depth + 1)}: {shown(one, depth + 1)}" for key, one in value.items())
        return "{" + ", ".join(pairs)[:CHARS] + "}"
    if isinstance(value, set | frozenset):
        return "set(" + ", ".join(sorted(shown(one, depth + 1) for one in value))[:CHARS] + ")"
    if isinstance(value, list | tuple):
        return type(value).__name__[0] + "(" + ", ".join(shown(one, depth + 1) for one in value)[:CHARS] + ")"
    return f"<{type(value).__name__}>"


def give(source: str) -> dict[str, Any]:
    """What a case gives: its last expression, or the kinds of what it raises."""
    try:
        tree = ast.parse(source)
        last = tree.body.pop()
        assert isinstance(last, ast.Expr)
        scope: dict[str, Any] = {"__name__": "case"}
        exec(compile(tree, "case", "exec"), scope)
        value = eval(compile(ast.Expression(last.value), "case", "eval"), scope)
        return {"value": shown(value), "literal": repr(value)[:CHARS]}
    except BaseException as error:
        if isinstance(error, Spent):
            return {"spent": True}
        return {"raises": [kind.__name__ for kind in type(error).__mro__]}


def apart(memory: Memory, cases: list[str]) -> list[dict[str, Any]]:
    """What all cases give, in a child; where one ends or hangs it, the next ones get another child."""
    answers: list[dict[str, Any]] = []
    hung = 0
    while len(answers) < len(cases) and hung < HUNG:
        given, late = child(memory, cases[len(answers) :])
        answers += given
        if len(answers) < len(cases):
            answers.append({"died": True})
            hung += late
    return answers + [{"died": True} for _ in cases[len(answers) :]]


def child(memory: Memory, cases: list[str]) -> tuple[list[dict[str, Any]], bool]:
    """What cases give in a process of their own, as far as it comes, and whether it hung there."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        with os.fdopen(writing, "w") as out:
            for source in cases:
                memory.forget()
                out.write(json.dumps(give(source)) + "\n")
                out.flush()
        os._exit(0)
    os.close(writing)
    given: list[dict[str, Any]] = []
    said, ends, hung = b"", time.monotonic() + CASE_S, False
    while len(given) < len(cases):
        if not select.select([reading], [], [], max(0.0, ends - time.monotonic()))[0]:
            hung = True
            break
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        *lines, said = (said + piece).split(b"\n")
        for line in lines:
            given.append(read(line))
            ends = time.monotonic() + CASE_S
    os.close(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return given[: len(cases)], hung


def read(line: bytes) -> dict[str, Any]:
    """An answer; that of a child which says something else is none."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {"died": True}
    return told if isinstance(told, dict) else {"died": True}


def together(memory: Memory, cases: list[str]) -> list[dict[str, Any]]:
    """What all cases give, here."""
    given = []
    for source in cases:
        memory.forget()
        left = [LINES]

        def local(frame: Any, event: str, argument: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Spent
            return local

        def traced(frame: Any, event: str, argument: Any, local: Any = local) -> Any:
            return local if frame.f_code.co_filename in memory.paths else None

        sys.settrace(traced)
        try:
            given.append(give(source))
        finally:
            sys.settrace(None)
    return given


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether another outcome is as good as the first."""
    if "value" in one:
        return bool(one["value"] == other.get("value"))
    return "raises" in one and one["raises"][0] in other.get("raises", [])


def tried(asked: dict[str, Any]) -> dict[str, Any]:
    """What the sources give, and which changes spoil some cases of those that are judged, and how."""
    cases: list[str] = asked["cases"]
    found: list[dict[str, Any]] = []
    memory = Memory(asked["root"], asked["files"])
    sys.meta_path.insert(0, memory)
    gold = together(memory, cases)
    judged = slice(asked["first"], asked["last"])
    for at, change in enumerate(asked["changes"]):
        if len(found) == asked["enough"]:
            break
        memory.forget()
        memory.put(change)
        given = together(memory, cases[judged])
        good = [same(one, other) for one, other in zip(gold[judged], given, strict=True)]
        if good.count(False) >= LEAST and good.count(True) > len(good) / 2 and not any("spent" in one for one in given):
            found.append({"at": at, "given": given, "good": good})
        memory.put({path: asked["files"][path] for path in change})
    return {"gold": gold, "found": found}


def lay_out(files: dict[str, str]) -> None:
    """Put files where they can be opened; sources are not imported from there."""
    for path, text in files.items():
        if "/" in path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main() -> None:
    asked = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")
    sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]
    # A hundred frames would do; a recursion without end shall end soon.
    sys.setrecursionlimit(400)
    if "changes" in asked:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        json.dump(tried(asked), out)
    else:
        lay_out(asked["files"])
        memory = Memory(asked["root"], asked["files"])
        sys.meta_path.insert(0, memory)
        json.dump(apart(memory, asked["cases"]), out)
    out.flush()


if __name__ == "__main__":
    main()

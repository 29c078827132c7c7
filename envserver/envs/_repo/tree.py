"""The files of a repository, and what the tools do with them; nothing of it touches a disk.

A tree is what it began with, which trees share, and what was written over it, so a copy is a copy of a few entries.
What a tool says is text of a bounded length; what it cannot do is a sentence, and then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

__all__ = ["FILE_BYTES", "SHOWN_CHARS", "Tree", "shortened"]

FILE_BYTES = 256 << 10
"""Largest file that is written or shown."""
WRITTEN_BYTES = 4 << 20
"""What all written files hold together."""
WRITTEN_FILES = 400
PATH_CHARS = 200
SHOWN_CHARS = 16_000
SHOWN_LINES = 400
HITS = 60
LINE_CHARS = 300


class Tree:
    """Paths, relative and with `/`, to bytes."""

    def __init__(self, base: Mapping[str, bytes]) -> None:
        self.base = base
        self.written: dict[str, bytes] = {}

    def copy(self) -> Self:
        """The same files, on their own."""
        twin = type(self)(self.base)
        twin.written = self.written.copy()
        return twin

    def __iter__(self) -> Iterator[str]:
        """All paths in order."""
        return iter(sorted(self.base.keys() | self.written.keys()))

    def get(self, path: str) -> bytes | None:
        """A file; None where there is none."""
        return self.written[path] if path in self.written else self.base.get(path)

    def files(self) -> dict[str, bytes]:
        """All of them."""
        return {**self.base, **self.written}

    def ls(self, path: str = "") -> str:
        """What lies in a directory, directories with a `/`."""
        path, wrong = _place(path)
        if wrong:
            return wrong
        if self.get(path) is not None:
            return path
        head = f"{path}/" if path else ""
        found = {name[len(head) :].partition("/") for name in self if name.startswith(head)}
        if not found:
            return f"There is no directory '{path[:80]}'."
        return shortened("\n".join(sorted({name + slash for name, slash, _ in found})))

    def read(self, path: str, start: int = 1, end: int | None = None) -> str:
        """Numbered lines from `start` to `end`, both included."""
        lines, wrong = self._lines(path)
        if wrong:
            return wrong
        if not lines:
            return "The file is empty."
        last = len(lines) if end is None else min(end, len(lines))
        if not 1 <= start <= last:
            return f"The file has {len(lines)} lines; give a start and an end between 1 and {len(lines)}."
        shown = lines[start - 1 : last][:SHOWN_LINES]
        text = shortened("\n".join(f"{start + at:4d}  {line}" for at, line in enumerate(shown)))
        left = last - (start - 1) - len(shown)
        return f"{text}\n({left} more lines; read on from line {start + len(shown)})" if left else text

    def search(self, text: str, path: str = "") -> str:
        """Lines that hold a text, as `path:line: content`."""
        path, wrong = _place(path)
        if wrong:
            return wrong
        if not text or "\n" in text:
            return "Give a text of one line to search for."
        hits: list[str] = []
        for name in self:
            if path and name != path and not name.startswith(f"{path}/"):
                continue
            data = self.get(name) or b""
            if text.encode(errors="replace") not in data or len(data) > FILE_BYTES or _text(data) is None:
                continue
            for number, line in enumerate((_text(data) or "").split("\n"), 1):
                if text in line:
                    hits.append(f"{name}:{number}: {line.strip()[:LINE_CHARS]}")
        if not hits:
            return "Nothing found."
        more = f"\n({len(hits) - HITS} more; search in a directory or for more)" if len(hits) > HITS else ""
        return shortened("\n".join(hits[:HITS])) + more

    def edit(
        self, path: str, new: str, old: str | None = None, start: int | None = None, end: int | None = None
    ) -> str:
        """Put `new` for `old`, which occurs once, or for the lines from `start` to `end`."""
        lines, wrong = self._lines(path)
        if wrong:
            return wrong
        if (old is None) == (start is None):
            return "Say what to replace: old, a text that occurs once, or start and end, the lines; not both."
        whole = (self.get(_place(path)[0]) or b"").decode()
        if old is not None:
            count = whole.count(old) if old else 0
            if count != 1:
                found = f"occurs {count} times; give more of the lines around it" if count else "is not in the file"
                return f"The text to replace {found}. Nothing was changed." if old else "old is empty; use write."
            before, _, after = whole.partition(old)
            if old == new:
                return "The new text is the old one. Nothing was changed."
        else:
            assert start is not None
            last = start if end is None else end
            if not 1 <= start <= last <= len(lines):
                return f"The file has {len(lines)} lines; give a start and an end between 1 and {len(lines)}."
            split = whole.splitlines(keepends=True)
            before, after = "".join(split[: start - 1]), "".join(split[last:])
            if new and not new.endswith("\n"):
                new += "\n"
        wrong = self.put(path, before + new + after)
        if wrong:
            return wrong
        first = before.count("\n") + 1
        return f"Changed. It reads:\n{self.read(path, max(1, first - 2), first + new.count(chr(10)) + 2)}"

    def write(self, path: str, text: str) -> str:
        """Put a file, in the place of one that is there."""
        there = self.get(_place(path)[0]) is not None
        return self.put(path, text) or f"{'Replaced' if there else 'Written'}: {len(text.splitlines())} lines."

    def put(self, path: str, text: str) -> str:
        """Write a file; a sentence where that cannot be, else nothing."""
        path, wrong = _place(path)
        if wrong or not path:
            return wrong or "Name a file."
        try:
            data = text.encode()
        except UnicodeEncodeError:
            return "The text holds half a character. Nothing was changed."
        if "\0" in text:
            return "The text holds a NUL byte. Nothing was changed."
        if len(data) > FILE_BYTES:
            return f"The file would hold {len(data)} bytes, and {FILE_BYTES} is the most. Nothing was changed."
        names = [name for name in self if name.startswith(f"{path}/")]
        parents = [path[:at] for at, sign in enumerate(path) if sign == "/"]
        if names or any(self.get(parent) is not None for parent in parents):
            return "A directory and a file cannot have one name. Nothing was changed."
        rest = {name: size for name, size in self.written.items() if name != path}
        if sum(map(len, rest.values())) + len(data) > WRITTEN_BYTES or len(rest) >= WRITTEN_FILES:
            return "Too much was written already. Nothing was changed."
        self.written[path] = data
        return ""

    def _lines(self, path: str) -> tuple[list[str], str]:
        """The lines of a text file, or why there are none."""
        path, wrong = _place(path)
        if wrong:
            return [], wrong
        data = self.get(path)
        if data is None:
            directory = any(name.startswith(f"{path}/") for name in self) or not path
            return [], f"'{path[:80]}' is a directory; use ls." if directory else f"There is no file '{path[:80]}'."
        if len(data) > FILE_BYTES:
            return [], f"The file holds {len(data)} bytes, and {FILE_BYTES} is the most that is shown."
        text = _text(data)
        return (text.splitlines(), "") if text is not None else ([], f"A binary file of {len(data)} bytes.")


def shortened(text: str, most: int = SHOWN_CHARS) -> str:
    """A text, with a note where its middle was left out."""
    if len(text) <= most:
        return text
    head, tail = most // 4, most - most // 4
    return f"{text[:head]}\n... ({len(text) - most} characters are left out) ...\n{text[-tail:]}"


def _place(path: str) -> tuple[str, str]:
    """A path as it is kept, and what is wrong with it."""
    if len(path) > PATH_CHARS or not path.isprintable():
        return "", f"A path is one line of at most {PATH_CHARS} printable characters."
    if path.startswith(("/", "~")) or "\\" in path:
        return "", "A path is relative to the repository, with '/' between names."
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        return "", "A path has no '..'; it is relative to the repository."
    return "/".join(parts), ""


def _text(data: bytes) -> str | None:
    """The text a file holds; None where it is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text

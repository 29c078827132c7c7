"""A user's own files: pages and questions, a JSON object a line, as FlashRAG, BEIR, NQ and HotpotQA have them.

A page is `{"id", "title", "text"}`; `_id` or `docid` and `contents` are read too, and without a title the first line
is one. A question is `{"question", "answer"}`, the answer a text or a list of them, also as `answers` or
`golden_answers`; HotpotQA's `supporting_facts` name the pages that lead to it. What cannot be read is told with its
file and line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envserver.envs._search.keys import SIZES, split_of

__all__ = ["OwnQuestion", "Page", "own_pages", "own_questions"]

IDS, TEXTS = ("id", "_id", "docid"), ("text", "contents")
ANSWERS = ("answers", "answer", "golden_answers")
MAX_ID_CHARS = 200
DEV = {"train": ("train",), "valid": ("valid", "validation", "dev"), "test": ("test",)}
"""Split -> names of its file in a directory of questions."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is stored."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class OwnQuestion:
    """A question as it was read."""

    text: str
    answers: tuple[str, ...]
    titles: tuple[str, ...]
    """Of the pages that are known to lead to the answer, in order; empty where none are."""


def own_pages(path: Path) -> Iterator[Page]:
    """The pages of a file. Raises ValueError, naming file and line."""
    seen: dict[str, int] = {}
    for number, row in _rows(path):
        where = f"{path}:{number}"
        name = next((row[key] for key in IDS if key in row), None)
        text = next((row[key] for key in TEXTS if key in row), None)
        title = row.get("title") or ""
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_ID_CHARS:
            raise ValueError(f"{where} needs an 'id' of 1 to {MAX_ID_CHARS} printable characters")
        if not isinstance(text, str) or not isinstance(title, str):
            raise ValueError(f"{where} needs a 'text' (or 'contents'), and 'title' has to be a text")
        if name in seen:
            raise ValueError(f"{where} has the id {name[:80]!r} of line {seen[name]}; give every page its own")
        seen[name] = number
        title, text = _clean(title), _clean(text)
        if not title.strip():
            title, _, text = text.strip().partition("\n")
            title = title.strip().strip('"')
        yield Page(name, " ".join(title.split())[:300] or name, text)
    if not seen:
        raise ValueError(f"{path} holds no page; write an object with 'id', 'title' and 'text' a line")


@lru_cache(maxsize=4)
def own_questions(path: Path) -> dict[str, list[OwnQuestion]]:
    """The questions of a file by split, each by its content; or of a directory's train, valid (dev) and test.jsonl.

    Raises ValueError, naming file and line.
    """
    splits: dict[str, list[OwnQuestion]] = {split: [] for split in SIZES}
    if path.is_dir():
        for split, names in DEV.items():
            for file in (path / f"{name}.jsonl" for name in names):
                if file.is_file():
                    splits[split] += [_question(row, f"{file}:{number}") for number, row in _rows(file)]
    else:
        for number, row in _rows(path):
            question = _question(row, f"{path}:{number}")
            splits[split_of(" ".join(question.text.lower().split()))].append(question)
    if not any(splits.values()):
        raise ValueError(f"{path} holds no question; it is a .jsonl, or a directory with train, valid or test.jsonl")
    return splits


def _question(row: dict[str, Any], where: str) -> OwnQuestion:
    text = row.get("question")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{where} needs a 'question' in words")
    given = next((row[key] for key in ANSWERS if key in row), None)
    answers = given if isinstance(given, list) else [given]
    if not answers or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise ValueError(f"{where} needs an 'answer': a text, or a list of one text or more")
    return OwnQuestion(_clean(text.strip()), tuple(map(_clean, answers)), _titles(row.get("supporting_facts")))


def _titles(facts: Any) -> tuple[str, ...]:
    """HotpotQA's supporting pages: `[[title, sentence], ...]`, or `{"title": [...]}` as the datasets library has it."""
    if isinstance(facts, dict):
        facts = facts.get("title")
    if not isinstance(facts, list):
        return ()
    titles = [fact[0] if isinstance(fact, list) and fact else fact for fact in facts]
    return tuple(dict.fromkeys(_clean(title) for title in titles if isinstance(title, str)))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a .jsonl with their line numbers. Raises ValueError, naming file and line."""
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name the .jsonl file in it")
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, _row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"{path}:{number}")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8, at byte {error.start}; convert the file") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {str(error)[:100]}; write one object a line") from None
    if not isinstance(row, dict):
        raise ValueError(f"{where} is a {type(row).__name__}, not an object; write one object a line")
    return row


def _clean(text: str) -> str:
    """The same without what no wire carries: half a character."""
    return text.encode(errors="replace").decode()

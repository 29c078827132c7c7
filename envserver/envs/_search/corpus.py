"""A corpus on disk: its pages and its indexes, made once a machine, named by their content, shared by all sessions.

A user's file is named by its digest; a generated corpus by its seed, its size and the code that writes it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import numpy as np

from envserver.envs._search.files import Page, own_pages
from envserver.envs._search.graph import graph
from envserver.envs._search.prose import page_text
from envserver.envs._search.ranking import Bm25, Ranking
from envserver.envs._search.shelf import Shelf
from envserver.envs._search.vectors import Encoded, Hashed, encoder_name

__all__ = ["Corpus", "FileSource", "GeneratedSource", "Retriever", "Wanted", "open_corpus"]

Retriever = Literal["bm25", "vector"]

WRITTEN_BY = ("corpus", "files", "graph", "names", "prose", "ranking", "relations", "vectors", "words")
"""The files of code that decide what lies on disk."""


@dataclass(frozen=True, slots=True)
class GeneratedSource:
    """A corpus that is made."""

    seed: int
    count: int
    """Of pages."""

    def name(self) -> str:
        """What names its content."""
        return f"generated-{self.seed}-{self.count}"

    def pages(self) -> Iterator[Page]:
        """The pages, by row."""
        world = graph(self.seed, self.count)
        for thing in world.things:
            rng = Random(f"search/{self.seed}/{self.count}/{thing.row}")
            yield Page(f"p{thing.row:05d}", thing.title, page_text(world, thing, rng))


@dataclass(frozen=True, slots=True)
class FileSource:
    """A user's file."""

    path: Path

    def name(self) -> str:
        """What names its content. Raises ValueError where it cannot be read."""
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a directory; name the .jsonl file in it")
        try:
            with self.path.open("rb") as stream:
                return f"file-{hashlib.file_digest(stream, 'sha256').hexdigest()[:24]}"
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}") from error

    def pages(self) -> Iterator[Page]:
        """The pages, by row. Raises ValueError, naming file and line."""
        return own_pages(self.path)


class Wanted(NamedTuple):
    """Which corpus, with which index."""

    source: GeneratedSource | FileSource
    retriever: Retriever
    encoder: Path | None
    root: Path
    """Of the cache."""

    @property
    def names(self) -> tuple[str, str]:
        """Directories of the pages and of the index."""
        pages = f"{_name(self.source)}-{_written_by()}"
        index = encoder_name(self.encoder) if self.retriever == "vector" and self.encoder else self.retriever
        return pages, f"{pages}-{index}"

    def there(self) -> bool:
        """Whether all is made."""
        return all(map(Shelf(self.root).has, self.names))

    def make(self) -> tuple[Path, Path]:
        """The two directories, made where they are not there."""
        shelf = Shelf(self.root)
        pages, index = self.names
        at = shelf.made(pages, partial(_write_pages, self.source))
        return at, shelf.made(index, partial(_write_index, self, at))


class Corpus:
    """Pages by row and by id, and a search among them."""

    def __init__(self, wanted: Wanted) -> None:
        at, index = wanted.make()
        self._starts = np.load(at / "starts.npy", mmap_mode="r")
        with (at / "pages.jsonl").open("rb") as stream:
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._rows: dict[str, int] = {name: row for row, name in enumerate(json.loads((at / "ids.json").read_bytes()))}
        self._ranking = _kind(wanted)(index)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def page(self, row: int) -> Page:
        """The page of a row."""
        return Page(*json.loads(self._bytes[self._starts[row] : self._starts[row + 1]]))

    def find(self, name: str) -> Page | None:
        """The page of an id."""
        row = self._rows.get(name)
        return None if row is None else self.page(row)

    def search(self, query: str, k: int) -> list[Page]:
        """At most k pages, the best first."""
        return [self.page(row) for row in self._ranking.rows(query, k)]


@lru_cache(maxsize=4)
def open_corpus(wanted: Wanted) -> Corpus:
    """The corpus, opened once a process and made where it is not there. Raises ValueError or OSError, in a sentence."""
    return Corpus(wanted)


@lru_cache(maxsize=16)
def _name(source: GeneratedSource | FileSource) -> str:
    """Once a process: a file is not read for every task, and shall not change while it is served."""
    return source.name()


@lru_cache(maxsize=1)
def _written_by() -> str:
    digest = hashlib.sha256()
    for name in WRITTEN_BY:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]


def _kind(wanted: Wanted) -> type[Ranking]:
    if wanted.retriever == "bm25":
        return Bm25
    return Encoded if wanted.encoder else Hashed


def _write_pages(source: GeneratedSource | FileSource, place: Path) -> None:
    starts, names = [0], []
    with (place / "pages.jsonl").open("wb") as stream:
        for page in source.pages():
            starts.append(starts[-1] + stream.write(json.dumps([page.id, page.title, page.text]).encode() + b"\n"))
            names.append(page.id)
    np.save(place / "starts.npy", np.array(starts, np.int64))
    (place / "ids.json").write_text(json.dumps(names))


def _write_index(wanted: Wanted, pages: Path, place: Path) -> None:
    if wanted.retriever == "vector" and wanted.encoder:
        (place / "model").write_text(str(wanted.encoder), encoding="utf-8")
    with (pages / "pages.jsonl").open("rb") as stream:
        texts = (f"{title}\n{text}" for _, title, text in map(json.loads, stream))
        _kind(wanted).write(texts, place)

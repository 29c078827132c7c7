"""What a retriever is, and BM25 by bm25s: an index on disk that is mapped, so that processes share it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import numpy.typing as npt

from envserver.envs._search.words import asked, words

__all__ = ["Bm25", "Ranking", "best"]

GRAIN = 1024
"""Scores are compared in steps of 1/1024: a difference of roundings between machines decides nothing."""

logging.getLogger("bm25s").setLevel(logging.WARNING)


class Ranking(ABC):
    """A retriever over the rows of one corpus."""

    @abstractmethod
    def __init__(self, place: Path) -> None:
        """Open what `write` has left at a place."""

    @classmethod
    @abstractmethod
    def write(cls, texts: Iterable[str], place: Path) -> None:
        """Index the texts, row by row, into an empty directory."""

    @abstractmethod
    def rows(self, query: str, k: int) -> list[int]:
        """At most k rows, the best first, equal ones in their order; none that has nothing of the query."""


class Bm25(Ranking):
    """BM25 as Lucene has it, k1 1.5, b 0.75."""

    def __init__(self, place: Path) -> None:
        self._index: Any = bm25s.BM25.load(place, mmap=True, show_progress=False)

    @classmethod
    def write(cls, texts: Iterable[str], place: Path) -> None:
        index = bm25s.BM25()
        # A text without words would make bm25s fail where all texts are so.
        index.index([words(text) or [""] for text in texts], show_progress=False)
        index.save(place, show_progress=False)

    def rows(self, query: str, k: int) -> list[int]:
        known = [word for word in asked(query) if word in self._index.vocab_dict]
        if not known:
            return []
        return best(np.rint(self._index.get_scores(known) * GRAIN), k)


def best(scores_N: npt.NDArray[Any], k: int) -> list[int]:
    """Rows of the k greatest scores above 0, the greatest first, equal ones in their order."""
    if k < len(scores_N):
        least = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
        chosen = np.flatnonzero(scores_N >= max(least, np.finfo(np.float32).tiny))
    else:
        chosen = np.flatnonzero(scores_N > 0)
    order = np.argsort(-scores_N[chosen], kind="stable")
    return [int(row) for row in chosen[order][:k]]

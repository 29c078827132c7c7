"""Retrieval by vectors: those of no model, made of hashed words and their parts, or those of a model in a directory.

Vectors are of whole numbers and so short that a product of two stays below 2^24: their float32 sums are exact in any
order, so ranks are the same on every machine. What a model makes of a query may still differ between machines in a last
bit before it is rounded.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice
from math import log
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from envserver.envs._search.ranking import Ranking, best
from envserver.envs._search.words import asked, words

__all__ = ["Encoded", "Hashed", "encoder", "encoder_name"]

LENGTH = 4000.0
"""Of a vector; rounding adds less than 1 %, and 4040² < 2^24."""
DIMENSIONS = 1024
PART = 3
"""Letters of a word's parts: names that differ by a syllable are near each other."""
PARTS_WEIGHT = 0.5
BATCH = 256


class Hashed(Ranking):
    """Words and their parts of three letters, hashed to signed places, weighed by how rare the word is."""

    def __init__(self, place: Path) -> None:
        self._columns_DN = np.load(place / "columns.npy", mmap_mode="r")
        self._rare: dict[str, float] = json.loads((place / "rare.json").read_text(encoding="utf-8"))

    @classmethod
    def write(cls, texts: Iterable[str], place: Path) -> None:
        counts = [Counter(words(text)) for text in texts]
        found = Counter(chain.from_iterable(counts))
        rare = {word: round(log(1 + len(counts) / count), 3) for word, count in found.items()}
        columns_DN = np.empty((DIMENSIONS, len(counts)), np.int16)
        for row, counted in enumerate(counts):
            columns_DN[:, row] = _whole(_hashed(counted, rare, 0.0))
        np.save(place / "columns.npy", columns_DN)
        (place / "rare.json").write_text(json.dumps(rare), encoding="utf-8")

    def rows(self, query: str, k: int) -> list[int]:
        count = self._columns_DN.shape[1]
        asked_D = _whole(_hashed(Counter(asked(query)), self._rare, log(1 + count)))
        scores_N = np.zeros(count, np.float32)
        for place in np.flatnonzero(asked_D):  # some dozens; a product of all would wake BLAS's threads
            scores_N += asked_D[place] * self._columns_DN[place]
        return best(scores_N, k)


class Encoded(Ranking):
    """Vectors of a sentence-transformers model in the directory that `model` names beside them."""

    def __init__(self, place: Path) -> None:
        self._rows_ND = np.load(place / "rows.npy", mmap_mode="r")
        self._model = encoder(Path((place / "model").read_text(encoding="utf-8")))

    @classmethod
    def write(cls, texts: Iterable[str], place: Path) -> None:
        model, left = encoder(Path((place / "model").read_text(encoding="utf-8"))), iter(texts)
        batches = [_encoded(model, batch) for batch in iter(lambda: list(islice(left, BATCH)), [])]
        np.save(place / "rows.npy", np.concatenate(batches))

    def rows(self, query: str, k: int) -> list[int]:
        return best(self._rows_ND @ _encoded(self._model, [query])[0], k)


@lru_cache(maxsize=2)
def encoder(directory: Path) -> Any:
    """The model of a directory. Raises ValueError where it holds none, ModuleNotFoundError without its extra."""
    if not (directory / "modules.json").is_file():
        raise ValueError(f"{directory} holds no sentence-transformers model; name a directory with modules.json")
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the option encoder needs an extra: pip install 'turnhalle[embed]'") from error
    return SentenceTransformer(str(directory), device="cpu", local_files_only=True)


def encoder_name(directory: Path) -> str:
    """Tells models apart: by their small files' content and the sizes of their weights."""
    digest = hashlib.sha256()
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            size = file.stat().st_size
            digest.update(f"{file.relative_to(directory)} {size}\n".encode())
            if size < 1 << 16:
                digest.update(file.read_bytes())
    return f"{directory.name}-{digest.hexdigest()[:12]}"


def _encoded(model: Any, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    rows_BD = model.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
    return np.stack([_whole(row_D) for row_D in np.asarray(rows_BD, np.float32)])


def _hashed(counted: Counter[str], rare: dict[str, float], unknown: float) -> npt.NDArray[np.float64]:
    row_D = np.zeros(DIMENSIONS)
    for word, count in counted.items():
        places, signs = _places(word)
        first = 0 if word in rare else 1  # of a word that no page has, the parts alone
        np.add.at(row_D, places[first:], signs[first:] * (rare.get(word, unknown) * (1 + log(count))))
    return row_D


@lru_cache(maxsize=1 << 16)
def _places(word: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where a word and its parts are hashed to, and with which weights."""
    bordered = f"<{word}>"
    parts = [bordered[at : at + PART] for at in range(len(bordered) - PART + 1)]
    hashes = [crc32(feature.encode("utf-8", "replace")) for feature in (f"={word}", *parts)]
    weights = np.array([1.0, *[PARTS_WEIGHT / max(1, len(parts)) ** 0.5] * len(parts)])
    signs = np.array([1.0 if hashed & 0x80000000 else -1.0 for hashed in hashes])
    return np.array([hashed % DIMENSIONS for hashed in hashes]), signs * weights


def _whole(row_D: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The same direction in whole numbers."""
    length = float(np.linalg.norm(row_D))
    return np.rint(row_D * (LENGTH / length) if length else row_D).astype(np.float32)

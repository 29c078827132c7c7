"""No model: words and pairs of neighbouring words, each hashed to a signed place, weight 1 + ln(count).

Numbers are one word, so that "drawer 1" and "drawer 3" are alike.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import Field

from skills_db.embedders.base import Embedder, EmbedderConfig

__all__ = ["Hashing", "HashingConfig"]

_WORD = re.compile(r"\d+|[^\W\d_]+")


class HashingConfig(EmbedderConfig):
    """Options of the embedder."""

    dimensions: int = Field(512, ge=8, le=2000)
    """Places that words are hashed to."""


class Hashing(Embedder):
    """Hashed bag of words and word pairs."""

    Config = HashingConfig

    def __init__(self, config: EmbedderConfig | None = None) -> None:
        given = config if isinstance(config, HashingConfig) else HashingConfig()
        self.dimensions = given.dimensions
        self.name = f"hashing-{self.dimensions}"

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows; a text without words gets the same row as the empty one."""
        rows_ND = np.zeros((len(texts), self.dimensions), np.float32)
        for row_D, text in zip(rows_ND, texts, strict=True):
            words = ["#" if word.isdecimal() else word for word in _WORD.findall(text.lower())] or [""]
            pairs = [f"{first} {second}" for first, second in pairwise(words)]
            for feature, count in Counter(words + pairs).items():
                hashed = zlib.crc32(feature.encode("utf-8", "replace"))
                sign = 1.0 if hashed & 0x80000000 else -1.0
                row_D[hashed % self.dimensions] += sign * (1.0 + np.log(count))
            length = float(np.linalg.norm(row_D))
            if length == 0.0:  # features that met in one place with opposite signs
                row_D[0] = length = 1.0
            row_D /= length
        return rows_ND

"""A text as words: small letters, no accents, digits kept."""

from __future__ import annotations

import re
import unicodedata

from bm25s.stopwords import STOPWORDS_EN

__all__ = ["asked", "words"]

WORD = re.compile(r"\w+")
STOPWORDS = frozenset(STOPWORDS_EN) | {"what", "who", "whom", "whose", "which", "when", "where", "how"}


def words(text: str) -> list[str]:
    """All words, in order."""
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in parts if not unicodedata.combining(sign))
    return WORD.findall(text.casefold())


def asked(query: str) -> list[str]:
    """The words of a query, each once; those that every text has are left out where others remain."""
    every = list(dict.fromkeys(words(query)))
    return [word for word in every if word not in STOPWORDS] or every

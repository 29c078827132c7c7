"""Is it the answer? As SQuAD, NQ and HotpotQA grade: small letters, no punctuation, no articles, single spaces.

F1 is of words, the best over the answers; as in HotpotQA's script "yes", "no" and "noanswer" are right or worth
nothing. Ours: the text is brought to NFKC first, so that composed and decomposed letters are the same.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable

__all__ = ["exact", "f1", "normalised"]

ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
WHOLE = ("yes", "no", "noanswer")


def normalised(text: str) -> str:
    """What is compared; where that would be nothing, as in "A" or "?", the text in small letters."""
    small = unicodedata.normalize("NFKC", text).lower()
    return " ".join(ARTICLES.sub(" ", small.translate(NO_PUNCTUATION)).split()) or small.strip()


def exact(given: str, answers: Iterable[str]) -> bool:
    """Whether it is one of the answers."""
    return normalised(given) in map(normalised, answers)


def f1(given: str, answers: Iterable[str]) -> float:
    """The harmonic mean of precision and recall of its words, 0 to 1."""
    return max((_f1(normalised(given), normalised(answer)) for answer in answers), default=0.0)


def _f1(mine: str, gold: str) -> float:
    if mine != gold and (mine in WHOLE or gold in WHOLE):
        return 0.0
    shared = sum((Counter(mine.split()) & Counter(gold.split())).values())
    return 2 * shared / (len(mine.split()) + len(gold.split())) if shared else 0.0

"""How near a short answer is to a reference: BLEU that knows how long the reference is.

PRS (arXiv 2512.07478) scores short answers by a "length-aware BLEU" whose formula is not published. Ours: BLEU of order
min(4, tokens of the reference), so that an answer of one word can be right, with BLEU's own brevity penalty
exp(1 - reference / answer) on what is too short; what is too long has the lower precision. Orders the answer is too
short for are left out, orders without a match are smoothed as in mteval. Case does not count.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

__all__ = ["nearness"]

ORDER = 4


def nearness(answer: str, references: Sequence[str]) -> float:
    """0 to 1: the best over the references; 1 for one of them, word for word."""
    return max((_score(answer, reference) for reference in references), default=0.0)


def _score(answer: str, reference: str) -> float:
    tokens = len(_metric(ORDER).tokenizer(reference).split())
    if not tokens or not answer.strip():
        return 0.0
    return min(_metric(min(ORDER, tokens)).sentence_score(answer, [reference]).score / 100, 1.0)


@functools.cache
def _metric(order: int) -> BLEU:
    return BLEU(lowercase=True, max_ngram_order=order, effective_order=True)

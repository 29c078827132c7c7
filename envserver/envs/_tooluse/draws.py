"""Numbers whose answers cannot be guessed: a greatest one or a count that is as likely to be small as large."""

from __future__ import annotations

from random import Random

__all__ = ["capped", "marked", "peaked"]


def capped(rng: Random, n: int) -> list[int]:
    """(n,) digits from 1, the greatest uniform in 3 to 9."""
    top = rng.randint(3, 9)
    digits = [rng.randint(1, top) for _ in range(n)]
    digits[rng.randrange(n)] = top
    return digits


def peaked(rng: Random, n: int) -> list[int]:
    """(n,) digits from 1, one of them greater than every other."""
    top = rng.randint(4, 9)
    digits = [rng.randint(1, top - 1) for _ in range(n)]
    digits[rng.randrange(n)] = top
    return digits


def marked(rng: Random, n: int) -> list[bool]:
    """(n,) marks, their number uniform in 0 to n."""
    count = rng.randint(0, n)
    marks = [place < count for place in range(n)]
    rng.shuffle(marks)
    return marks

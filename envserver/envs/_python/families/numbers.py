"""Number theory: how many numbers of a range have some properties."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Numbers"]

PROPERTIES = {
    "the sum of its decimal digits gives {r} modulo {m}": "sum(map(int, str(n))) % {m} == {r}",
    "it is a multiple of {p} and none of {q}": "n % {p} == 0 and n % ({p} * {q}) != 0",
    "the number of its divisors is at least {d}": "sum(n % x == 0 for x in range(1, n + 1)) >= {d}",
    "it has in binary an {parity} number of ones": "bin(n).count('1') % 2 == {odd}",
    "its last decimal digit is greater than its first": "n % 10 > int(str(n)[0])",
    "its square gives less than {h} modulo {s}": "n * n % {s} < {h}",
    "no two decimal digits beside each other are the same": "all(a != b for a, b in zip(str(n), str(n)[1:]))",
}


class Numbers(Coding):
    """How many numbers of a range have some properties."""

    takes, gives = "low: int, high: int", "int"

    def __init__(self, rng: Random, level: int) -> None:
        m, s, odd = rng.randint(2, 4), rng.randint(9, 40), rng.randint(0, 1)
        drawn = {
            "m": m,
            "r": rng.randrange(m),
            "p": rng.choice((2, 3)),
            "q": rng.choice((5, 7, 11)),
            "d": rng.randint(4, 7),
            "parity": ("even", "odd")[odd],
            "odd": odd,
            "s": s,
            "h": rng.randint(s // 2, s - 2),
        }
        chosen = rng.sample(list(PROPERTIES), level)
        k = rng.randint(2, 99)
        told = ", and ".join(chosen).format(**drawn)
        tests = " and ".join(f"({PROPERTIES[one]})" for one in chosen).format(**drawn)
        self.has = eval(f"lambda n: {tests}")
        self.k = k
        self.words = (
            f"Take every whole number n from low to high, both included, for which this holds: {told}. "
            f"Give {k} times how many they are plus the greatest of them, or -1 where there is none."
        )
        self.gold = f"""def solve(low, high):
    found = [n for n in range(low, high + 1) if {tests}]
    return {k} * len(found) + found[-1] if found else -1
"""

    def sample(self, rng: Random) -> tuple[int, int]:
        low = rng.randint(10, 400)
        return low, low + rng.randint(20, 160)

    def answer(self, low: int, high: int) -> int:
        count, last = 0, -1
        for n in range(low, high + 1):
            if self.has(n):
                count, last = count + 1, n
        return self.k * count + last if count else -1

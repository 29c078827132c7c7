"""Strings: words in the order of another alphabet."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Alphabets"]


class Alphabets(Coding):
    """Words in the order of another alphabet."""

    takes, gives = "words: list[str]", "list[str]"

    def __init__(self, rng: Random, level: int) -> None:
        self.letters = "".join(rng.sample("abcdefgh", 8))
        self.length = rng.choice((1, -1)) if level >= 2 else 0
        self.weight = rng.choice(self.letters) if level >= 3 else ""
        told = [f"The words are of the letters a to h, whose order is {', '.join(self.letters)}."]
        keys = []
        if self.weight:
            told.append(f"Sort first by how often {self.weight} is in a word, more often first;")
            keys.append(f"-w.count('{self.weight}')")
        if self.length:
            told.append(
                f"{'then' if keys else 'Sort first'} by length, {'short' if self.length > 0 else 'long'}er first;"
            )
            keys.append("len(w)" if self.length > 0 else "-len(w)")
        told.append(f"{'then' if keys else 'Sort them'} as in a dictionary of that order. Give each word once.")
        self.words = " ".join(told)
        keys.append(f"['{self.letters}'.index(c) for c in w]")
        self.gold = f"def solve(words):\n    return sorted(set(words), key=lambda w: ({', '.join(keys)},))\n"

    def sample(self, rng: Random) -> tuple[list[str]]:
        few = "".join(rng.sample(self.letters, rng.randint(3, 8))) + self.weight
        words = ["".join(rng.choices(few, k=rng.randint(1, 5))) for _ in range(rng.randint(5, 12))]
        return ([*words, rng.choice(words)],)

    def answer(self, words: list[str]) -> list[str]:
        table = str.maketrans(self.letters, "abcdefgh")
        once = sorted(dict.fromkeys(words), key=lambda word: word.translate(table))
        if self.length:
            once.sort(key=len, reverse=self.length < 0)
        if self.weight:
            once.sort(key=lambda word: word.count(self.weight), reverse=True)
        return once

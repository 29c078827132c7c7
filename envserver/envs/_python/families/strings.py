"""A text changed in some steps."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from string import ascii_lowercase as letters

from envserver.envs._python.problem import Coding

__all__ = ["Strings"]

Step = tuple[str, str, Callable[[str], str]]
"""In words, as lines of Python, and as it is done here."""


class Strings(Coding):
    """A text changed in some steps."""

    takes, gives = "text: str", "str"

    def __init__(self, rng: Random, level: int) -> None:
        makers = rng.sample((_shift, _drop, _swap, _every, _words, _longer, _runs, _turn), level + 1)
        self.steps = [maker(rng) for maker in makers]
        told = " Then ".join(words for words, _, _ in self.steps)
        self.words = f"The text holds lower-case letters and single spaces. {told[0].upper()}{told[1:]} Give the text."
        lines = [line for _, code, _ in self.steps for line in code.splitlines()]
        self.gold = "\n    ".join(["def solve(text):", *lines, "return text"]) + "\n"

    def sample(self, rng: Random) -> tuple[str]:
        few = rng.choice((letters, letters[:4], "aeiou" + letters[:3]))
        words = ["".join(rng.choices(few, k=rng.randint(1, 8))) for _ in range(rng.randint(2, 7))]
        return (" ".join(words),)

    def answer(self, text: str) -> str:
        for _, _, step in self.steps:
            text = step(text)
        return text


def _shift(rng: Random) -> Step:
    k = rng.randint(1, 25)
    table = {ord(letter): letters[(place + k) % 26] for place, letter in enumerate(letters)}
    code = f"text = ''.join(chr((ord(c) - 97 + {k}) % 26 + 97) if 'a' <= c <= 'z' else c for c in text)"
    return (
        f"move every lower-case letter {k} places on in the alphabet, from z back to a.",
        code,
        lambda text: text.translate(table),
    )


def _drop(rng: Random) -> Step:
    gone = "".join(sorted(rng.sample(letters, 5)))
    code = f"text = ''.join(c for c in text if c not in '{gone}')"
    return (
        f"take out every one of the letters {', '.join(gone)}.",
        code,
        lambda text: text.translate(str.maketrans("", "", gone)),
    )


def _swap(rng: Random) -> Step:
    one, other = rng.sample(letters, 2)
    code = f"text = text.replace('{one}', '\\0').replace('{other}', '{one}').replace('\\0', '{other}')"
    return (
        f"put {one} for every {other} and {other} for every {one}.",
        code,
        lambda text: text.translate(str.maketrans(one + other, other + one)),
    )


def _every(rng: Random) -> Step:
    k = rng.randint(2, 6)
    code = f"text = ''.join(c.upper() if (i + 1) % {k} == 0 else c for i, c in enumerate(text))"

    def step(text: str) -> str:
        signs = list(text)
        signs[k - 1 :: k] = [sign.upper() for sign in signs[k - 1 :: k]]
        return "".join(signs)

    return f"make every {k}th character (the first is number 1; spaces count) upper-case.", code, step


def _words(rng: Random) -> Step:
    k = rng.randint(1, 5)
    code = f"words = text.split(' ')\ntext = ' '.join(words[{k} % len(words):] + words[:{k} % len(words)])"

    def step(text: str) -> str:
        words = text.split(" ")
        for _ in range(k):
            words.append(words.pop(0))
        return " ".join(words)

    return f"split at single spaces and move the first part to the end, {k} times over; join with spaces.", code, step


def _longer(rng: Random) -> Step:
    k = rng.randint(2, 6)
    code = f"text = ' '.join(w[::-1] if len(w) > {k} else w for w in text.split(' '))"

    def step(text: str) -> str:
        return " ".join("".join(reversed(word)) if len(word) > k else word for word in text.split(" "))

    return (
        f"split at single spaces and turn round every part of more than {k} characters; join with spaces.",
        code,
        step,
    )


def _runs(rng: Random) -> Step:
    sign = rng.choice("#*+=~")
    code = "\n".join(
        [
            "out = ''",
            "for i, c in enumerate(text):",
            f"    out += '{sign}' if i and text[i - 1] == c else c",
            "text = out",
        ]
    )

    def step(text: str) -> str:
        pairs = zip(" " + text, text, strict=False)
        return text[:1] + "".join(sign if a == b else b for a, b in list(pairs)[1:])

    return f"put {sign} for every character that is the same as the one before it was.", code, step


def _turn(rng: Random) -> Step:
    k = rng.randint(2, 5)
    code = f"text = ''.join(text[i:i + {k}][::-1] for i in range(0, len(text), {k}))"

    def step(text: str) -> str:
        out = ""
        while text:
            out, text = out + "".join(reversed(text[:k])), text[k:]
        return out

    return (
        f"cut the text into pieces of {k} characters, the last may be shorter, and turn round each piece.",
        code,
        step,
    )

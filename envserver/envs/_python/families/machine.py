"""Simulation: a small machine with registers, its program a list of lines."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Machine"]

NAMES = ("put", "bump", "fold", "mix", "lift", "sink", "move", "trim", "load", "grow", "skip", "leap", "hop", "turn")


class Machine(Coding):
    """A small machine with registers."""

    takes, gives = "program: list[str]", "list[int]"

    def __init__(self, rng: Random, level: int) -> None:
        self.put, self.add, self.multiply, self.jump, self.swap = rng.sample(NAMES, 5)
        self.modulus = rng.randint(50, 997)
        self.start = [rng.randint(0, 9) for _ in "abc"]
        self.factor = rng.randint(2, 9)
        self.most = rng.randint(40, 120)
        self.level = level
        told = [
            f"A machine has the registers a, b and c; they hold {', '.join(map(str, self.start))} at first. The lines "
            f"of the program are done in turn. '{self.put} r n' sets register r to the number n; '{self.add} r s' sets "
            f"r to r + s, s a register; '{self.multiply} r' sets r to {self.factor} times r. Whatever a register gets "
            f"is taken modulo {self.modulus}."
        ]
        if level >= 2:
            told.append(f"'{self.swap} r s' exchanges the registers r and s.")
        if level >= 3:
            told.append(
                f"'{self.jump} r k' goes on k lines from its own place (k may be negative) if r is odd, else to"
            )
            told[-1] += f" the next line. It ends when there is no such line, and after {self.most} lines done."
        told.append("Give what a, b and c hold at the end.")
        self.words = " ".join(told)
        self.gold = f"""def solve(program):
    r = dict(zip('abc', {self.start}))
    at = done = 0
    while 0 <= at < len(program) and done < {self.most if level >= 3 else 1000}:
        name, *w = program[at].split()
        done += 1
        step = 1
        if name == '{self.put}':
            r[w[0]] = int(w[1]) % {self.modulus}
        elif name == '{self.add}':
            r[w[0]] = (r[w[0]] + r[w[1]]) % {self.modulus}
        elif name == '{self.multiply}':
            r[w[0]] = r[w[0]] * {self.factor} % {self.modulus}
        elif name == '{self.swap}':
            r[w[0]], r[w[1]] = r[w[1]], r[w[0]]
        elif r[w[0]] % 2:
            step = int(w[1])
        at += step
    return [r['a'], r['b'], r['c']]
"""

    def sample(self, rng: Random) -> tuple[list[str]]:
        lines = [self._line(rng) for _ in range(rng.randint(5, 12))]
        return (lines,)

    def _line(self, rng: Random) -> str:
        one, other = rng.choice("abc"), rng.choice("abc")
        lines = [f"{self.put} {one} {rng.randint(0, 99)}", *[f"{self.add} {one} {other}"] * 2, f"{self.multiply} {one}"]
        if self.level >= 2:
            lines.append(f"{self.swap} {one} {other}")
        if self.level >= 3:
            lines += [f"{self.jump} {one} {rng.choice((-3, -2, 2, 3))}"] * 2
        return rng.choice(lines)

    def answer(self, program: list[str]) -> list[int]:
        held, at, left = list(self.start), 0, self.most if self.level >= 3 else len(program)
        while 0 <= at < len(program) and left:
            left -= 1
            words = program[at].split()
            one = "abc".index(words[1])
            at += 1
            if words[0] == self.jump:
                at += int(words[2]) - 1 if held[one] & 1 else 0
            elif words[0] == self.swap:
                other = "abc".index(words[2])
                held[one], held[other] = held[other], held[one]
            else:
                if words[0] == self.put:
                    new = int(words[2])
                elif words[0] == self.add:
                    new = held[one] + held["abc".index(words[2])]
                else:
                    new = held[one] * self.factor
                held[one] = new % self.modulus
        return held

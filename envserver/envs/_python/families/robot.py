"""Simulation: a robot on a grid, driven by a text."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Robot"]

WALLS = {
    "it comes in again on the other side": "x, y = x % {w}, y % {h}",
    "it stays where it is instead": "if not (0 <= x < {w} and 0 <= y < {h}): x, y = x - dx, y - dy",
    "it stays where it is instead and turns right": (
        "if not (0 <= x < {w} and 0 <= y < {h}): x, y, dx, dy = x - dx, y - dy, dy, -dx"
    ),
}


class Robot(Coding):
    """A robot on a grid, driven by a text."""

    takes, gives = "commands: str", "list[int]"

    def __init__(self, rng: Random, level: int) -> None:
        self.w, self.h = rng.randint(3, 9), rng.randint(3, 9)
        self.x, self.y = rng.randrange(self.w), rng.randrange(self.h)
        self.wall = rng.choice(list(WALLS))
        self.forward, self.left, self.right, self.mark = rng.sample("ABCDEFGHJKLMNPQRSTUVWXYZ", 4)
        self.jump = rng.randint(2, 4) if level >= 2 else 1
        self.repeat = level >= 3
        told = [
            f"A robot stands on a grid of x = 0 to {self.w - 1} and y = 0 to {self.h - 1}, at x = {self.x}, "
            f"y = {self.y}, and faces the way in which y grows. {self.left} turns it left (then it faces the way in "
            f"which x falls), {self.right} turns it right, {self.forward} moves it one place on. "
            f"Where that would leave the grid, {self.wall}."
        ]
        if level >= 2:
            told.append(f"{self.mark} moves it on {self.jump} times, each time as {self.forward} does.")
        if self.repeat:
            told.append("A digit before a letter says how often that letter is done.")
        told.append("Give x, y and how many different places it has been at, the first included.")
        self.words = " ".join(told)
        wall = WALLS[self.wall].format(w=self.w, h=self.h)
        self.gold = f"""def solve(commands):
    x, y, dx, dy, times = {self.x}, {self.y}, 0, 1, 1
    seen = {{(x, y)}}
    for c in commands:
        if c.isdigit():
            times = int(c)
            continue
        for _ in range(times):
            if c == '{self.left}':
                dx, dy = -dy, dx
            elif c == '{self.right}':
                dx, dy = dy, -dx
            else:
                for _ in range({self.jump} if c == '{self.mark}' else 1):
                    x, y = x + dx, y + dy
                    {wall}
                    seen.add((x, y))
        times = 1
    return [x, y, len(seen)]
"""

    def sample(self, rng: Random) -> tuple[str]:
        letters = self.forward * 3 + self.left + self.right + (self.mark if self.jump > 1 else "")
        commands = rng.choices(letters, k=rng.randint(5, 25))
        if self.repeat:
            commands = [str(rng.randint(2, 5)) + one if rng.random() < 0.3 else one for one in commands]
        return ("".join(commands),)

    def answer(self, commands: str) -> list[int]:
        ways = ((0, 1), (1, 0), (0, -1), (-1, 0))
        place, way, been, times = (self.x, self.y), 0, {(self.x, self.y)}, 1
        for sign in commands:
            if sign.isdigit():
                times = int(sign)
                continue
            for _ in range(times):
                if sign in (self.left, self.right):
                    way = (way + (1 if sign == self.right else 3)) % 4
                    continue
                for _ in range(self.jump if sign == self.mark else 1):
                    place, way = self._on(place, way, ways[way])
                    been.add(place)
            times = 1
        return [*place, len(been)]

    def _on(self, place: tuple[int, int], way: int, step: tuple[int, int]) -> tuple[tuple[int, int], int]:
        """Where one move leads, and which way it faces then."""
        x, y = place[0] + step[0], place[1] + step[1]
        if 0 <= x < self.w and 0 <= y < self.h:
            return (x, y), way
        if "other side" in self.wall:
            return (x % self.w, y % self.h), way
        return place, (way + 1) % 4 if "turns" in self.wall else way

"""People and the hours at which they are free. 1: when all are; 2: when most are; 3: when all are, and book them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Schedule"]

HOURS = range(1, 10)


class Schedule(Program):
    """People and the hours at which they are free."""

    story = "Each person is free at some of the hours 1 to 9."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        people = (calls - 1) // 2 if level == 3 else calls - 1
        self.hour = rng.choice(HOURS)
        """The answer."""
        self.free = [[hour for hour in HOURS if rng.random() < 0.5] for _ in range(people)]
        others = [hour for hour in HOURS if hour != self.hour]
        for one in self.free:
            if level != 2 and self.hour not in one:
                one.append(self.hour)
        for hour in others:
            at = [one for one in self.free if hour in one]
            limit = people - 1 if level != 2 else people - 2
            for one in rng.sample(at, max(0, len(at) - limit)):
                one.remove(hour)
        while level == 2 and self._count(self.hour) <= max(map(self._count, others)):
            rng.choice([one for one in self.free if self.hour not in one]).append(self.hour)
        for one in self.free:
            one.sort()
        self.seen = [False] * people
        self.booked = [0] * people
        """Hours; 0: not booked."""
        asked = (
            "At which hour are all free?",
            "At which hour are most of them free?",
            "Book all for the hour at which all are free.",
        )
        self.question = f"There are people 1 to {people}. {asked[level - 1]}"

    @tool
    def ask(self, person: int) -> str:
        """The hours at which a person is free."""
        if not 1 <= person <= len(self.free):
            return f"There is no person {person}."
        self.seen[person - 1] = True
        return " ".join(map(str, self.free[person - 1])) or "never"

    @tool
    def book(self, person: int, hour: int) -> str:
        """Book a person for an hour, instead of any hour booked before."""
        if not 1 <= person <= len(self.free):
            return f"There is no person {person}."
        if hour not in self.free[person - 1]:
            return f"Person {person} is not free then."
        self.booked[person - 1] = hour
        return "booked"

    @tool
    def done(self, answer: int) -> bool:
        """Answer with the hour."""
        return answer == self.hour and (self.level < 3 or all(hour == self.hour for hour in self.booked))

    def plan(self) -> Iterator[Call]:
        for place, seen in enumerate(self.seen):
            if not seen:
                yield "ask", {"person": place + 1}
        for place, hour in enumerate(self.booked):
            if self.level == 3 and hour != self.hour:
                yield "book", {"person": place + 1, "hour": self.hour}
        yield "done", {"answer": self.hour}

    def _count(self, hour: int) -> int:
        """People who are free at an hour."""
        return sum(hour in one for one in self.free)

"""Dates: days of a span that fulfil some conditions."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Dates"]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Dates(Coding):
    """Days of a span that fulfil some conditions."""

    takes, gives = "first: str, last: str", "int"

    def __init__(self, rng: Random, level: int) -> None:
        self.days = sorted(rng.sample(range(7), rng.randint(2, 4)))
        self.each, self.rest = (each := rng.randint(2, 5)), rng.randrange(each)
        self.fee, self.month_end = rng.randint(2, 40), rng.randint(1, 90)
        self.level = level
        several = ", ".join(DAYS[day] for day in self.days)
        told = [f"first and last are dates such as 2024-02-29. Each {several} from first to last, both included,"]
        told[0] += f" costs {self.fee}"
        if level >= 2:
            told[0] += f", if the day of the month gives {self.rest} modulo {self.each}"
        told[0] += "."
        if level >= 3:
            told.append(f"Whatever its weekday, the last day of each month in the span costs {self.month_end} more.")
        self.words = " ".join([*told, "Give the sum."])
        test = f"day.weekday() in {self.days}" + (f" and day.day % {self.each} == {self.rest}" if level >= 2 else "")
        extra = self.month_end if level >= 3 else 0
        self.gold = f"""from datetime import date, timedelta

def solve(first, last):
    day, end, total = date.fromisoformat(first), date.fromisoformat(last), 0
    while day <= end:
        if {test}:
            total += {self.fee}
        if (day + timedelta(1)).day == 1:
            total += {extra}
        day += timedelta(1)
    return total
"""

    def sample(self, rng: Random) -> tuple[str, str]:
        first = date(rng.randint(1990, 2030), 1, 1) + timedelta(rng.randrange(365))
        return first.isoformat(), (first + timedelta(rng.randint(10, 400))).isoformat()

    def answer(self, first: str, last: str) -> int:
        start, end = date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal()
        total = 0
        for number in range(start, end + 1):
            day = date.fromordinal(number)
            # The first of January of the year 1 was a Monday.
            if (number - 1) % 7 in self.days and (self.level < 2 or day.day % self.each == self.rest):
                total += self.fee
            total += self.month_end * (self.level >= 3 and date.fromordinal(number + 1).month != day.month)
        return total

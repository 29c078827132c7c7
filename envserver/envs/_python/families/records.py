"""Parsing: records in a text, added up by group."""

from __future__ import annotations

import re
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Records"]

FIELDS = ("team", "city", "shop", "ward", "line", "crew")
VALUES = ("oslo", "lima", "bonn", "kyiv", "rome", "graz")
AMOUNTS = ("cost", "load", "size", "time", "rate", "heat")


class Records(Coding):
    """Records in a text, added up by group."""

    takes, gives = "text: str", "list[list]"

    def __init__(self, rng: Random, level: int) -> None:
        self.group = rng.choice(FIELDS)
        self.amounts = rng.sample(AMOUNTS, 2)
        self.between, self.inside, self.equals = (*rng.sample(";|/,&!", 2), rng.choice(":=>"))
        self.least = rng.randint(5, 25) if level >= 2 else 0
        self.default = rng.randint(1, 30) if level >= 3 else None
        amount, other = self.amounts
        told = [
            f"Records are separated by '{self.between}'; the fields of a record, in any order, by '{self.inside}', and "
            f"a field is a name, '{self.equals}' and a value. Add up {amount} for each {self.group}."
        ]
        if self.least:
            told.append(f"Leave out records whose {other} is below {self.least}.")
        if self.default is not None:
            told.append(f"A record may lack {amount}; then it is {self.default}.")
        told.append(f"Give a list of [{self.group}, sum], greatest sum first, where it is the same by name.")
        self.words = " ".join(told)
        value = f"int(r['{amount}'])" if self.default is None else f"int(r.get('{amount}', {self.default}))"
        self.gold = f"""def solve(text):
    sums = {{}}
    for record in text.split('{self.between}'):
        r = dict(field.split('{self.equals}') for field in record.split('{self.inside}'))
        if int(r['{other}']) >= {self.least}:
            sums[r['{self.group}']] = sums.get(r['{self.group}'], 0) + {value}
    return [[k, v] for k, v in sorted(sums.items(), key=lambda kv: (-kv[1], kv[0]))]
"""

    def sample(self, rng: Random) -> tuple[str]:
        records = []
        for _ in range(rng.randint(3, 9)):
            fields = [(self.group, rng.choice(VALUES)), (self.amounts[1], str(rng.randint(0, 50)))]
            if self.default is None or rng.random() < 0.7:
                fields.append((self.amounts[0], str(rng.randint(1, 60))))
            rng.shuffle(fields)
            records.append(self.inside.join(f"{name}{self.equals}{value}" for name, value in fields))
        return (self.between.join(records),)

    def answer(self, text: str) -> list[list[str | int]]:
        def field(record: str, name: str) -> str | None:
            found = re.search(rf"\b{name}{re.escape(self.equals)}(\w+)", record)
            return found and found[1]

        records = [one for one in text.split(self.between) if int(field(one, self.amounts[1]) or 0) >= self.least]
        sums = []
        for name in {field(one, self.group) for one in records}:
            mine = [one for one in records if field(one, self.group) == name]
            sums.append((-sum(int(field(one, self.amounts[0]) or self.default or 0) for one in mine), str(name)))
        return [[name, -total] for total, name in sorted(sums)]

"""Payments between accounts. 1: what one paid in all; 2: who has most at the end; 3: settle every balance to 0."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Ledger"]

SETTLING = 2
"""Payments that settle a ledger of three accounts of which none is even."""


class Ledger(Program):
    """Payments between accounts."""

    story = "Each entry is a payment from one account to another; all accounts began with 0."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        entries = calls - 1 - (SETTLING if level == 3 else 0)
        accounts = 3 if level == 3 else 4
        self.account = rng.randint(1, accounts) if level == 1 else 0
        """The one that is asked about."""
        self.entries: list[tuple[int, int, int]] = []
        """Payer, payee, amount."""
        self.balances: list[int] = []
        """(accounts,) After all entries and payments."""
        while not self._fit():
            self.entries = []
            for _ in range(entries):
                payer, payee = rng.sample(range(1, accounts + 1), 2)
                self.entries.append((payer, payee, rng.randint(1, 9)))
            self.balances = [0] * accounts
            for entry in self.entries:
                self._move(*entry)
        self.seen = [False] * entries
        self.answer = (
            sum(amount for payer, _, amount in self.entries if payer == self.account),
            self.balances.index(max(self.balances)) + 1,
            max(self.balances),
        )[level - 1]
        asked = (
            f"What did account {self.account} pay in all?",
            "Which account has most at the end?",
            "Pay until every account has 0. What was the greatest balance before?",
        )
        self.question = f"There are entries 1 to {entries} and accounts 1 to {accounts}. {asked[level - 1]}"

    @tool
    def entry(self, number: int) -> str:
        """Read an entry."""
        if not 1 <= number <= len(self.entries):
            return f"There is no entry {number}."
        self.seen[number - 1] = True
        payer, payee, amount = self.entries[number - 1]
        return f"{payer} pays {payee}: {amount}"

    @tool
    def pay(self, payer: int, payee: int, amount: int) -> str:
        """Make a payment."""
        accounts = range(1, len(self.balances) + 1)
        if payer not in accounts or payee not in accounts or payer == payee:
            return f"Payments go from one account to another of 1 to {len(self.balances)}."
        if not 1 <= amount <= 10_000:
            return "A payment is 1 to 10000."
        self._move(payer, payee, amount)
        return "paid"

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == self.answer and (self.level < 3 or not any(self.balances))

    def plan(self) -> Iterator[Call]:
        for place, seen in enumerate(self.seen):
            if not seen:
                yield "entry", {"number": place + 1}
        balances = list(self.balances)
        while self.level == 3 and any(balances):
            most, least = balances.index(max(balances)), balances.index(min(balances))
            amount = min(balances[most], -balances[least], 10_000)
            balances[most] -= amount
            balances[least] += amount
            yield "pay", {"payer": most + 1, "payee": least + 1, "amount": amount}
        yield "done", {"answer": self.answer}

    def _fit(self) -> bool:
        """Whether the entries are drawn, and ask for what the level asks for."""
        if not self.entries:
            return False
        if self.level == 3:
            return all(self.balances)
        return self.level == 1 or self.balances.count(max(self.balances)) == 1

    def _move(self, payer: int, payee: int, amount: int) -> None:
        self.balances[payer - 1] -= amount
        self.balances[payee - 1] += amount

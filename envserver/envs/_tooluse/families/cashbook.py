"""A cash book: pages that bring amounts, and balances that are carried on from page to page. 1: one account; 2: two;
3: three."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Cashbook"]

Account = Literal["bank", "cash", "till"]
ACCOUNTS: tuple[Account, ...] = ("cash", "bank", "till")


class Cashbook(Program):
    """Pages that bring amounts to accounts. What is written on them is the player's own affair, as in any book: a wrong
    balance is not refused, and found out at the end."""

    story = "Each page of a book brings an amount to an account. Of a balance only the last digit is kept."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        pages = calls - 1
        self.entries = [(rng.choice(ACCOUNTS[:level]), rng.randint(1, 3)) for _ in range(pages)]
        """Account and amount of each page. Of 1 to 9 with a last digit alone neither summand would tell anything of the
        sum, and a small model does not begin to learn it."""
        self.asked: Account = rng.choice(ACCOUNTS[:level])
        self.turned = 1
        """Pages that can be seen."""
        self.question = f"Balances begin with 0. What is the last one of {self.asked}? Page {self._page(1)}."

    @tool
    def write(self, page: int, account: Account, balance: int) -> str:
        """Write an account's balance on a page, and see the next page."""
        if not 1 <= page <= self.turned:
            return f"Page {page} is not open; there are pages 1 to {self.turned}."
        self.turned = min(max(self.turned, page + 1), len(self.entries) + 1)
        return self._page(page + 1)

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == self._balance(self.asked, len(self.entries))

    def plan(self) -> Iterator[Call]:
        for page, (account, _) in enumerate(self.entries[self.turned - 1 :], start=self.turned):
            yield "write", {"page": page, "account": account, "balance": self._balance(account, page)}
        yield "done", {"answer": self._balance(self.asked, len(self.entries))}

    def _page(self, page: int) -> str:
        """What a page says."""
        if page > len(self.entries):
            return "end"
        account, amount = self.entries[page - 1]
        return f"{page} {account} {amount}"

    def _balance(self, account: Account, page: int) -> int:
        """After a page."""
        return sum(amount for name, amount in self.entries[:page] if name == account) % 10

"""Jobs in a queue. 1: pop them all, which takes longest; 2: serve the red ones, push the others back; 3: three hours a
turn, what is left goes to the back."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.draws import marked, peaked
from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Queue"]

TURN = 3
"""Hours that a job gets at a time."""
ASKED = (
    "Pop them all. Which job takes longest?",
    "Serve the red ones and push the others back. How many hours do the red ones take in all?",
    f"Serve each that takes at most {TURN} hours; of others do {TURN} hours and push the rest. Which job ends last?",
)


class Queue(Program):
    """Jobs in a queue."""

    story = "Jobs wait in a queue. A popped job is in your hand until it is served or pushed back."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        turns = calls - 1 if level == 1 else (calls - 1) // 2
        if level == 3:
            self.hours: list[int] = []
            while turns:
                of_one = rng.randint(1, min(3, turns))
                self.hours.append(TURN * (of_one - 1) + rng.randint(1, TURN))
                turns -= of_one
        else:
            self.hours = peaked(rng, turns)
        count = len(self.hours)
        self.names = rng.sample(range(1, max(count, 9) + 1), count)
        self.red = marked(rng, count) if level == 2 else [False] * count
        self.waiting = list(range(count))
        """Jobs by their place at the start, the front first."""
        self.hand = -1
        """The job that was popped last; -1: none."""
        self.seen = [False] * count
        self.answer = (
            self.names[self.hours.index(max(self.hours))],
            sum(hours for hours, red in zip(self.hours, self.red, strict=True) if red),
            self.names[self._last()],
        )[level - 1]
        self.question = f"{count} jobs wait. {ASKED[level - 1]}"

    @tool
    def pop(self) -> str:
        """Take the first job into your hand."""
        if self.hand >= 0 and self.level > 1:
            return f"You hold job {self.names[self.hand]}."
        if not self.waiting:
            return "none"
        self.hand = self.waiting.pop(0)
        self.seen[self.hand] = True
        colour = ("red " if self.red[self.hand] else "blue ") if self.level == 2 else ""
        return f"job {self.names[self.hand]}: {colour}{self.hours[self.hand]} hours"

    @tool
    def serve(self) -> str:
        """Do the job in your hand to its end."""
        if self.hand < 0:
            return "Your hand is empty."
        if self.level == 2 and not self.red[self.hand]:
            return "It is not red."
        if self.level == 3 and self.hours[self.hand] > TURN:
            return f"It takes more than {TURN} hours."
        self.hand = -1
        return "served"

    @tool
    def push(self, hours: int) -> str:
        """Put the job in your hand at the back, with the hours it still takes."""
        if self.hand < 0:
            return "Your hand is empty."
        if hours != self._rest(self.hand) or hours <= 0:
            return "That is not what it still takes."
        self.hours[self.hand] = hours
        self.waiting.append(self.hand)
        self.hand = -1
        return "pushed"

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        unserved = [job for job in (*self.waiting, self.hand) if job >= 0]
        if self.level == 2:
            unserved = [job for job in unserved if self.red[job]]
        return answer == self.answer and (self.level == 1 or not unserved)

    def plan(self) -> Iterator[Call]:
        ahead = self.copy()
        while (call := ahead._move()) is not None:
            yield call
            getattr(ahead, call[0])(**call[1])
        yield "done", {"answer": self.answer}

    def _move(self) -> Call | None:
        """What is to be done now; None where only the answer is missing."""
        if self.hand < 0 or self.level == 1:
            left = self.level != 2 or any(self.red[job] or not self.seen[job] for job in self.waiting)
            return ("pop", {}) if self.waiting and left else None
        if self.red[self.hand] if self.level == 2 else self.hours[self.hand] <= TURN:
            return "serve", {}
        return "push", {"hours": self._rest(self.hand)}

    def _rest(self, job: int) -> int:
        """Hours that a job still takes when it is pushed back."""
        return self.hours[job] - (TURN if self.level == 3 else 0)

    def _last(self) -> int:
        """The job that ends last."""
        turns = [(hours + TURN - 1) // TURN for hours in self.hours]
        return max(range(len(turns)), key=lambda job: (turns[job], job))

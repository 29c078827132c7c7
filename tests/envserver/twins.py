"""Both ALFWorld engines given the same commands; `python twins.py` reads its jobs as JSON and tells what it found.

A process of its own, because the package's engine keeps its state in one.
"""

from __future__ import annotations

import json
import lzma
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envserver.envs._alfworld import oracle
from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.row import Row

HERE = Path(__file__).parent
PACK = Path(
    os.environ.get("TURNHALLE_ALFWORLD_TESTDATA") or HERE.parents[2] / "shared" / "data" / "alfworld" / "games.jsonl.xz"
)
GARBAGE = (
    "", " ", "\n", "help", "HELP", "look", "Look", " look \t\n", "go to", "go to nowhere 1", "examine", "take", "open",
    "put", "inventory", "xyzzy", "take  from ", "look look", "\0", "größe 1", "{o.name}", "#intro#", "[a]", "quit",
    "use", "move x to y", "put x in/on y", "a" * 5000,
)  # fmt: skip


def row_of(found: dict[str, Any]) -> Row:
    return Row(found["id"], found["task"], found["task_type"], found["params"], tuple(found["anns"]), found["problem"])


def official(every: int) -> list[Row]:
    """Each so many-th official game."""
    with lzma.open(PACK, "rt") as lines:
        return [row_of(json.loads(line)) for at, line in enumerate(lines) if at % every == 0]


def compare(jobs: list[tuple[Row, str]], steps: int, timeout_s: float) -> Counter[str]:
    """Play both engines in a child, `steps` commands a game; what was compared, counted. Raises on any difference."""
    sent = json.dumps({"steps": steps, "games": [{**asdict(row), "dialect": dialect} for row, dialect in jobs]})
    done = subprocess.run(
        [sys.executable, str(HERE / "twins.py")],
        input=sent,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    return Counter(json.loads(done.stdout.splitlines()[-1]))


class Player:
    """Chooses commands: at random, rather what changes something, the oracle's, and what is refused."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)
        self.earlier = ["look"]

    def command(self, play: Play) -> str:
        rng, choices = self.rng, play.admissible()
        kind = rng.random()
        if kind < 0.12:
            command = rng.choice(GARBAGE)
        elif kind < 0.18:
            command = rng.choice(self.earlier)
        elif kind < 0.24:
            twist = rng.choice(
                (str.upper, str.title, lambda text: text.replace(" ", "  "), lambda text: f"\t{text} \n")
            )
            command = twist(rng.choice(choices))
        elif kind < 0.45 and not play.won:
            command = (oracle.plan(play) or ["look"])[0]
        elif kind < 0.75:
            changing = [one for one in choices if not one.startswith(("go", "examine", "help", "inventory", "look"))]
            command = rng.choice(changing or choices)
        else:
            command = rng.choice(choices)
        self.earlier.append(command)
        return command


def compared(row: Row, dialect: Any, steps: int) -> Counter[str]:
    from envserver.envs._alfworld.stock import StockPlay

    stock, play = StockPlay(row, dialect), Play(Game.load(row, dialect))
    player, counts = Player(f"{row.id}/{dialect}"), Counter[str]({"games": 1, f"games {dialect}": 1})
    counts[row.task_type] += 1
    command = None
    for at in range(steps + 1):
        reward, stock_reward = float(play.won), float(stock.reward)
        ours = (play.text, play.admissible(), reward, play.won, play.moved)
        theirs = (stock.text, stock.admissible(), stock_reward, stock.won, stock.moved)
        assert ours == theirs, (row.id, dialect, at, command, ours, theirs)
        if at == steps:
            break
        command = player.command(play)
        play.step(command)
        stock.step(command)
        counts.update(steps=1, refused=not play.moved, won=play.won)
        counts[f"verb {command.split()[0]}" if play.moved else "verb refused"] += 1
    stock.close()
    return counts


def main() -> None:
    asked = json.load(sys.stdin)
    counts = Counter[str]()
    for game in asked["games"]:
        counts += compared(row_of(game), game["dialect"], asked["steps"])
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()

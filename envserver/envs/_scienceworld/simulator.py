"""One ScienceWorld world: the package's simulator, asked only what is wanted, and played again where its JVM died."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from envserver.envs._scienceworld.jvm import JvmGone, Settings, running

__all__ = ["Seen", "Simulator", "gold_path"]

T = TypeVar("T")

MAX_PATHS = 1024
"""Gold paths a process remembers."""


class Seen(NamedTuple):
    """What a command led to."""

    text: str
    score: int
    """From -100, which is failure, to 100."""
    over: bool


class Simulator:
    """A world that outlives its JVM: the same commands lead to the same states in another."""

    def __init__(self, settings: Settings, task: str, variation: int, simplifications: str) -> None:
        """Load a variation that there is, with `simplifications` as the package spells them.

        Raises JvmFailed where there is no Java, or RuntimeError where there is no room.
        """
        self.settings = settings
        self.key = (task, variation, simplifications)
        self.played: list[tuple[str, Seen]] = []
        self.ids = self.seed = 0
        self.simplifications = ""
        self._java: Any = None
        try:
            self._start()
        except JvmGone:
            self._start()

    def step(self, command: str) -> Seen:
        """Play a command, one printable line."""
        seen = self._surviving(lambda: self._step(command))
        self.played.append((command, seen))
        return seen

    def look(self) -> str:
        """The room, for no time."""
        return str(self._peek("freeActionLook"))

    def inventory(self) -> str:
        """The inventory, for no time."""
        return str(self._peek("freeActionInventory"))

    def description(self) -> str:
        """The task, in a few sentences."""
        return str(self._peek("getTaskDescription"))

    def valid(self) -> list[str]:
        """Every command that does something now, sorted, each once; 10 to 500 ms."""
        return list(dict.fromkeys(self._peek("getValidActionObjectCombinations")))

    def gold(self) -> list[str]:
        """A path to the score of 100, found now and not yet tried; seconds. The world begins anew."""
        self._load(gold=True)
        return self.jvm.lines(self._ask("getGoldActionSequence"))

    def close(self) -> None:
        """Let the JVM forget the world; safe to call twice."""
        if self._java is not None:
            self.jvm.leave(self, self._java)
            self._java = None

    def _start(self) -> None:
        self.jvm = running(self.settings)
        # Even to make the object moves the statics.
        self.jvm.enter(self, afresh=True)
        self._java = self.jvm.simulator()
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self, *, gold: bool = False) -> None:
        self.jvm.enter(self, afresh=True)
        problem = self.jvm.call(self._java.load, *self.key, gold)
        if problem:
            raise RuntimeError(f"the simulator cannot load '{self.key[0]}' {self.key[1]}: {problem}")
        self.simplifications = str(self._ask("getSimplificationsUsed"))
        # Every variation of every task, 9 MiB, made anew by each load.
        self._ask("taskMaker_$eq", None)

    def _step(self, command: str) -> Seen:
        text = str(self._ask("step", command))
        score = round(100 * self._ask("getScore"))
        if score < 0 and self._failed():
            raise RuntimeError(f"the simulator failed: {text[:200]}")
        return Seen(text, score, bool(self._ask("getCompleted")) or score < 0)

    def _failed(self) -> bool:
        option = self._ask("agentInterface")
        return bool(self.jvm.call(self.jvm.call(option.get).isInErrorState))

    def _ask(self, method: str, *arguments: Any) -> Any:
        self.jvm.enter(self)
        return self.jvm.call(getattr(self._java, method), *arguments)

    def _peek(self, method: str) -> Any:
        """Ask without a trace: to name things, the simulator draws random numbers, and the world would go otherwise."""

        def ask() -> Any:
            self.jvm.enter(self)
            self.jvm.save()
            found = self._ask(method)
            found = found if isinstance(found, str) else self.jvm.lines(found)
            self.jvm.restore()
            return found

        return self._surviving(ask)

    def _surviving(self, ask: Callable[[], T]) -> T:
        """Ask once more, of the same world in another JVM, where the JVM died. Raises JvmGone where that dies too."""
        try:
            return ask()
        except JvmGone:
            self.close()
            self._start()
            for index, (command, seen) in enumerate(self.played):
                if self._step(command) != seen:
                    raise RuntimeError(
                        f"ScienceWorld's Java process died, and the replay differs from what was seen at step {index}"
                    ) from None
            return ask()


_paths: OrderedDict[tuple[str, int, str], tuple[str, ...]] = OrderedDict()


def gold_path(settings: Settings, task: str, variation: int, simplifications: str) -> tuple[str, ...]:
    """Commands that complete a task with a score of 100; none where the package's own path does not.

    Found beside the worlds that are played, by a world of its own: 1 to 15 s, once a process.
    """
    key = (task, variation, simplifications)
    path = _paths.get(key)
    if path is None:
        path = _paths[key] = _tried(Simulator(settings, *key))
        while len(_paths) > MAX_PATHS:
            _paths.popitem(last=False)
    return path


def _tried(simulator: Simulator) -> tuple[str, ...]:
    try:
        for command in simulator.gold():
            seen = simulator.step(command)
            if seen.over:
                return tuple(command for command, _ in simulator.played) if seen.score == 100 else ()
        return ()
    finally:
        simulator.close()

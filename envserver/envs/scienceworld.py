"""ScienceWorld 1.2.3: thirty tasks of school science in a house of ten rooms (Wang et al. 2022, arXiv 2203.07540).

A key is a task and a variation, `boil/13`; the task's seed adds nothing. The worlds of a worker share one JVM and are
the package's own simulator, asked only what is shown: the package's `step` lists every valid command each time. The
same commands lead to the same results in any JVM, which the package alone does not promise; so a world whose JVM dies
is played again in another, and what its player saw stays true.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from envserver.core import Env, EnvConfig, cut, going, lost, won
from envserver.envs._scienceworld.keys import VARIATIONS, ListName, keys, parse
from envserver.schema import Action, StepResult, Task

if TYPE_CHECKING:
    from envserver.envs._scienceworld.jvm import Settings
    from envserver.envs._scienceworld.simulator import Seen, Simulator
elif importlib.util.find_spec("scienceworld") is None:
    raise ModuleNotFoundError("No module named 'scienceworld'", name="scienceworld")

__all__ = ["ScienceWorld"]

Simplification = Literal[
    "easy", "teleportAction", "openDoors", "openContainers", "selfWateringFlowerPots", "noElectricalAction"
]
LONGEST = 400
"""Characters of a command; the longest valid ones have about 150."""


class ScienceWorldConfig(EnvConfig):
    """Options of scienceworld."""

    servers_own: ClassVar[tuple[str, ...]] = ("java", "java_heap_bytes", "java_options")

    lists: ListName = "official"
    """What is listed. `official`: the package's splits, its dev as `valid`. `L0`, `L1`, `L2`: RLVMR's index files
    (arXiv 2507.22844), 29 tasks without use-thermometer, `valid` empty. L0 trains on the official train variations and
    tests on the dev ones; L1 tests on the official test ones; L2 trains on 19 tasks and tests on the test variations of
    the other ten, the last type of each topic."""
    tasks: tuple[str, ...] = ()
    """The tasks that are listed, by name; none means all of them."""
    simplifications: tuple[Simplification, ...] = ("easy",)
    """`easy`, as RLVMR has it, is the package's preset: teleportAction, openDoors, selfWateringFlowerPots, and
    noElectricalAction where the task is not about electricity. None: the world as it is."""
    max_steps: int = Field(default=30, ge=1, le=10_000)
    """Steps after which the episode is cut: RLVMR's 30, enough for the gold paths of 18 of the 30 tasks."""
    reward: Literal["sparse", "dense"] = "sparse"
    """`sparse`: 1 for winning, which is a completed task with a score above 0. `dense`: what the score rose by, divided
    by 100, so that an episode's rewards sum to its last score; failing, such as by a focus on the wrong thing, is a
    score of -100."""
    admissible: bool = False
    """Whether the commands that do something now are shown as choices: 100 to 4,500 of them, 10 to 500 ms a step."""
    show: tuple[Literal["look", "inventory"], ...] = ()
    """What is put under the simulator's answer, in this order, each once; they cost no time in the world. The first
    observation always has the task and the room."""
    java: Path | None = None
    """The Java program, 11 or newer, of the HotSpot kind. None: `$JAVA_HOME/bin/java`, else the path's `java`. Only the
    server may set it."""
    java_heap_bytes: int = Field(default=512 << 20, ge=64 << 20)
    """Heap of a worker's JVM, with room for a world in every 4 MiB; the process takes up to 150 MB more. Only the
    server may set it."""
    java_options: tuple[str, ...] = ("-XX:+UseSerialGC",)
    """Further options of the JVM. Only the server may set them."""

    @field_validator("tasks")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for task in value:
            if task not in VARIATIONS:
                raise ValueError(f"no task is named '{task[:64]}'; there are: {', '.join(VARIATIONS)}")
        return value

    @field_validator("show", "simplifications")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each of them can be named once")
        return value

    @model_validator(mode="after")
    def _easy_alone(self) -> Self:
        if "easy" in self.simplifications and len(self.simplifications) > 1:
            raise ValueError("'easy' is a preset of simplifications; name it alone or name others")
        return self

    def settings(self) -> Settings:
        """What the JVM is started with."""
        from envserver.envs._scienceworld.jvm import Settings

        return Settings(self.java, self.java_heap_bytes, self.java_options)


class ScienceWorld(Env):
    """School science in a simulated house: boil water, grow a plant, test a wire, find an animal."""

    Config: ClassVar[type[EnvConfig]] = ScienceWorldConfig
    config: ScienceWorldConfig
    instructions: ClassVar[str] = (
        "You are in a house with a workshop, a foundry, a greenhouse and the like. Carry out the task with short "
        "commands, one at a time: look around, look at OBJECT, look in CONTAINER, inventory, task, go to PLACE, "
        "open OBJECT, close OBJECT, pick up OBJECT, put down OBJECT, move OBJECT to OBJECT, pour OBJECT into OBJECT, "
        "dunk OBJECT into OBJECT, mix OBJECT, use OBJECT, use OBJECT on OBJECT, activate OBJECT, deactivate OBJECT, "
        "connect OBJECT to OBJECT, disconnect OBJECT, read OBJECT, eat OBJECT, flush OBJECT, focus on OBJECT, wait, "
        "wait1, and, where it is allowed, teleport to PLACE. `wait` is ten moments, `wait1` is one. Focus on an object "
        "only where the task asks for it: a focus on the wrong one fails the task. Where a command is ambiguous, "
        "answer with the number of what you mean."
    )

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        assert isinstance(config, ScienceWorldConfig)
        from envserver.envs._scienceworld.jvm import java_program

        # The JVM itself starts in the worker: a fork would share its sockets.
        java_program(config.java)

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, ScienceWorldConfig)
        return keys(config.lists, split, config.tasks)

    def reset(self, task: Task) -> StepResult:
        name, variation = parse(task.key)
        electrical = "power-component" in name or "conductivity" in name
        if electrical and "noElectricalAction" in self.config.simplifications:
            raise KeyError(f"'{name}' needs the electrical actions; leave out the simplification noElectricalAction")
        from envserver.envs._scienceworld.simulator import Simulator

        self.simulator: Simulator = Simulator(
            self.config.settings(), name, variation, ",".join(self.config.simplifications)
        )
        self.score = 0
        self.path: tuple[str, ...] | None = None
        """The gold path, once it was asked for."""
        shown = [what for what in self.config.show if what != "look"]
        first = (self.simulator.description(), self.simulator.look(), *map(self._shown, shown))
        return going(_joined(*first), choices=self._choices(), score=0)

    def step(self, action: Action) -> StepResult:
        seen = self.simulator.step("" if action.tool is not None else _readable(action.text))
        reward = (seen.score - self.score) / 100 if self.config.reward == "dense" else 0.0
        self.score = seen.score
        text = _joined(seen.text, *map(self._shown, self.config.show))
        if seen.over:
            return self._ended(seen, text, reward)
        if len(self.simulator.played) >= self.config.max_steps:
            return cut(text, reward=reward, score=seen.score)
        return going(text, reward=reward, choices=self._choices(), score=seen.score)

    def expert(self) -> Action | None:
        if self.path is None:
            from envserver.envs._scienceworld.simulator import gold_path

            self.path = gold_path(self.simulator.settings, *self.simulator.key)
        played = [command for command, _ in self.simulator.played]
        steps = len(played)
        if self.path[:steps] != tuple(played) or not steps < len(self.path) <= self.config.max_steps:
            return None
        return Action(text=self.path[steps])

    def close(self) -> None:
        if hasattr(self, "simulator"):
            self.simulator.close()

    def _ended(self, seen: Seen, text: str, reward: float) -> StepResult:
        if seen.score <= 0:
            return lost(text, reward=reward, score=seen.score)
        return won(text, reward=reward if self.config.reward == "dense" else 1.0, score=seen.score)

    def _shown(self, what: str) -> str:
        return self.simulator.look() if what == "look" else self.simulator.inventory()

    def _choices(self) -> list[str]:
        return self.simulator.valid() if self.config.admissible else []


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _readable(text: str) -> str:
    """The one line of printable ASCII that `text` is, or the empty command, which the simulator does not know."""
    line = " ".join(text[: LONGEST + 1].split())
    return line if len(text) <= LONGEST and re.fullmatch(r"[ -~]*", line) else ""

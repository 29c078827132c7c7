"""A world whose tasks need something that is made first: a file in a directory that the test watches."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from envserver.core import Env, EnvConfig, Making, going


class ForgeConfig(EnvConfig):
    servers_own: ClassVar[tuple[str, ...]] = ("place",)
    place: Path = Path()
    colour: str = ""


class Forge(Env):
    """What a key needs is a file of its name; `begin NAME PID` and `end NAME` are logged."""

    Config = ForgeConfig
    config: ForgeConfig
    splits = ("train",)

    @classmethod
    def tasks(cls, config, split):
        return ["plain", "other", "held", "raises", "hangs", "dies"]

    @classmethod
    def making(cls, config, task):
        if task.key not in cls.tasks(config, "train"):
            raise RuntimeError(task.key)
        made = config.place / task.key
        return None if made.exists() else Making(task.key, partial(make, config.place, task.key))

    def reset(self, task):
        if not (self.config.place / task.key).exists():
            if task.key not in self.tasks(self.config, "train"):
                raise KeyError(task.key)
            make(self.config.place, task.key)
        return going(f"pid {os.getpid()}")

    def step(self, action):
        return going(action.text)


def make(place: Path, key: str) -> None:
    log(place, f"begin {key} {os.getpid()}")
    match key:
        case "held":
            while not (place / "go").exists():
                time.sleep(0.01)
        case "raises":
            raise OSError(28, "No space left on device")
        case "hangs":
            time.sleep(1000)
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
    log(place, f"end {key}")
    (place / key).touch()


def log(place: Path, line: str) -> None:
    with (place / "log").open("a") as out:
        out.write(line + "\n")

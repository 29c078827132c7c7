"""What a fork server puts around its sandboxes: the order of the walls, which a backend fills.

One process of a kind: the *zygote* forks a *keeper* for each sandbox, the keeper a *run* for each program, beforehand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

__all__ = ["Told", "Walls"]


@dataclass(frozen=True)
class Told:
    """What the worker tells the fresh process, and through it every run may know."""

    walls: str
    roots: list[str]
    """Directories and files of the host that programs may read."""
    hidden: list[str]
    """Directories below `roots` that they may not: packages, and this project."""
    packages: dict[str, str]
    """Entry of /packages -> what of the host it shows."""
    environment: dict[str, str]
    scratch: str
    """Directory of the host for working directories, where the walls have no disk of their own."""
    spare: int
    """Keepers that wait for a sandbox."""
    disk_bytes: int
    files: int
    """What a sandbox's files hold, and how many there are, until a run says otherwise."""
    extra: dict[str, str] = field(default_factory=dict)
    """What walls that stand already enforce."""
    devices: list[str] = field(default_factory=list)
    """Device nodes of the host that programs may use, beside those that every program has."""


class Walls(ABC):
    """One backend's walls, in the order in which they go up."""

    families: tuple[int, ...]
    """Kinds of socket a program may have."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.enforced: dict[str, str] = {}
        """What is bounded -> how."""
        self.own_user = False
        """Whether no other process counts against the sandbox's user, so that RLIMIT_NPROC bounds its own."""

    @abstractmethod
    def around_all(self) -> None:
        """In the zygote, once."""

    @abstractmethod
    def around_one(self, slot: int, user: int | None) -> str:
        """In the keeper, as root where `user` is the number it shall take; the working directory."""

    @abstractmethod
    def resize(self, disk_bytes: int, files: int) -> None:
        """In the keeper: bound the working directory."""

    def overrun(self) -> bool:
        """In the keeper, while a program runs: whether the disk holds more than it may, where only looking tells."""
        return False

    @abstractmethod
    def fork_run(self) -> int:
        """In the keeper: 0 in the process that a run's program is a child of."""

    def around_run(self) -> None:  # noqa: B027
        """In the process that `fork_run` made."""

    @abstractmethod
    def around_program(self) -> None:
        """In the process that will be the program, before it is told of it."""

    @abstractmethod
    def end_run(self, pid: int) -> float:
        """In the keeper: end whatever a run has left, and wait for it; the CPU time it had, as far as that is known."""

    def remove(self, slot: int) -> None:  # noqa: B027
        """In the zygote, when a keeper has ended: take away what it left."""

    def remove_all(self) -> None:  # noqa: B027
        """In the zygote, at its end."""

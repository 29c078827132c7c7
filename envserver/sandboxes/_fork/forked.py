"""A sandbox that a fork server keeps: what the backends on it have in common."""

from __future__ import annotations

import tempfile
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from envserver.sandboxes._fork import shelter
from envserver.sandboxes._fork.client import Box, open_box
from envserver.sandboxes._fork.walls import Told
from envserver.sandboxes.base import BadInput, Limits, Ran, Sandbox, SandboxConfig

__all__ = ["Forked"]


class Forked(Sandbox):
    """One session's box."""

    class Config(SandboxConfig):
        packages: tuple[str, ...] = ()
        """Installed distributions that programs can import, those they need among them; none by themselves."""
        spare: Annotated[int, Field(ge=0, le=64)] = 2
        """Sandboxes that are made before they are asked for, in each worker."""
        disk_bytes: Annotated[int, Field(gt=0, lt=1 << 62)] = Limits().disk_bytes
        """What its files hold, until a run says otherwise."""
        files: Annotated[int, Field(gt=0, lt=1 << 62)] = Limits().files
        """How many there are, until a run says otherwise."""

    walls: ClassVar[Literal["namespace", "landlock"]]

    def __init__(self, config: SandboxConfig) -> None:
        super().__init__(config)
        assert isinstance(config, self.Config)
        roots = shelter.roots()
        try:
            packages = shelter.packages(config.packages)
        except shelter.BadPackage as error:
            raise BadInput(str(error)) from None
        self._told = Told(
            walls=self.walls,
            roots=roots,
            hidden=shelter.hidden(roots),
            packages=packages,
            environment=shelter.environment("/work"),
            scratch=tempfile.gettempdir(),
            spare=config.spare,
            disk_bytes=config.disk_bytes,
            files=config.files,
        )
        self._box = self._opened()

    def _opened(self) -> Box:
        box = open_box(self._told, shelter.interpreter())
        self.enforced = box.enforced
        return box

    def _run(
        self, arguments: list[str], python: str | None, stdin: bytes, environment: dict[str, str], limits: Limits
    ) -> Ran:
        return self._box.run(arguments, python, stdin, environment, limits)

    def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        self._box.write(path, data, executable)

    def read(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        return self._box.read(path, limit_bytes)

    def reset(self) -> None:
        self._box.close()
        self._box = self._opened()

    def close(self) -> None:
        self._box.close()

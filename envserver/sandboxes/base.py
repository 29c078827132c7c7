"""The contract of a sandbox: where a program that nobody has read runs, and what it may use up.

A sandbox belongs to one session. Files in its working directory stay from run to run until `reset`; processes do not.
What a host cannot enforce is in `enforced` and in every `Ran`; no backend takes another's place by itself.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType, TracebackType
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from envserver import plugins

__all__ = [
    "DEFAULT",
    "BadInput",
    "Limits",
    "NoSuchFile",
    "Probe",
    "Ran",
    "Sandbox",
    "SandboxConfig",
    "SandboxError",
    "SandboxLost",
    "SandboxUnavailable",
    "backends",
    "load_backend",
    "open_sandbox",
]

SHELF = "envserver.sandboxes"
DEFAULT = "namespace"
EXTRAS = {"docker": "docker"}
MOST_ARGUMENTS_BYTES = 1 << 20


class SandboxError(Exception):
    """Base of what a sandbox raises; one sentence that says what was wrong and what to do."""


class SandboxUnavailable(SandboxError):
    """Raised where this host cannot run the backend, or it was not allowed."""


class SandboxLost(SandboxError):
    """Raised where the sandbox's supervisor is gone, and its files with it; open another."""


class BadInput(SandboxError, ValueError):
    """Raised for a program, a path, a limit or data that cannot be taken; the sandbox is as it was."""


class NoSuchFile(SandboxError, FileNotFoundError):
    """Raised where there is no file of this name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. Raises BadInput for what is not above zero."""

    wall_s: float = 10.0
    cpu_s: float = 10.0
    """CPU time of all its processes."""
    memory_bytes: int = 256 << 20
    """Memory of all its processes and of the files it writes, beyond what lay there before."""
    output_bytes: int = 1 << 20
    """Standard output and errors together."""
    disk_bytes: int = 64 << 20
    """What all files of the sandbox hold."""
    files: int = 4096
    """How many files and directories there may be."""
    processes: int = 64
    """Processes and threads at once."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, whole = getattr(self, one.name), not one.name.endswith("_s")
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise BadInput(f"the limit {one.name} is a{' whole' if whole else ''} number, not {value!r:.100}")
            if not (value > 0 and math.isfinite(value) and value < 1 << 62):
                raise BadInput(f"the limit {one.name} is {value!r:.100}; give a number above zero")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it wrote."""

    stdout: bytes
    stderr: bytes
    code: int | None
    """Its exit code; None where a signal ended it."""
    signal: int | None
    cut: bool
    """It wrote more than `output_bytes` and was ended for it; what came before is here."""
    timed_out: bool
    """It ran past `wall_s` or `cpu_s`."""
    out_of_memory: bool
    """It was ended for want of memory. Where each process has a bound of its own, that one fails by itself instead."""
    wall_s: float
    cpu_s: float
    enforced: Mapping[str, str]
    """What was bounded -> how."""

    @property
    def ok(self) -> bool:
        """It ended by itself, with exit code 0."""
        return self.code == 0 and not (self.cut or self.timed_out)

    @property
    def out(self) -> str:
        """Standard output as text; a byte that is not UTF-8 is shown as an escape."""
        return self.stdout.decode(errors="backslashreplace")

    @property
    def err(self) -> str:
        """Standard errors as text, in the same way."""
        return self.stderr.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Probe:
    """What a backend can do on this host, found by trying."""

    backend: str
    available: bool
    detail: str
    """Why it is not available; else a sentence on what it is."""
    enforced: Mapping[str, str] = field(default_factory=dict)


class SandboxConfig(BaseModel):
    """Settings of a backend."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Sandbox(ABC):
    """One session's place for programs. Raises SandboxUnavailable where this host cannot have it."""

    Config: ClassVar[type[SandboxConfig]] = SandboxConfig
    unsafe: ClassVar[bool] = False
    """True: a program can reach the host; opened only where `allow_unsafe` says so."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.enforced: Mapping[str, str] = MappingProxyType({})

    def run(
        self,
        arguments: Sequence[str] = (),
        *,
        python: str | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Ran:
        """Run a program to its end: `arguments` with its name first, or `python` source with `arguments` after it.

        Raises BadInput, SandboxLost. What the program does is never an exception.
        """
        words = _words(arguments, python, environment)
        return self._run(words, python, stdin, dict(environment or {}), limits or Limits())

    @abstractmethod
    def _run(
        self, arguments: list[str], python: str | None, stdin: bytes, environment: dict[str, str], limits: Limits
    ) -> Ran: ...

    @abstractmethod
    def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Put a file into the working directory, and its directories; all of it or none. Raises BadInput, SandboxLost.

        `path` is relative to the working directory and leads through no symbolic link.
        """

    @abstractmethod
    def read(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        """A file of the working directory. Raises BadInput, also where it holds more, NoSuchFile, SandboxLost."""

    @abstractmethod
    def reset(self) -> None:
        """Take every file away. Raises SandboxUnavailable."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; safe to call twice."""

    @classmethod
    def probe(cls, config: SandboxConfig | None = None) -> Probe:
        """Open one and ask it."""
        name, line = cls.__module__.rpartition(".")[2], (cls.__doc__ or "").partition("\n")[0]
        try:
            with cls(config or cls.Config()) as sandbox:
                ran = sandbox.run(python="print(6 * 7)")
        except SandboxError as error:
            return Probe(name, False, str(error))
        if ran.stdout != b"42\n":
            return Probe(name, False, f"a program that prints 42 ended so: {ran.err.strip()[-300:] or ran}")
        return Probe(name, True, line, dict(ran.enforced))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def backends() -> list[str]:
    """Names of all backends, without importing them."""
    return plugins.names(SHELF)


@functools.cache  # to look for third parties' reads a directory of every installed package
def load_backend(name: str) -> type[Sandbox]:
    """The backend of this name. Raises NoSuchPlugin."""
    return plugins.load(SHELF, name, Sandbox, extras=EXTRAS)  # type: ignore[type-abstract]


def open_sandbox(
    backend: str = DEFAULT, options: Mapping[str, JsonValue] | None = None, *, allow_unsafe: bool = False
) -> Sandbox:
    """A fresh sandbox. Raises NoSuchPlugin, BadInput for an option, SandboxUnavailable; never falls back to another."""
    kind = load_backend(backend)
    if kind.unsafe and not allow_unsafe:
        raise SandboxUnavailable(
            f"'{backend}' is no sandbox: a program in it can do what this user can; "
            f"take another backend, or say allow_unsafe"
        )
    try:
        config = kind.Config.model_validate(options or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"option '{where:.100}' of the sandbox '{backend}': {first['msg']}") from None
    return kind(config)


def _words(arguments: Sequence[str], python: str | None, environment: Mapping[str, str] | None) -> list[str]:
    """The arguments, where a program can be given them and the rest. Raises BadInput."""
    if isinstance(arguments, (str, bytes)):
        raise BadInput("arguments are a list of words; give source as python=")
    words = list(arguments)
    if python is None and not (words and words[0]):
        raise BadInput("there is nothing to run; give arguments or python=")
    said = [*words, *(environment or {}), *(environment or {}).values()]
    for word in said:
        if not isinstance(word, str):
            raise BadInput(f"an argument is text, not {type(word).__name__}")
        if "\0" in word:
            raise BadInput(f"the argument {word!r:.100} holds a NUL byte; leave it out")
    if any(not name or "=" in name for name in environment or {}):
        raise BadInput("a variable's name is not empty and holds no '='")
    if sum(map(len, said)) > MOST_ARGUMENTS_BYTES:
        raise BadInput("the arguments hold more than 1 MiB; give it as stdin or as a file")
    return words

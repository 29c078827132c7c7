"""A family of projects, and one project drawn from it: other names, other constants, another layout.

The sources lie under `projects/NAME/` as real modules. A family says which words of them may be called otherwise, which
constants may be others, and what is checked: lines of Python that end in an expression, with a sentence on what holds.
"""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar, NamedTuple

__all__ = ["Check", "Family", "Project", "drawn_project", "sources"]

PROJECTS = Path(__file__).with_name("projects")
WORD = re.compile(r"[A-Za-z_]\w*")
PROSE = re.compile(r'("""[\s\S]*?"""|#[^\n]*)')
"""What of a source is read by people: docstrings and comments; other strings of the templates are in plain quotes."""
QUOTED = re.compile(r"(`[^`\n]*`|^# .*$)", re.M)
"""What of prose is code."""


class Check(NamedTuple):
    """One thing that holds of a project."""

    area: str
    """The module it is about, as the template calls it."""
    says: str
    """What holds, in words that could stand in a report: a clause."""
    lines: str
    """Python, the last line an expression whose value is a literal, or a call that raises."""


class Family(ABC):
    """What may vary of a project, and what is checked."""

    names: ClassVar[Mapping[str, tuple[str, ...]]]
    """Word -> what it may be called; the word itself is not among them unless listed. The package is one of them."""
    constants: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Constant of a module -> the values it may have."""

    @property
    def name(self) -> str:
        """The package, as the template calls it, and the file's name."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        """What is checked, with values drawn; enough that each behaviour is met by several."""


@dataclass(frozen=True)
class Project:
    """One drawn project."""

    family: Family
    words: Mapping[str, str]
    constants: Mapping[str, Any]
    root: str
    """Directory that holds the package, with a `/`; empty where it is the repository's own."""
    checks: tuple[Check, ...]
    """In the project's own words."""
    exports: frozenset[str]
    """Names that the package offers."""

    @property
    def package(self) -> str:
        """Its name."""
        return self.words.get(self.family.name, self.family.name)

    def path(self, module: str) -> str:
        """Where a module of the template lies."""
        return f"{self.root}{self.package}/{self.words.get(module, module)}.py"

    def named(self, text: str) -> str:
        """Text of the template in this project's words and constants."""
        for name, value in self.constants.items():
            text = re.sub(rf"(?m)^{name} = .*$", lambda _, line=f"{name} = {value!r}": line, text)  # type: ignore[misc]
        parts = PROSE.split(text)
        return "".join((_prose if at % 2 else _renamed)(part, self.words) for at, part in enumerate(parts))

    def files(self, changed: Mapping[str, str] | None = None) -> dict[str, str]:
        """Path -> text of the package, where `changed` has other sources for some modules of the template."""
        modules = {**sources(self.family.name), **(changed or {})}
        return {self.path(module): self.named(text) for module, text in modules.items()}

    def readme(self) -> str:
        """Its page of documentation."""
        text = (PROJECTS / self.family.name / "README.md").read_text(encoding="utf-8")
        for name, value in self.constants.items():
            text = text.replace(f"${name}", str(value))
        return _prose(text, self.words)

    def code(self, check: Check) -> str:
        """The check as a program that imports what it uses."""
        used = sorted({word for word in WORD.findall(check.lines) if word in self.exports})
        return f"from {self.package} import {', '.join(used)}\n{check.lines}" if used else check.lines


@cache
def sources(name: str) -> dict[str, str]:
    """Module -> source of a family's template."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted((PROJECTS / name).glob("*.py"))}


def drawn_project(family: Family, rng: Random, root: str) -> Project:
    """A project with names, constants and values of checks drawn."""
    words = {word: rng.choice(others) for word, others in family.names.items()}
    constants = {name: rng.choice(values) for name, values in family.constants.items()}
    checks = tuple(
        Check(check.area, _prose(check.says, words), _renamed(check.lines, words))
        for check in family.checks(rng, constants)
    )
    exported = ast.literal_eval(sources(family.name)["__init__"].partition("__all__ = ")[2])
    return Project(family, words, constants, root, checks, frozenset(words.get(name, name) for name in exported))


def _prose(text: str, words: Mapping[str, str]) -> str:
    """Text with code in it: what is quoted is renamed, and names that no sentence has as words."""
    named = {word: other for word, other in words.items() if not word.islower() or "_" in word}
    parts = QUOTED.split(text)
    return "".join(_renamed(part, words if at % 2 else named) for at, part in enumerate(parts))


def _renamed(text: str, words: Mapping[str, str]) -> str:
    return WORD.sub(lambda found: words.get(found[0], found[0]), text)

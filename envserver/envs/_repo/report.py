"""A report of what is wrong, in a user's words: what does not hold, never where it is wrong or why."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from envserver.envs._repo.project import Project

__all__ = ["Symptom", "report"]

TITLES = (
    "{package}: results are not what the README says",
    "Something is wrong with {package}",
    "{package} misbehaves",
)
SHARED = ("The README reads as if {says}. It is not so here.", "I count on this: {says}. That does not hold any more.")
SHOWN = ("To see it:", "An example:", "This is enough to see it:")
VAGUE = (
    "Since the last release some results around `{area}` are off; most calls are fine. Please compare with {docs}.",
    "Users of `{area}` report wrong results in some cases. I have no example; {docs} says how it should be.",
)


class Symptom(NamedTuple):
    """One check that a defect spoils."""

    area: str
    says: str
    code: str
    wanted: dict[str, Any]
    given: dict[str, Any]


def report(rng: Random, project: Project, found: list[Symptom], level: int, docs: str) -> str:
    """A title and a paragraph a symptom. 1: with an example; 2: what should hold; 3: where, no more."""
    lines = ["# " + rng.choice(TITLES).format(package=project.package)]
    if level == 3:
        areas = ", ".join(dict.fromkeys(one.area for one in found))
        return "\n\n".join([*lines, rng.choice(VAGUE).format(area=areas, docs=docs)])
    for one in found:
        says = one.says[0].lower() + one.says[1:]
        lines.append(rng.choice(SHARED).format(says=says))
        if level == 1:
            lines.append(f"{rng.choice(SHOWN)}\n\n{_indented(one.code)}")
            lines.append(f"Expected: {_words(one.wanted)}. What I get: {_words(one.given)}.")
    return "\n\n".join(lines)


def _words(outcome: dict[str, Any]) -> str:
    if "literal" in outcome:
        text = str(outcome["literal"])
        return text if len(text) <= 400 else f"{text[:400]}..."
    return f"{outcome['raises'][0]} is raised" if "raises" in outcome else "it ends without an answer"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))

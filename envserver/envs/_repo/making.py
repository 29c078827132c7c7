"""Draws a repository: projects, defects that some cases notice and most do not, tests, a page of documentation, a
report.

Defects are tried by running the cases on them, all in one run of a sandbox; what is made is remembered by its key.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from envserver.envs._repo.defects import Defect, changed, defects
from envserver.envs._repo.keys import PARTS, SHARES, RepoKey, families, family
from envserver.envs._repo.made import INSIDE, Made
from envserver.envs._repo.project import Check, Project, drawn_project, sources
from envserver.envs._repo.report import Symptom, report
from envserver.sandboxes.base import Limits, open_sandbox

__all__ = ["make"]

ATTEMPTS = 12
TRIED = 60
"""Defects that are tried in one run."""
LIMITS = Limits(wall_s=25.0, cpu_s=25.0, output_bytes=16 << 20)
SETS = 5
"""Of several defects, that are tried together."""
VISIBLE = 0.4
"""Share of the checks that the player sees as tests."""
BESIDE = 6
"""Cases of a package without a defect."""
ROOTS = ("", "src/", "lib/")


@dataclass(frozen=True)
class Drawn:
    """Projects with their checks dealt out."""

    projects: tuple[Project, ...]
    """The one to be spoilt first."""
    seen: tuple[tuple[Project, Check], ...]
    hidden: tuple[tuple[Project, Check], ...]
    """Those of the first project first; the others' are spoilt by no defect of it."""


@lru_cache(maxsize=64)
def make(key: RepoKey, seed: int, backend: str) -> Made:
    """The repository of a key and a seed. Raises RuntimeError where none is found."""
    rng = Random(f"{key}#{seed}")
    for _ in range(ATTEMPTS):
        drawn = _drawn(key, rng)
        singles = [[defect] for defect in _mixed(key, rng)[:TRIED]]
        gold, found = _tried(drawn, singles, backend, 1 if key.defects == 1 else TRIED)
        alone = {singles[one["at"]][0]: one for one in found}
        if key.defects > 1:
            sets = _apart(alone, key.defects, rng)
            _, found = _tried(drawn, sets, backend, 1) if sets else (gold, [])
        else:
            sets = singles
        if found:
            chosen = sets[found[0]["at"]]
            return _put(key, rng, drawn, chosen, gold, found[0], [alone[defect] for defect in chosen], backend)
    raise RuntimeError(f"no repository of {key} was found in {ATTEMPTS} draws; that is a fault of the family")


def _mixed(key: RepoKey, rng: Random) -> list[Defect]:
    """Defects of the key's split, as many of each kind as of another in every prefix, as far as there are."""
    pool = list(defects(key.family, key.split, SHARES[key.split], PARTS))
    rng.shuffle(pool)
    seen: dict[str, int] = {}
    turns = []
    for defect in pool:
        seen[defect.kind] = seen.get(defect.kind, 0) + 1
        turns.append((seen[defect.kind], defect))
    return [defect for _, defect in sorted(turns, key=lambda turn: turn[0])]


def _drawn(key: RepoKey, rng: Random) -> Drawn:
    root = rng.choice(ROOTS)
    others = rng.sample([name for name in families() if name != key.family], key.packages - 1)
    projects = [drawn_project(family(name), rng, root) for name in (key.family, *others)]
    seen: list[tuple[Project, Check]] = []
    hidden: list[tuple[Project, Check]] = []
    for project in projects:
        checks = list(project.checks)
        rng.shuffle(checks)
        cut = int(len(checks) * VISIBLE)
        seen += [(project, check) for check in checks[:cut]]
        hidden += [(project, check) for check in checks[cut : None if project is projects[0] else cut + BESIDE]]
    return Drawn(tuple(projects), tuple(seen), tuple(hidden))


def _sources(project: Project, found: list[Defect]) -> dict[str, str]:
    """Path -> text of the modules with these defects."""
    texts = sources(project.family.name)
    modules = {defect.module for defect in found}
    wrong = {name: changed(texts[name], [one for one in found if one.module == name]) for name in modules}
    return {project.path(name): project.named(text) for name, text in wrong.items()}


def _tried(
    drawn: Drawn, changes: list[list[Defect]], backend: str, enough: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What each check gives, seen ones first, and which changes show in hidden ones."""
    files: dict[str, str] = {}
    for project in drawn.projects:
        files |= project.files()
    asked = {
        "root": drawn.projects[0].root,
        "files": files,
        "cases": [project.code(check) for project, check in (*drawn.seen, *drawn.hidden)],
        "first": len(drawn.seen),
        "last": len(drawn.seen) + sum(project is drawn.projects[0] for project, _ in drawn.hidden),
        "changes": [_sources(drawn.projects[0], found) for found in changes],
        "enough": enough,
    }
    with open_sandbox(backend) as sandbox:
        ran = sandbox.run(python=INSIDE, stdin=json.dumps(asked).encode(), limits=LIMITS)
    if not ran.ok:
        raise RuntimeError(f"trying defects failed: {ran.err.strip()[-300:] or ran}")
    told = json.loads(ran.stdout)
    return told["gold"], told["found"]


def _apart(alone: Mapping[Defect, dict[str, Any]], count: int, rng: Random) -> list[list[Defect]]:
    """Sets of so many defects of different functions; the last one is of those that spoil least."""
    functions: dict[tuple[str, str], list[Defect]] = {}
    for defect in sorted(alone, key=lambda defect: alone[defect]["good"].count(False)):
        functions.setdefault((defect.module, defect.function), []).append(defect)
    if len(functions) < count:
        return []
    drawn = [[rng.choice(one) for one in rng.sample(list(functions.values()), count)] for _ in range(SETS)]
    return [*drawn, [one[0] for one in list(functions.values())[:count]]]


def _put(
    key: RepoKey,
    rng: Random,
    drawn: Drawn,
    chosen: list[Defect],
    gold: list[dict[str, Any]],
    spoilt: dict[str, Any],
    alone: list[dict[str, Any]],
    backend: str,
) -> Made:
    first, own = len(drawn.seen), drawn.projects[0]
    docs = rng.choice(["README.md", f"docs/{own.package}.md"])
    symptoms = []
    for one in alone:
        failing = [at for at, good in enumerate(one["good"]) if not good]
        at = min(failing, key=lambda at: (len(drawn.hidden[at][1].lines), at))
        project, check = drawn.hidden[at]
        area = own.words.get(check.area, check.area)
        symptoms.append(Symptom(area, check.says, project.code(check), gold[first + at], one["given"][at]))
    wrong = _sources(own, chosen)
    texts: dict[str, str] = {}
    for project in drawn.projects:
        texts |= project.files()
        texts |= _tests(project, [(check, gold[at]) for at, (its, check) in enumerate(drawn.seen) if its is project])
    right = {path: texts[path] for path in wrong}
    texts |= wrong | _pages(drawn.projects, docs.startswith("docs/"))
    return Made(
        backend=backend,
        root=own.root,
        base={path: text.encode() for path, text in texts.items()},
        right=right,
        issue=report(rng, own, symptoms, key.report, docs),
        cases=tuple(project.code(check) for project, check in drawn.hidden),
        wanted=tuple(gold[first:]),
        before=(*spoilt["good"], *[True] * (len(drawn.hidden) - len(spoilt["good"]))),
        kinds=tuple(defect.kind for defect in chosen),
        sites=tuple(defect.site for defect in chosen),
    )


def _pages(projects: tuple[Project, ...], apart: bool) -> dict[str, str]:
    """README, pages of documentation and what says how it is built."""
    names = ", ".join(project.package for project in projects)
    root = projects[0].root or "./"
    pages = {"pyproject.toml": f'[project]\nname = "{projects[0].package}"\nversion = "0.{len(names) % 9 + 1}.0"\n'}
    if apart:
        pages |= {f"docs/{project.package}.md": project.readme() for project in projects}
        pages["README.md"] = (
            f"# {names}\n\nSources in `{root}`, tests in `tests/`, a page for each package in `docs/`.\n"
        )
    else:
        pages["README.md"] = "\n".join(project.readme() for project in projects)
    return pages


def _tests(project: Project, checks: list[tuple[Check, dict[str, Any]]]) -> dict[str, str]:
    """Files of unit tests, one an area."""
    areas: dict[str, list[tuple[Check, dict[str, Any]]]] = {}
    for check, outcome in checks:
        areas.setdefault(project.words.get(check.area, check.area), []).append((check, outcome))
    files = {"tests/__init__.py": ""}
    for area, found in sorted(areas.items()):
        raised = {outcome["raises"][0] for _, outcome in found if "raises" in outcome}
        words = {word for check, _ in found for word in re.findall(r"\w+", check.lines)} | raised
        used = ", ".join(sorted(words & project.exports))
        lines = [
            "import unittest",
            "",
            f"from {project.package} import {used}",
            "",
            "",
            "class Tests(unittest.TestCase):",
        ]
        taken: set[str] = set()
        for check, outcome in found:
            name = "_".join(re.findall(r"[a-z0-9]+", check.says.lower().replace("`", "")))[:60].strip("_")
            while name in taken:
                name += "_too"
            taken.add(name)
            lines += [f"    def test_{name}(self):", *(f"        {line}" for line in _body(check.lines, outcome)), ""]
        lines += ["", 'if __name__ == "__main__":', "    unittest.main()", ""]
        files[f"tests/test_{project.package}_{area}.py"] = "\n".join(lines)
    return files


def _body(text: str, outcome: dict[str, Any]) -> list[str]:
    """The lines of a test: what leads there, and what is asserted of the last expression."""
    last = ast.parse(text).body[-1]
    lines = text.split("\n")
    before, value = [line for line in lines[: last.lineno - 1] if line.strip()], "\n".join(lines[last.lineno - 1 :])
    if "raises" in outcome:
        return [*before, f"with self.assertRaises({outcome['raises'][0]}):", f"    {value}"]
    return [*before, f"self.assertEqual({value}, {outcome['literal']})"]

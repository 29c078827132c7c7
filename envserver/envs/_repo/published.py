"""A published instance as work: its image in the sandbox `docker`, tests in a fresh container for each run.

Hidden tests are laid into a container only when the repository is handed in. What the player wrote is laid over the
image's files, except for what steers pytest (conftest.py, its settings, start-up hooks) and the files of the test
patch; then the patch is applied and the tests run. They share a process with the player's sources, so a source may
try to make tests pass that do not. Against that each test file gets tests of random names that must fail: where one
of them is missing or passes, none counts. A source that tells them from others by what they do is not caught.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import JsonValue

from envserver.envs._repo.instances import Instance
from envserver.envs._repo.tree import FILE_BYTES, Tree
from envserver.envs._repo.work import Judged, Work, told
from envserver.sandboxes.base import Limits, NoSuchFile, Ran, Sandbox, SandboxError, open_sandbox

__all__ = ["Published", "published"]

LAID = Path(__file__).with_name("laid.py").read_text(encoding="utf-8")
RECORDER = Path(__file__).with_name("recorder.py").read_text(encoding="utf-8")
STEERING = frozenset(
    (
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "sitecustomize.py",
        "usercustomize.py",
    )
)
STEERED = ("pytest", "_pytest", "pluggy", "unittest", "turnhalle_recorder")
"""Packages and modules that the player's files do not take the place of."""
SIZES: dict[str, JsonValue] = {
    "memory_bytes": 4 << 30,
    "disk_bytes": 4 << 30,
    "files": 400_000,
    "processes": 512,
    "spare": 0,
}
"""Of a container, where the server says nothing else."""
CONDA = """if [ -f /opt/miniconda3/bin/activate ]; then . /opt/miniconda3/bin/activate testbed; fi
exec python3 -m pytest "$@"
"""
PATCHED = re.compile(r"^(?:---|\+\+\+) [ab]/(\S+)", re.M)
TRAPS = (
    "\n\ndef test_{0}():\n    assert [1] == [2]\n",
    "\n\ndef test_{0}():\n    raise ValueError(1)\n",
)


class Published(Work):
    """One instance in its image. Raises RuntimeError where the image cannot be used."""

    def __init__(self, instance: Instance, docker: Mapping[str, JsonValue], timeout_s: float) -> None:
        self.instance = instance
        self.options: dict[str, JsonValue] = {**SIZES, **docker, "image": instance.image}
        self.issue = f"# {instance.repo} at {instance.base_commit[:12]}\n\n{instance.statement.strip()}"
        self.limits = Limits(wall_s=timeout_s, cpu_s=4 * timeout_s)
        texts = self._texts({"home": instance.home, "dump": "home"})
        if not texts:
            raise RuntimeError(f"the image '{instance.image}' has no repository in {instance.home}; say its 'home'")
        self.base = {path: text.encode() for path, text in texts.items()}
        self._gold: dict[str, str] = {}
        if instance.patch:
            right = self._texts(self._laid({}, [instance.patch]) | {"dump": "place"})
            self._gold = {path: right[path] for path in PATCHED.findall(instance.patch) if path in right}

    def run_tests(self, tree: Tree, path: str, limits: Limits) -> str:
        if path and tree.get(path) is None:
            return f"There is no test file '{path[:80]}'."
        known = sorted({name.partition("::")[0] for name in self.instance.pass_to_pass})
        paths = [path] if path else [one for one in known if tree.get(one) is not None]
        if not paths:
            return "Name the file of the tests to run."
        asked = self._laid(_texts(tree), []) | self._pytest(["-q", "--no-header", "--tb=short", *paths])
        with self._sandbox() as sandbox:
            return told(self._ran(sandbox, asked), limits)

    def judge(self, tree: Tree, limits: Limits) -> Judged:
        instance = self.instance
        names = (*instance.fail_to_pass, *instance.pass_to_pass)
        before = (*[False] * len(instance.fail_to_pass), *[True] * len(instance.pass_to_pass))
        files = sorted({name.partition("::")[0] for name in names})
        patched = set(PATCHED.findall(instance.test_patch))
        own = {
            path: text for path, text in _texts(tree).items() if not _steers(path) and path not in patched | set(files)
        }
        traps = {path: [secrets.token_hex(6) for _ in TRAPS] for path in files}
        tails = {path: "".join(map(str.format, TRAPS, words)) for path, words in traps.items()}
        results = f"/work/{secrets.token_hex(8)}"
        asked = self._laid(own, [instance.test_patch], tails)
        asked |= self._pytest(["-q", "-p", "turnhalle_recorder", *files], TURNHALLE_RESULTS=results)
        with self._sandbox() as sandbox:
            ran = self._ran(sandbox, asked)
            try:
                said = sandbox.read(results.removeprefix("/work/"), limit_bytes=64 << 20)
            except NoSuchFile:
                said = b""
        outcomes = _outcomes(said)
        sprung = [outcomes.get(f"{path}::test_{word}") for path, words in traps.items() for word in words]
        if any(outcome != {"failed"} for outcome in sprung):
            lines = [line for line in (ran.out + ran.err).strip().splitlines() if line.strip()]
            why = "passed" if {"passed"} in sprung else f"were not run: {(lines or ['no word'])[-1][:200]}"
            return Judged((False,) * len(names), before, f"tests that must fail {why}")
        return Judged(tuple(outcomes.get(name) == {"passed"} for name in names), before)

    def gold(self) -> Mapping[str, str]:
        return self._gold

    def _sandbox(self) -> Sandbox:
        try:
            return open_sandbox("docker", self.options)
        except (SandboxError, LookupError) as error:
            raise RuntimeError(
                f"'{self.instance.name}' needs a container of '{self.instance.image}': {error}"
            ) from None

    def _ran(self, sandbox: Sandbox, asked: dict[str, Any]) -> Ran:
        sizes = {name: self.options[name] for name in ("memory_bytes", "disk_bytes", "files", "processes")}
        wide = Limits(self.limits.wall_s, self.limits.cpu_s, output_bytes=1 << 29, **sizes)  # type: ignore[arg-type]
        return sandbox.run(python=LAID, stdin=json.dumps(asked).encode(), limits=wide)

    def _texts(self, asked: dict[str, Any]) -> dict[str, str]:
        with self._sandbox() as sandbox:
            ran = self._ran(sandbox, asked | {"most": FILE_BYTES})
        if not ran.ok:
            said = ran.err.strip()[-300:] or str(ran)
            raise RuntimeError(f"the repository of '{self.instance.name}' cannot be read: {said}")
        found: dict[str, str] = json.loads(ran.stdout)
        return found

    def _laid(self, files: Mapping[str, str], patches: list[str], tails: Mapping[str, str] = {}) -> dict[str, Any]:
        return {"home": self.instance.home, "files": files, "patches": patches, "tails": tails, "more": {}}

    def _pytest(self, arguments: Sequence[str], **environment: str) -> dict[str, Any]:
        """How pytest is started: in the image's conda environment, where it has one."""
        paths = {"PYTHONPATH": "/work/repo:/work/repo/src:/work/repo/lib:/work/plugins", "PYTHONDONTWRITEBYTECODE": "1"}
        return {
            "command": ["bash", "-c", CONDA, "pytest", "-p", "no:cacheprovider", *arguments],
            "environment": {**paths, **environment},
            "more": {"/work/plugins/turnhalle_recorder.py": RECORDER},
        }


def published(instance: Instance, docker: Mapping[str, JsonValue], timeout_s: float) -> Published:
    """An instance as work; the last ones are remembered."""
    return _published(instance, json.dumps(docker, sort_keys=True), timeout_s)


@lru_cache(maxsize=4)
def _published(instance: Instance, docker: str, timeout_s: float) -> Published:
    return Published(instance, json.loads(docker), timeout_s)


def _steers(path: str) -> bool:
    """Whether a file has a say in how tests are run."""
    place = PurePosixPath(path)
    first = {part.removesuffix(".py") for part in place.parts[:2]}
    return place.name in STEERING or place.suffix in (".pth", ".egg-link") or bool(first & set(STEERED))


def _texts(tree: Tree) -> dict[str, str]:
    """What the player wrote."""
    return {path: data.decode() for path, data in sorted(tree.written.items())}


def _outcomes(said: bytes) -> dict[str, set[str]]:
    """Test -> all that was noted of it; a line that is none is passed over."""
    found: dict[str, set[str]] = {}
    for line in said.decode(errors="replace").splitlines():
        try:
            name, outcome = json.loads(line)
            found.setdefault(str(name), set()).add(str(outcome))
        except (ValueError, TypeError, RecursionError):
            continue
    return found

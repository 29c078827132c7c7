"""What programs try against a sandbox, and that the attempts are real: without one they get out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from boxes import opened
from typer.testing import CliRunner

from envserver.sandbox_cli import app
from envserver.sandboxes._abuses.bait import laid_out
from envserver.sandboxes._abuses.table import ABUSES, Abuse
from envserver.sandboxes._abuses.trial import attempt, attempt_all, named

NEED_GROUPS = {"many burn", "many allocate", "fork bomb"}
"""What each process may is bounded anywhere, what all may together only by control groups."""
REAL = ("daemon", "signal-others", "read-host", "host-loopback", "abstract-socket")
LANDLOCKS_OWN = (
    "daemon", "signal-others", "see-processes", "trace-parent", "root-again", "big-file", "read-host", "write-host",
    "read-project", "links-out", "environments", "host-loopback", "abstract-socket", "odd-sockets",
)  # fmt: skip


@pytest.fixture(scope="module")
def bait() -> Iterator[dict[str, Any]]:
    with laid_out() as told:
        yield told


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.name)
def test_the_attack_is_held(abuse: Abuse, bait: dict[str, Any]) -> None:
    _held("namespace", abuse, bait)


@pytest.mark.parametrize("abuse", named(LANDLOCKS_OWN), ids=lambda abuse: abuse.name)
def test_landlock_holds_what_namespaces_hold_by_other_means(abuse: Abuse, bait: dict[str, Any]) -> None:
    _held("landlock", abuse, bait)


@pytest.mark.slow  # a quarter of a minute, for what in most parts is the fork server's and held above
@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.name)
def test_landlock_holds_all(abuse: Abuse, bait: dict[str, Any]) -> None:
    _held("landlock", abuse, bait)


def _held(backend: str, abuse: Abuse, bait: dict[str, Any]) -> None:
    with opened(backend) as sandbox:
        if abuse.name in NEED_GROUPS and "version" not in sandbox.enforced["groups"]:
            pytest.skip(f"no control groups here: {sandbox.enforced['groups']}")
        assert attempt(sandbox, abuse, bait) == ""


def test_without_a_sandbox_the_same_attacks_get_out() -> None:
    verdicts = list(attempt_all(lambda: opened("process"), named(REAL)))
    assert [verdict.name for verdict in verdicts if verdict.held] == []


def test_a_program_that_breaks_is_not_taken_for_one_that_was_held(bait: dict[str, Any]) -> None:
    def broken(bait: dict[str, Any]) -> None:
        raise RuntimeError("x")

    with opened("namespace") as sandbox:
        assert "it could not be tried" in attempt(sandbox, Abuse(broken, "breaks"), bait)


def test_doctor_says_what_is_enforced_and_check_what_holds() -> None:
    opened("namespace").close()
    done = CliRunner().invoke(app, ["doctor", "--json"])
    probes = {probe["backend"]: probe for probe in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert probes["namespace"]["available"]
    assert probes["namespace"]["enforced"]["network"] == "none but its own loopback"
    assert set(probes["process"]["enforced"]) == {"time", "output", "memory", "cpu"}
    done = CliRunner().invoke(app, ["check", "--only", "root-again", "--json"])
    assert (done.exit_code, [one["held"] for one in json.loads(done.stdout)]) == (0, [True])
    done = CliRunner().invoke(app, ["check", "process", "--allow-unsafe", "--only", "see processes"])
    assert done.exit_code == 1
    assert "✗ see processes" in done.stdout
    assert "0 of 1 held by process" in done.stdout

"""The sandbox `docker` on a real engine: it keeps the contract, holds the attacks and leaves no container.

envserver sandbox doctor          # says whether an engine answers and has the image
pytest -m docker tests/envserver/test_sandbox_docker.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import opened, until

from envserver.sandboxes._abuses.bait import laid_out
from envserver.sandboxes._abuses.table import ABUSES, Abuse
from envserver.sandboxes._abuses.trial import attempt, sized
from envserver.sandboxes.base import (
    BadInput,
    Limits,
    NoSuchFile,
    Sandbox,
    SandboxLost,
    SandboxUnavailable,
    open_sandbox,
)

docker = pytest.importorskip("docker", reason="the sandbox `docker` needs its extra: pip install 'turnhalle[docker]'")
LABEL = "turnhalle-sandbox"
pytestmark = [pytest.mark.docker, pytest.mark.slow]  # a container takes a third of a second to start, and one to end


def containers() -> list[str]:
    """Every container of ours on the engine, running or not."""
    found = docker.from_env().api.containers(all=True, filters={"label": LABEL})
    return [one["Id"] for one in found]


@pytest.fixture(scope="module")
def bait() -> Iterator[dict[str, Any]]:
    with laid_out() as told:
        yield told


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with opened("docker", spare=0) as sandbox:
        yield sandbox


def test_it_keeps_the_contract(box: Sandbox) -> None:
    ran = box.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=b"yes\xff\0")
    assert (ran.stdout, ran.stderr, ran.code) == (b"yes\xff\0", b"no\n", 3)
    assert ran.enforced["network"] == "none"
    assert box.run(["a"], python="import sys; print(sys.argv[1:], open(0).read())", stdin=b"in").out == "['a'] in\n"
    box.write("src/a.py", b"print('a')")
    assert box.run(["sh", "-c", "python3 src/a.py > out && echo more >> src/a.py"]).ok
    assert box.read("out") == b"a\n"
    with pytest.raises(NoSuchFile):
        box.read("none")
    for path in ("/etc/passwd", "../x", "a\0"):
        with pytest.raises(BadInput):
            box.write(path, b"")
    data = bytes(range(256)) * (8 << 12)
    box.write("big", data)
    assert box.read("big", limit_bytes=len(data)) == data
    with pytest.raises(BadInput, match="was not written"):
        box.write("big", bytes(70 << 20))
    assert box.read("big", limit_bytes=len(data)) == data
    box.reset()
    assert box.run(["ls", "-A"]).out == ""


def test_limits_are_told_apart(box: Sandbox) -> None:
    slept = box.run(["sh", "-c", "echo begun; sleep 60"], limits=Limits(wall_s=0.5))
    assert (slept.stdout, slept.timed_out, slept.out_of_memory) == (b"begun\n", True, False)
    hungry = box.run(python="held = b'x' * (1 << 30)", limits=Limits(memory_bytes=64 << 20))
    assert (hungry.out_of_memory, hungry.timed_out, hungry.signal) == (True, False, 9)
    flood = box.run(["yes"], limits=Limits(output_bytes=1000))
    assert (len(flood.stdout), flood.cut, flood.timed_out) == (1000, True, False)
    assert box.run(["echo", "on"]).out == "on\n"
    with pytest.raises(BadInput, match="open one with more"):
        box.run(["true"], limits=Limits(memory_bytes=1 << 30))


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.name)
def test_the_attack_is_held_by_a_container(abuse: Abuse, bait: dict[str, Any]) -> None:
    with opened("docker", **sized("docker")) as sandbox:
        assert attempt(sandbox, abuse, bait) == ""


def test_an_image_that_is_not_there_is_said() -> None:
    opened("docker", spare=0).close()
    with pytest.raises(SandboxUnavailable, match="pull or build it"):
        open_sandbox("docker", {"image": "no/such:image"})


def test_no_container_is_left_when_sandboxes_are_closed_or_their_worker_is_killed() -> None:
    before = set(containers())
    with opened("docker", spare=0) as one:
        assert len(set(containers()) - before) == 1
        one.reset()
        assert len(set(containers()) - before) == 1
    assert until(lambda: set(containers()) <= before)
    source = (
        "from boxes import opened\nidle, busy = opened('docker'), opened('docker')\nprint('up', flush=True)\n"
        "busy.run(['sleep', '3'])\nimport time; time.sleep(60)"
    )
    here = Path(__file__).parent
    worker = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, cwd=here, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "up\n"
    time.sleep(0.5)
    assert len(set(containers()) - before) >= 2
    worker.kill()
    worker.communicate()
    assert until(lambda: set(containers()) <= before, wait_s=20)


def test_a_container_that_was_never_started_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    from envserver.sandboxes._docker import container

    opened("docker", spare=0).close()
    api = docker.from_env().api
    fresh = api.create_container("python:3.11-slim", ["true"], labels=[LABEL])["Id"]
    container.Container.sweep(api)
    assert fresh in containers()
    monkeypatch.setattr(container, "STALE_S", -10.0)
    container.Container.sweep(api)
    assert fresh not in containers()


def test_a_container_that_is_killed_is_told(box: Sandbox) -> None:
    before = set(containers())
    lost = opened("docker", spare=0)
    (mine,) = set(containers()) - before
    docker.from_env().api.kill(mine)
    with pytest.raises(SandboxLost, match="open another"):
        lost.run(["true"])
    lost.close()
    assert box.run(["echo", "here"]).out == "here\n"

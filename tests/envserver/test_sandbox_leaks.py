"""A sandbox leaves nothing: no process, mount, control group or file, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from boxes import SAFE, children, left_of, opened, until

from envserver.sandboxes._fork.client import _servers, close_servers
from envserver.sandboxes.base import Limits, SandboxLost

NOTHING: dict[str, list[str]] = {"processes": [], "groups": [], "directories": []}
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _no_servers() -> Iterator[None]:
    close_servers()
    yield
    close_servers()


def servers() -> set[int]:
    return {server.process.pid for server in _servers.values()}


@pytest.mark.parametrize("backend", SAFE)
def test_nothing_is_left_when_sandboxes_are_closed(backend: str) -> None:
    mounts, files = Path("/proc/self/mounts").read_text(), len(os.listdir("/proc/self/fd"))
    inside = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(60)"
    boxes = [opened(backend) for _ in range(5)]
    for box in boxes:
        box.write("a/b", b"c")
        assert box.run(python=inside).ok
    before = servers()
    pids = before | {pid for server in before for pid in children(server)}
    for box in boxes[:3]:
        box.reset()
    for box in boxes:
        box.close()
    # One server, and what it keeps ready for the next: a keeper, and two processes of its run.
    assert until(lambda: sum(1 for server in before for _ in children(server)) <= 2 * 3)
    close_servers()
    assert left_of(pids) == NOTHING
    assert Path("/proc/self/mounts").read_text() == mounts
    assert len(os.listdir("/proc/self/fd")) == files


@pytest.mark.parametrize("backend", SAFE)
def test_nothing_is_left_when_the_worker_is_killed(backend: str) -> None:
    opened(backend).close()
    close_servers()
    source = (
        "import sys; from boxes import opened, children; import os\n"
        f"idle, busy = opened({backend!r}), opened({backend!r})\n"
        "idle.write('file', b'x' * 1000)\n"
        "print(*[*children(os.getpid())], flush=True)\n"
        "busy.run(python='import os, time; os.fork(); os.setsid(); time.sleep(60)')"
    )
    worker = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, cwd=HERE, text=True)
    assert worker.stdout is not None
    pids = {int(word) for word in worker.stdout.readline().split()}
    time.sleep(0.3)
    pids |= set(children(worker.pid))
    assert len(pids) >= 8
    worker.kill()
    worker.communicate()
    assert until(lambda: left_of(pids) == NOTHING), left_of(pids)


@pytest.mark.parametrize("backend", SAFE)
def test_a_server_that_is_killed_is_replaced_and_the_next_one_cleans_up(backend: str) -> None:
    box = opened(backend)
    killed = servers()
    pids = killed | {pid for server in killed for pid in children(server)}
    for server in killed:
        os.kill(server, signal.SIGKILL)
    assert until(lambda: not left_of(pids)["processes"])
    with pytest.raises(SandboxLost, match="open another"):
        box.run(["true"])
    with opened(backend) as fresh:
        assert fresh.run(["echo", "on"]).out == "on\n"
        assert servers().isdisjoint(killed)
        box.reset()
        assert box.run(["echo", "again"]).out == "again\n"
    close_servers()
    opened(backend).close()  # a server's start takes away what others have left
    assert left_of(pids) == NOTHING


def test_a_keeper_that_is_killed_takes_its_programs_along_and_no_other() -> None:
    lost, other = opened("namespace"), opened("namespace")
    done: list[object] = []

    def play() -> None:
        try:
            lost.run(["sleep", "60"], limits=Limits(wall_s=60))
        except SandboxLost as error:
            done.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    (server,) = servers()
    sleeping: list[int] = []

    def found() -> bool:
        sleeping[:] = [pid for pid in children(server) if "sleep" in Path(f"/proc/{pid}/cmdline").read_text()]
        return bool(sleeping)

    assert until(found)
    run = int(Path(f"/proc/{sleeping[0]}/stat").read_text().rpartition(")")[2].split()[1])
    keeper = int(Path(f"/proc/{run}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    thread.join(10)
    assert len(done) == 1
    assert until(lambda: not os.path.exists(f"/proc/{sleeping[0]}"))
    assert other.run(["echo", "here"]).out == "here\n"


@pytest.mark.parametrize("backend", SAFE)
def test_sixteen_at_once_keep_to_themselves(backend: str) -> None:
    opened(backend).close()

    def play(number: int) -> str:
        with opened(backend) as box:
            box.write("mine", str(number).encode())
            out = [box.run(["cat", "mine"]).out for _ in range(3)]
            ran = box.run(python="import os; print(open('mine').read(), sorted(os.listdir()), len(os.listdir()))")
            return f"{out} {ran.out}"

    with ThreadPoolExecutor(16) as threads:
        played = list(threads.map(play, range(16)))
    assert played == [f"{[str(number)] * 3} {number} ['mine'] 1\n" for number in range(16)]


def test_a_fork_of_the_worker_has_servers_of_its_own() -> None:
    with opened("namespace") as box:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with opened("namespace") as mine:
                    code = 0 if mine.run(["echo", "child"]).out == "child\n" else 2
                close_servers()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert box.run(["echo", "parent"]).out == "parent\n"


def test_a_run_leaves_no_ipc_and_no_process_for_the_next() -> None:
    with opened("namespace") as box:
        make = "import ctypes; print(ctypes.CDLL(None).shmget(77, 1 << 20, 0o1666) >= 0)"
        look = "import ctypes, os; print(ctypes.CDLL(None).shmget(77, 0, 0) < 0, os.listdir('/proc')[-1].isdecimal())"
        assert box.run(python=make).out == "True\n"
        assert box.run(python=look).out.startswith("True")
        assert int(box.run(["sh", "-c", "ls /proc | grep -c '^[0-9]'"]).out) <= 5


def test_the_temporary_directory_is_swept_of_what_the_dead_left() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = Path(tempfile.gettempdir(), f"turnhalle-sandboxes-{dead.pid}")
    (left / "0" / "closed").mkdir(parents=True)
    try:
        opened("landlock").close()
        assert not left.exists()
    finally:
        if left.exists():
            (left / "0" / "closed").rmdir()
            (left / "0").rmdir()
            left.rmdir()

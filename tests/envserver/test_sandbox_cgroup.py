"""Where control groups are made, in either version, shown on trees of plain files; a filter and hidden directories."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from envserver.sandboxes._fork import shelter
from envserver.sandboxes._fork.cgroup import Cgroups, Group, _parents
from envserver.sandboxes._fork.seccomp import ALLOW, ERRNO, EVERY_FAMILY, KILL, LOCAL_FAMILY, program


def proc(root: Path, cgroup: str, mounts: list[tuple[str, str, str, str]]) -> Path:
    """A /proc of a process in these groups, where (root, mount point, kind, options) are mounted."""
    own = root / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(cgroup)
    lines = [f"30 20 0:26 {top} {point} rw - {kind} none {options}\n" for top, point, kind, options in mounts]
    (own / "mountinfo").write_text("".join(lines))
    (root / "proc" / str(os.getpid())).mkdir()
    (root / "proc" / str(os.getpid()) / "stat").write_text("1 (python (3)) S " + "0 " * 18 + "4711 0")
    return root / "proc"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written into groups; plain directories have no files to take it."""
    texts: list[str] = []
    monkeypatch.setattr("envserver.sandboxes._fork.cgroup._write", lambda _, name, text: texts.append(f"{name} {text}"))
    return texts


def unified(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).mkdir(parents=True, exist_ok=True)
        (root / path / "cgroup.subtree_control").write_text("cpu memory pids" if path in ("", "app") else "")


def test_version_2_makes_groups_beside_its_own(tmp_path: Path, written: list[str]) -> None:
    unified(tmp_path / "fs", "", "app", "app/mine")
    here = proc(tmp_path, "0::/app/mine\n", [("/", str(tmp_path / "fs"), "cgroup2", "rw,nsdelegate")])
    assert _parents(here) == (2, {"": tmp_path / "fs" / "app"})
    groups = Cgroups(here)
    (own,) = (tmp_path / "fs" / "app").glob("turnhalle-*")
    assert own.name == f"turnhalle-{os.getpid()}-4711"
    assert written == ["cgroup.subtree_control +memory +pids"]
    groups.make(3)
    assert (own / "3").is_dir()
    groups.close([3])
    assert not list((tmp_path / "fs" / "app").glob("turnhalle-*"))


def test_version_2_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "fs" / "app").mkdir(parents=True)
    (tmp_path / "fs" / "cgroup.subtree_control").write_text("memory")
    here = proc(tmp_path, "0::/app\n", [("/", str(tmp_path / "fs"), "cgroup2", "rw")])
    with pytest.raises(PermissionError, match="hands down memory and pids"):
        Cgroups(here)


def test_version_1_makes_groups_below_its_own(tmp_path: Path) -> None:
    mounts = []
    for name in ("memory", "pids", "cpu,cpuacct"):
        (tmp_path / name / "task").mkdir(parents=True)
        mounts.append(("/box", str(tmp_path / name), "cgroup", f"rw,{name}"))
    here = proc(tmp_path, "4:memory:/box/task\n3:pids:/box/task\n2:cpu,cpuacct:/box/task\n0::/\n", mounts)
    version, found = _parents(here)
    assert version == 1
    assert found["cpuacct"] == tmp_path / "cpu,cpuacct" / "task"
    assert found["memory"] == tmp_path / "memory" / "task"


def test_no_groups_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no control groups"):
        Cgroups(proc(tmp_path, "0::/\n", []))


def test_groups_of_servers_that_are_gone_are_swept(tmp_path: Path, written: list[str]) -> None:
    unified(tmp_path / "fs", "")
    here = proc(tmp_path, "0::/\n", [("/", str(tmp_path / "fs"), "cgroup2", "rw")])
    gone, alive, other = "turnhalle-999999999-1", f"turnhalle-{os.getpid()}-4711", "turnhalle-notes"
    for name in (f"{gone}/0", f"{gone}/1", f"{alive}/0", other):
        (tmp_path / "fs" / name).mkdir(parents=True)
    groups = Cgroups(here)
    assert {path.name for path in (tmp_path / "fs").iterdir() if path.is_dir()} == {alive, other}
    groups.close([0])


def test_a_group_counts_from_what_is_there(tmp_path: Path) -> None:
    texts = {"memory.max": "", "memory.current": "1000\n", "pids.max": "", "memory.swap.max": "max"}
    texts |= {"memory.events": "low 0\noom 3\noom_kill 2\n", "cpu.stat": "usage_usec 1500000\nuser_usec 1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    group = Group(2, {"": os.open(tmp_path, os.O_RDONLY)})
    group.limit(500, 7)
    assert (tmp_path / "memory.max").read_text() == "1500"
    assert (tmp_path / "pids.max").read_text() == "7"
    assert (tmp_path / "memory.swap.max").read_text().startswith("0")
    assert (group.cpu_s(), group.killed()) == (1.5, 2)


def decide(code: bytes, number: int, architecture: int, argument: int = 0) -> int:
    """What the filter answers: the kernel's little machine, in six instructions."""
    data = struct.pack("<iIQQ", number, architecture, 0, argument)
    at = held = 0
    while True:
        kind, yes, no, value = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if kind == 0x06:
            return value
        if kind == 0x20:
            (held,) = struct.unpack_from("<I", data, value)
            continue
        at += yes if {0x15: held == value, 0x35: held >= value, 0x45: held & value != 0}[kind] else no


@pytest.mark.parametrize(
    ("number", "argument", "answer"),
    [
        (0, 0, ALLOW),  # read
        (59, 0, ALLOW),  # execve
        (56, 17, ALLOW),  # clone of fork
        (56, 0x10000000, ERRNO | 1),  # clone into a user namespace
        (435, 0, ERRNO | 38),  # clone3
        (101, 0, ERRNO | 1),  # ptrace
        (165, 0, ERRNO | 1),  # mount
        (41, 1, ALLOW),  # a local socket
        (41, 2, ALLOW),  # an internet socket
        (41, 16, ERRNO | 97),  # a netlink socket
        (0x40000000, 0, ERRNO | 38),  # read by its second number
    ],
)
def test_the_filter_answers_each_call(number: int, argument: int, answer: int) -> None:
    # seccomp_data begins with number, architecture, instruction pointer (8 bytes); the first argument is at 16.
    assert decide(program("x86_64", EVERY_FAMILY), number, 0xC000003E, argument) == answer


def test_the_filter_refuses_other_architectures_and_the_network_where_told() -> None:
    assert decide(program("x86_64", EVERY_FAMILY), 0, 0x40000003) == KILL
    assert decide(program("aarch64", EVERY_FAMILY), 117, 0xC00000B7) == ERRNO | 1
    assert decide(program("aarch64", EVERY_FAMILY), 63, 0xC00000B7) == ALLOW
    assert decide(program("x86_64", LOCAL_FAMILY), 41, 0xC000003E, 2) == ERRNO | 97
    assert decide(program("x86_64", LOCAL_FAMILY), 41, 0xC000003E, 1) == ALLOW


def test_packages_and_this_project_are_hidden_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "usr" / name for name in ("lib/python/site-packages", "src/app", "lib/python")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr("sys.path", [str(places[0]), str(places[1]), str(places[2]), str(tmp_path / "elsewhere")])
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(places[2]))
    assert shelter.hidden([str(tmp_path / "usr")]) == [str(places[0]), str(places[1])]
    assert shelter.hidden([str(Path(shelter.__file__).parents[4])]) == [str(Path(shelter.__file__).parents[3])]

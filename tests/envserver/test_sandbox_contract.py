"""Every backend keeps the contract, whatever it is given."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import pytest
from boxes import SAFE, opened

from envserver import plugins
from envserver.sandboxes.base import (
    BadInput,
    Limits,
    NoSuchFile,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
    open_sandbox,
)

ALL = (*SAFE, "process")


@pytest.fixture(params=ALL)
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as sandbox:
        yield sandbox


def test_a_program_reads_its_input_and_its_end_is_told(box: Sandbox) -> None:
    ran = box.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=b"yes\xff\0")
    assert (ran.stdout, ran.stderr, ran.code, ran.signal) == (b"yes\xff\0", b"no\n", 3, None)
    assert not any((ran.ok, ran.cut, ran.timed_out, ran.out_of_memory))
    assert ran.out == "yes\\xff\0"
    assert ran.enforced
    assert 0 <= ran.cpu_s < 5
    assert 0 < ran.wall_s < 5


def test_source_runs_as_a_main_file(box: Sandbox) -> None:
    ran = box.run(["one"], python="import sys\nprint(__name__, sys.argv[1:], sys.stdin.read())", stdin="ü".encode())
    assert (ran.out, ran.err, ran.ok) == ("__main__ ['one'] ü\n", "", True)
    ran = box.run(python="def f():\n    return 1 / 0\nf()")
    assert ran.code == 1
    assert ran.err.startswith("Traceback (most recent call last):\n  File ")
    assert "line 2, in f" in ran.err
    assert "envserver" not in ran.err
    assert box.run(python="def f(:").err.endswith("SyntaxError: invalid syntax\n")
    assert (box.run(python="raise SystemExit('why')").err, box.run(python="raise SystemExit(7)").code) == ("why\n", 7)
    late = "import atexit, threading\natexit.register(print, 'last')\nthreading.Timer(0.05, print, ['late']).start()"
    assert box.run(python=late).out == "late\nlast\n"


def test_a_signal_is_told_as_one(box: Sandbox) -> None:
    ran = box.run(python="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert (ran.code, ran.signal) == (None, 11)
    assert box.run(["sh", "-c", "kill -TERM $$"]).signal == 15


def test_files_stay_from_run_to_run_until_reset(box: Sandbox) -> None:
    box.write("src/a.py", b"print('a')")
    box.write("run.sh", b"#!/bin/sh\npython3 src/a.py > out/put\n", executable=True)
    assert box.run(["sh", "-c", "mkdir out && ./run.sh"]).ok
    assert box.read("out/put") == b"a\n"
    box.write("src/a.py", b"print('b')")
    assert box.run(["./run.sh"]).ok
    assert box.read("./out//put") == b"b\n"
    assert box.run(python="import sys; sys.path.insert(0, 'src'); import a").out == "b\n"
    box.reset()
    with pytest.raises(NoSuchFile):
        box.read("out/put")
    assert box.run(["ls", "-A"]).out == ""


def test_the_environment_is_the_sandboxes_own(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    ran = box.run(["sh", "-c", "echo $SECRET$GIVEN $TZ"], environment={"GIVEN": "ä"})
    assert ran.out == "ä UTC\n"
    order = "print({str(n) for n in range(50)})"
    assert box.run(python=order).stdout == box.run(["python3", "-c", order]).stdout


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        ([""], {}),
        (["a\0b"], {}),
        (["sh", 3], {}),
        ("ls", {}),
        (["x" * (1 << 20) + "y"], {}),
        (["ls"], {"environment": {"A=B": "c"}}),
        (["ls"], {"environment": {"A": "\0"}}),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(arguments: list[str], options: dict[str, dict[str, str]]) -> None:
    with opened("process") as box, pytest.raises(BadInput) as refused:
        box.run(arguments, **options)
    assert 10 < len(str(refused.value)) < 200


def test_a_program_that_is_not_there_is_said_on_its_errors(box: Sandbox) -> None:
    ran = box.run(["no-such-program"])
    assert (ran.code, ran.err) == (127, "no-such-program: No such file or directory\n")
    box.write("plain", b"text")
    assert box.run(["./plain"]).code == 126
    assert box.run(["echo", "\udcff"]).stdout == b"\xff\n"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../up", "a/../../b", "a\0b", "", ".", "a/", "x" * 256, "a/" * 70 + "b"]
)
def test_a_path_that_leads_out_is_refused(box: Sandbox, path: str) -> None:
    for call in (lambda: box.read(path), lambda: box.write(path, b"")):
        with pytest.raises(BadInput) as refused:
            call()
        assert len(str(refused.value)) < 400


def test_large_input_and_large_files_go_through_or_are_refused_whole(box: Sandbox) -> None:
    data = bytes(range(256)) * (8 << 12)
    assert box.run(["sha1sum"], stdin=data).out.split()[0] == hashlib.sha1(data).hexdigest()
    box.write("big", data)
    with pytest.raises(BadInput, match=r"holds .*more than the 1048576"):
        box.read("big")
    assert box.read("big", limit_bytes=len(data)) == data


@pytest.mark.parametrize("name", ["namespace"])
def test_a_file_that_does_not_fit_leaves_what_was_there(name: str) -> None:
    with opened(name) as box:
        box.write("kept", b"before")
        with pytest.raises(BadInput, match="No space left"):
            box.write("kept", bytes(65 << 20))
        assert box.read("kept") == b"before"
        assert box.run(["ls", "-A"]).out == "kept\n"
        box.write("kept", b"after")
        assert box.read("kept") == b"after"


def test_a_disk_that_holds_more_than_a_run_allows_is_said_and_kept() -> None:
    with opened("namespace", disk_bytes=100 << 20) as box:
        box.write("big", bytes(80 << 20))
        with pytest.raises(BadInput, match="the sandbox's files are more than 1048576 bytes"):
            box.run(["true"], limits=Limits(disk_bytes=1 << 20))
        assert box.run(["ls"], limits=Limits(disk_bytes=200 << 20)).out == "big\n"


def test_output_beyond_the_limit_ends_the_program(box: Sandbox) -> None:
    ran = box.run(["sh", "-c", "printf 12345678; yes"], limits=Limits(output_bytes=10))
    assert (ran.stdout, ran.cut, ran.code, ran.signal) == (b"12345678y\n", True, None, 9)
    exact = box.run(["printf", "1234567890"], limits=Limits(output_bytes=10))
    assert (exact.stdout, exact.cut, exact.code) == (b"1234567890", False, 0)


def test_time_is_up_for_who_sleeps_and_for_who_burns(box: Sandbox) -> None:
    slept = box.run(["sh", "-c", "echo begun; sleep 60"], limits=Limits(wall_s=0.4))
    assert (slept.stdout, slept.timed_out, slept.code) == (b"begun\n", True, None)
    assert 0.4 <= slept.wall_s < 3
    burned = box.run(["sh", "-c", "while :; do :; done"], limits=Limits(cpu_s=1, wall_s=60))
    assert burned.timed_out
    assert burned.wall_s < 59


@pytest.mark.parametrize("name", SAFE)
def test_memory_that_runs_out_is_told(name: str) -> None:
    with opened(name) as box:
        limits = Limits(memory_bytes=64 << 20)
        ran = box.run(python="held = b'x' * (200 << 20)", limits=limits)
        if box.enforced["memory"] == "all processes together":
            assert (ran.out_of_memory, ran.signal) == (True, 9)
        else:
            assert "MemoryError" in ran.err
        assert box.run(python="held = b'x' * (20 << 20); print(1)", limits=limits).out == "1\n"


@pytest.mark.parametrize(
    "limits",
    [
        {"wall_s": 0},
        {"wall_s": math.inf},
        {"cpu_s": math.nan},
        {"memory_bytes": -1},
        {"output_bytes": 1.5},
        {"processes": True},
        {"files": "many"},
        {"disk_bytes": 1 << 80},
    ],
)
def test_a_limit_that_is_none_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(limits))):
        Limits(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SAFE)
def test_packages_are_shown_by_name_alone(name: str) -> None:
    asked = "import idna; print(idna.__name__)"
    with opened(name) as box:
        assert "ModuleNotFoundError" in box.run(python=asked).err
    with opened(name, packages=["idna"]) as box:
        assert box.run(python=asked).out == "idna\n"
        assert box.run(["python3", "-c", asked]).out == "idna\n"
    for package, why in (("no-such-thing", "not installed"), ("turnhalle", "answers")):
        with pytest.raises(BadInput, match=why):
            open_sandbox(name, {"packages": [package]})


def test_nothing_takes_another_backends_place() -> None:
    with pytest.raises(SandboxUnavailable, match="allow_unsafe"):
        open_sandbox("process")
    with pytest.raises(plugins.NoSuchPlugin, match="no sandbox is named 'namespaces'; did you mean 'namespace'"):
        open_sandbox("namespaces")
    with pytest.raises(BadInput, match="spair"):
        open_sandbox("namespace", {"spair": 3})


def test_a_closed_sandbox_says_so(box: Sandbox) -> None:
    box.close()
    box.close()
    with pytest.raises(SandboxError, match="gone"):
        box.run(["true"])

"""What programs do with processes: too many, too long, others'. Each function runs inside, alone; it prints `OUT` and
what it got out with."""

from collections.abc import Callable
from typing import Any

__all__ = [
    "daemon", "deaf", "endless", "fork_bomb", "held_pipe", "many_burn", "new_namespace", "refused_calls", "root_again",
    "see_processes", "signal_others", "thread_bomb", "trace_parent",
]  # fmt: skip


def fork_bomb(bait: dict[str, Any]) -> None:
    import os
    import time

    children = 0
    for _ in range(4 * bait["processes"]):
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            time.sleep(3)
            os._exit(0)
        children += 1
    if children > bait["processes"]:
        print("OUT", children, "processes at once", flush=True)


def thread_bomb(bait: dict[str, Any]) -> None:
    import threading
    import time

    threads = 0
    for _ in range(4 * bait["processes"]):
        try:
            threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
        except RuntimeError:
            break
        threads += 1
    if threads > bait["processes"]:
        print("OUT", threads, "threads at once", flush=True)


def endless(bait: dict[str, Any]) -> None:
    while True:
        pass


def deaf(bait: dict[str, Any]) -> None:
    import signal
    import time

    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    while True:
        time.sleep(1)


def many_burn(bait: dict[str, Any]) -> None:
    import os

    for _ in range(4):
        if os.fork() == 0:
            while True:
                pass
    used_s = 0.0
    for _ in range(4):
        _, _, usage = os.wait3(0)
        used_s += usage.ru_utime + usage.ru_stime
        if used_s > 2 * bait["cpu_s"]:
            print("OUT", round(used_s, 1), "s of CPU time", flush=True)


def daemon(bait: dict[str, Any]) -> None:
    import os
    import time

    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(3):
                os.close(number)
            time.sleep(0.6)
            with open("daemon", "w") as file:
                file.write("alive")
        os._exit(0)


def held_pipe(bait: dict[str, Any]) -> None:
    import os
    import time

    if os.fork() == 0:
        os.setsid()
        time.sleep(4)


def signal_others(bait: dict[str, Any]) -> None:
    import os
    import signal

    try:
        os.kill(bait["victim"], signal.SIGCONT)  # as good as SIGKILL, but those who come after need it alive
        print("OUT signalled process", bait["victim"])
    except OSError:
        pass


def see_processes(bait: dict[str, Any]) -> None:
    import os

    try:
        seen = {*filter(str.isdecimal, os.listdir("/proc"))}
    except OSError:
        seen = set()
    for name in {*seen, str(bait["victim"])}:
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if bait["marker"].encode() in file.read():
                    print("OUT sees process", name)
        except OSError:
            continue


def trace_parent(bait: dict[str, Any]) -> None:
    import ctypes
    import os

    seize, libc = 0x4206, ctypes.CDLL(None)
    for pid in (os.getppid(), bait["victim"]):
        # To seize does not stop; the tracer's end lets go.
        if libc.ptrace(seize, pid, 0, 0) == 0:
            print("OUT traces process", pid)
        try:
            with open(f"/proc/{pid}/mem", "rb") as memory:
                print("OUT opened the memory of process", pid, memory.name)
        except OSError:
            continue


def new_namespace(bait: dict[str, Any]) -> None:
    import ctypes
    import os

    libc = ctypes.CDLL(None)
    for name, flag in {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000}.items():
        pid = os.fork()
        if pid == 0:
            os._exit(0 if libc.unshare(flag) == 0 else 1)
        if os.waitpid(pid, 0)[1] == 0:
            print("OUT made a", name, "namespace")


def refused_calls(bait: dict[str, Any]) -> None:
    import ctypes
    import os
    import platform

    libc = ctypes.CDLL(None, use_errno=True)
    arm = platform.machine() == "aarch64"
    # bpf, io_uring_setup, keyctl, add_key, perf_event_open, userfaultfd, with arguments that can do no harm.
    for name, number in {
        "bpf": 280 if arm else 321,
        "io_uring_setup": 425,
        "keyctl": 219 if arm else 250,
        "perf_event_open": 241 if arm else 298,
        "userfaultfd": 282 if arm else 323,
    }.items():
        ctypes.set_errno(0)
        libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0)
        if ctypes.get_errno() not in (1, 38):  # EPERM, ENOSYS
            print("OUT", name, "is answered with", os.strerror(ctypes.get_errno()))


def root_again(bait: dict[str, Any]) -> None:
    import os

    calls: dict[str, Callable[[], object]] = {
        "setuid": lambda: os.setuid(0 if os.getuid() else 12345),
        "chown": lambda: os.chown(".", 12345, 12345),
        "chroot": lambda: os.chroot("."),
        "mknod": lambda: os.mknod("device", 0o60600, os.makedev(7, 0)),
        "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    }
    for name, call in reversed(calls.items()):
        try:
            call()
            print("OUT did what root does:", name)
        except OSError:
            continue

"""What programs look for in memory and environments, their own and others'. Each function runs inside, alone; it prints
`OUT` and where it found it."""

from typing import Any

__all__ = ["environments", "left_in_memory", "open_descriptors"]


def environments(bait: dict[str, Any]) -> None:
    import os

    secret = bait["secret"][::-1].encode()
    if secret in repr(os.environ).encode():
        print("OUT in os.environ")
    try:
        seen = {*filter(str.isdecimal, os.listdir("/proc"))}
    except OSError:
        seen = set()
    for pid in {*seen, "self", "1", str(os.getppid()), str(bait["victim"])}:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if secret in file.read():
                    print("OUT in the environment of process", pid)
        except OSError:
            continue


def left_in_memory(bait: dict[str, Any]) -> None:
    import re

    # Told backwards and put together nowhere: what is looked for must not be what was just read.
    told = bait["secret"].encode()
    where = [told[-6:][::-1], told[:-6][::-1]]
    try:
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
            for line in maps:
                span = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
                if span is None or "[v" in line:
                    continue
                start, end = int(span[1], 16), int(span[2], 16)
                memory.seek(start)
                held = memory.read(end - start)
                at = held.find(where[0])
                while at >= 0:
                    if held[at + 6 : at + 6 + len(where[1])] == where[1]:
                        print("OUT at", hex(start + at), line.strip())
                    at = held.find(where[0], at + 1)
    except OSError:
        pass


def open_descriptors(bait: dict[str, Any]) -> None:
    import os

    for number in range(3, 1024):
        try:
            print("OUT descriptor", number, "is open:", os.fstat(number))
        except OSError:
            continue

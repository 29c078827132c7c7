"""What programs do with memory, disk and output: too much. Each function runs inside, alone; it prints `OUT` and what
it got."""

from typing import Any

__all__ = [
    "big_file", "flood", "many_allocate", "many_empty_files", "many_files", "one_allocates", "shared_memory",
    "stubborn_flood", "zip_bomb",
]  # fmt: skip


def one_allocates(bait: dict[str, Any]) -> None:
    pieces: list[Any] = []
    try:
        while len(pieces) < 3 * bait["memory_bytes"] >> 24:
            pieces.append(bytearray(b"x") * (1 << 24))
    except MemoryError:
        pass
    if len(pieces) << 24 > 1.2 * bait["memory_bytes"]:
        print("OUT", len(pieces) << 4, "MiB in one process")


def many_allocate(bait: dict[str, Any]) -> None:
    import os
    import time

    reader, writer = os.pipe()
    for _ in range(4):
        if os.fork() == 0:
            held = bytearray(b"x") * (bait["memory_bytes"] * 6 // 10)
            os.write(writer, os.getpid().to_bytes(4, "big") if held else b"")
            time.sleep(1)
            os._exit(0)
    os.close(writer)
    # One that was killed for the next has got nothing out: those count that hold it at once.
    holders: set[int] = set()
    many = 0
    while told := os.read(reader, 4):
        holders.add(int.from_bytes(told, "big"))
        holders = {pid for pid in holders if os.waitpid(pid, os.WNOHANG)[0] == 0}
        many = max(many, len(holders))
    if many > 1:
        print("OUT", many, "processes with six tenths of the memory each")


def shared_memory(bait: dict[str, Any]) -> None:
    import mmap

    pieces: list[Any] = []
    try:
        while len(pieces) < 3 * bait["memory_bytes"] >> 24:
            pieces.append(mmap.mmap(-1, 1 << 24))
            pieces[-1].write(b"x" * (1 << 24))
    except (OSError, ValueError):
        pass
    if len(pieces) << 24 > 1.2 * bait["memory_bytes"]:
        print("OUT", len(pieces) << 4, "MiB of shared memory")


def big_file(bait: dict[str, Any]) -> None:
    written = 0
    try:
        with open("big", "wb", buffering=0) as file:
            while written < 3 * bait["disk_bytes"]:
                written += file.write(b"x" * (1 << 20))
    except OSError:
        pass
    if written > 1.2 * bait["disk_bytes"]:
        print("OUT", written >> 20, "MiB in a file")


def many_files(bait: dict[str, Any]) -> None:
    import os

    written, left = 0, []
    for directory in (".", "/tmp", "/dev/shm", os.environ.get("TMPDIR", ".")):
        for number in range(3 * bait["disk_bytes"] >> 20):
            path = f"{directory}/abuse-{number}"
            try:
                with open(path, "wb", buffering=0) as file:
                    written += file.write(b"x" * (1 << 20))
            except OSError:
                break
            if directory.startswith("/") and os.path.exists(path):
                left.append(path)
    for path in left:
        os.unlink(path)
    if written > 5 * bait["disk_bytes"]:
        print("OUT", written >> 20, "MiB in many files")


def many_empty_files(bait: dict[str, Any]) -> None:
    made = 0
    try:
        for made in range(100 * bait["files"]):
            with open(f"empty-{made}", "w"):
                pass
    except OSError:
        pass
    if made > 50 * bait["files"]:
        print("OUT", made, "files")


def zip_bomb(bait: dict[str, Any]) -> None:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(3 * bait["disk_bytes"] >> 20):
            member.write(bytes(1 << 20))
    try:
        zipfile.ZipFile(packed).extract("zeros")
        print("OUT unpacked", packed.tell() >> 10, "KiB into", 3 * bait["disk_bytes"] >> 20, "MiB")
    except OSError:
        pass


def flood(bait: dict[str, Any]) -> None:
    while True:
        print("x" * 65536)


def stubborn_flood(bait: dict[str, Any]) -> None:
    import os

    os.fork()
    while True:
        for number in (1, 2):
            try:
                os.write(number, b"x" * 65536)
            except OSError:
                continue

"""What programs do with files that are not theirs, and with names that lead out. Each function runs inside, alone; it
prints `OUT` and what it got."""

from typing import Any

__all__ = ["links_out", "odd_files", "read_host", "read_project", "write_host"]


def read_host(bait: dict[str, Any]) -> None:
    import os

    for path in (bait["secret_file"], "/etc/shadow", "/root/.ssh", "/var/log", f"/proc/1/root{bait['secret_file']}"):
        try:
            if os.path.isdir(path):
                print("OUT lists", path, len(os.listdir(path)))
            else:
                with open(path, "rb") as file:
                    print("OUT reads", path, len(file.read()))
        except OSError:
            continue


def write_host(bait: dict[str, Any]) -> None:
    left = bait["directory"] + "/left-by-abuse"
    for path, mode in (
        (bait["secret_file"], "r+"),
        (left, "w"),
        ("/usr/lib/os-release", "r+"),
        (bait["project"], "r+"),
    ):
        try:
            with open(path, mode):
                print("OUT opened for writing", path)
        except OSError:
            continue


def read_project(bait: dict[str, Any]) -> None:
    import glob
    import os
    import sys

    try:
        import envserver.envs.keydoor

        print("OUT imports", envserver.envs.keydoor.__file__)
    except ImportError:
        pass
    try:
        with open(bait["project"]) as file:
            print("OUT reads", file.name)
    except OSError:
        pass
    for path in [*sys.path, *glob.glob(os.path.join(sys.base_prefix, "lib", "python3*", "*-packages"))]:
        for package in glob.glob(os.path.join(path, "turnhalle*", "*")):
            try:
                with open(package) as file:
                    print("OUT reads", file.name)
            except OSError:
                continue


def links_out(bait: dict[str, Any]) -> None:
    import os

    os.symlink(bait["secret_file"], "link")
    os.symlink(bait["directory"], "directory")
    os.symlink("/", "root")
    try:
        os.link(bait["secret_file"], "hard")
        print("OUT made a hard link to the host's file")
    except OSError:
        pass


def odd_files(bait: dict[str, Any]) -> None:
    import os
    import socket

    os.mkfifo("pipe")
    os.mkdir("taken")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    with open("huge", "wb") as file:
        file.truncate(bait["disk_bytes"] - (1 << 20))
    os.mkdir("closed")
    os.chmod("closed", 0)

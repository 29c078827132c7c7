"""What of this host programs in a sandbox may read, and what of that is hidden from them.

Hidden is where packages lie and where this project lies, whichever directory they are installed in: reward code and
answers are in no file that a program can open.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["BadPackage", "environment", "hidden", "interpreter", "packages", "roots"]

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
)  # fmt: skip
OURS = "turnhalle"


class BadPackage(ValueError):
    """Raised for a package that cannot be shown to programs; one sentence."""


def interpreter() -> str:
    """The interpreter that programs run in: this one, without its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def roots() -> list[str]:
    """Directories and files that programs may read."""
    found = [path for path in SYSTEM if os.path.lexists(path)]
    prefix = os.path.realpath(sys.base_prefix)
    return found if prefix.startswith("/usr") else [*found, prefix]


def hidden(shown: Iterable[str]) -> list[str]:
    """Directories inside of `shown` that programs may not see into."""
    standard = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    standard |= {os.path.join(path, "lib-dynload") for path in standard}
    paths = {os.path.realpath(path or ".") for path in sys.path} - standard
    paths.add(str(Path(__file__).resolve().parents[3]))
    paths |= {os.path.join(path, name) for path in standard for name in ("site-packages", "dist-packages")}
    inside = {path for path in paths if any(path.startswith(root.rstrip("/") + "/") for root in shown)}
    return sorted(path for path in inside if os.path.isdir(path))


def packages(names: Iterable[str]) -> dict[str, str]:
    """Entry -> path of the files of installed distributions. Raises BadPackage."""
    found: dict[str, str] = {}
    for name in names:
        if name.lower() == OURS:
            raise BadPackage(f"'{OURS}' cannot be shown to programs in a sandbox: it holds the answers")
        try:
            files = distribution(name).files or []
        except (PackageNotFoundError, ValueError):
            raise BadPackage(f"the package '{name:.100}' is not installed; install it, or leave it out") from None
        for file in files:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                found[top] = os.path.realpath(str(file.locate())[: -len(str(file))] + top)
    return found


def environment(home: str) -> dict[str, str]:
    """Every variable that a program finds."""
    path = [os.path.dirname(interpreter()), "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "HOME": home,
        "LANG": "C.UTF-8",
        "PATH": ":".join(dict.fromkeys(path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the same program prints the same set on any worker
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": "/packages",
        "TZ": "UTC",
    }

"""Runs in a container, alone: copies an image's repository to where it can be written, changes it, and then does as
told.

Standard input: `{"home", "files", "patches", "tails", "more"}` and `dump` (print all texts), or `command` (become
that). The image's own copy is read-only and stays as it was; `.git`, which may hold the solution, is not copied.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

PLACE = "/work/repo"


def main() -> None:
    asked = json.load(sys.stdin)
    if asked.get("dump") == "home":
        json.dump(texts(asked["home"], asked["most"]), sys.stdout)
        return
    shutil.copytree(asked["home"], PLACE, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    put(asked["files"])
    for patch in asked["patches"]:
        apply(patch)
    for path, tail in asked["tails"].items():
        with open(real(path), "a", encoding="utf-8") as file:
            file.write(tail)
    for path, text in asked["more"].items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    if asked.get("dump"):
        json.dump(texts(PLACE, asked["most"]), sys.stdout)
        return
    os.chdir(PLACE)
    sys.stdout.flush()
    asked["environment"]["PYTHONPATH"] += f":{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    os.environ.update(asked["environment"])
    os.execvp(asked["command"][0], asked["command"])


def real(path: str) -> str:
    """Where a path of the repository is; out of it through a symbolic link is refused."""
    place = os.path.join(PLACE, path)
    if os.path.commonpath([os.path.realpath(place), os.path.realpath(PLACE)]) != os.path.realpath(PLACE):
        sys.exit(f"{path} leads out of the repository")
    return place


def put(files: dict[str, str]) -> None:
    for path, text in files.items():
        place = real(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)


def apply(patch: str) -> None:
    """With git, else with patch; one of them is in every such image."""
    said = []
    for command in (["git", "apply", "--whitespace=nowarn", "-"], ["patch", "-p1", "--batch", "--fuzz=5"]):
        try:
            done = subprocess.run(command, input=patch.encode(), cwd=PLACE, capture_output=True, check=False)
        except FileNotFoundError:
            said.append(f"there is no {command[0]}")
            continue
        if done.returncode == 0:
            return
        said.append((done.stderr or done.stdout).decode(errors="replace").strip())
    sys.exit(f"the patch does not apply: {'; '.join(said)}")


def texts(home: str, most: int) -> dict[str, Any]:
    """Path -> text of regular files that hold text, none of them large."""
    found = {}
    for directory, below, names in os.walk(home):
        below[:] = sorted(name for name in below if name not in (".git", "__pycache__"))
        for name in names:
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > most:
                continue
            try:
                with open(path, "rb") as file:
                    text = file.read().decode()
            except (OSError, UnicodeDecodeError):
                continue
            if "\0" not in text:
                found[os.path.relpath(path, home)] = text
    return found


if __name__ == "__main__":
    main()

"""Runs in a sandbox, alone: lays out a repository in the working directory and runs its unit tests, all or those of a
file.

Standard input: `{"files", "root", "path"}`. What it prints is for the player to read and for nobody to judge.
"""

from __future__ import annotations

import json
import os
import sys
import unittest


def main() -> None:
    asked = json.load(sys.stdin)
    for path, text in asked["files"].items():
        if "/" in path:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    sys.path[:0] = [os.path.abspath(asked["root"] or "."), os.getcwd()]
    sys.dont_write_bytecode = True
    loader = unittest.defaultTestLoader
    if asked["path"]:
        tests = loader.loadTestsFromName(asked["path"].removesuffix(".py").replace("/", "."))
    else:
        tests = loader.discover("tests", top_level_dir=".")
    result = unittest.TextTestRunner(sys.stdout, verbosity=1).run(tests)
    sys.stdout.flush()
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()

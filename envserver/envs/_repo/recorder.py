"""A plugin of pytest that runs in a container: how each test ended, a JSON line each, in the file a variable names.

Images have old interpreters: nothing newer than Python 3.6 stands here.
"""

import json
import os
from typing import Any

PLACE = os.environ.pop("TURNHALLE_RESULTS", "/dev/null")


def _note(name: str, outcome: str) -> None:
    with open(PLACE, "a") as file:
        file.write(json.dumps([name, outcome]) + "\n")


def pytest_runtest_logreport(report: Any) -> None:
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "passed" if outcome in ("skipped", "passed") else "failed"
    if report.when == "call" or outcome != "passed":
        _note(report.nodeid, outcome)

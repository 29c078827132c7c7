"""Verdicts that are kept: the same code for the same reference is judged once on a machine.

What was measured then is what is said ever after, on this machine and with this torch, so that the same attempt always
earns the same. What no submission is to blame for is not kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import asdict
from importlib.metadata import version

from envserver.envs._kernel.compiling import cache_root
from envserver.envs._kernel.evaluate import Plan, evaluate
from envserver.envs._kernel.verdict import Verdict

__all__ = ["kept"]

NOBODYS = ("reference", "unavailable")


def kept(source: str, answer: str, plan: Plan) -> Verdict:
    """The verdict on an answer: that of an earlier time, or a new one. Two who ask at once are judged once."""
    said = json.dumps([source, answer, version("torch"), {name: str(value) for name, value in asdict(plan).items()}])
    path = cache_root() / "verdicts" / f"{hashlib.sha256(said.encode()).hexdigest()}.json"
    if path.exists():
        return Verdict(**json.loads(path.read_bytes()))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return Verdict(**json.loads(path.read_bytes()))
        verdict = evaluate(source, answer, plan)
        if verdict.error_kind not in NOBODYS:
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(verdict)))
            os.replace(partial, path)
    return verdict

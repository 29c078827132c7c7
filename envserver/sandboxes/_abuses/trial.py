"""Tries every attack against a backend, each in a sandbox of its own."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from envserver.sandboxes._abuses.bait import laid_out
from envserver.sandboxes._abuses.table import ABUSES, LIMITS, Abuse
from envserver.sandboxes.base import BadInput, Sandbox, SandboxError, load_backend

__all__ = ["Verdict", "attempt", "attempt_all", "named", "sized"]

THROUGH = b"THROUGH\n"
"""What a program writes last, so that one that broke is not taken for one that was held."""


@dataclass(frozen=True)
class Verdict:
    """What became of one attack."""

    name: str
    says: str
    held: bool
    detail: str
    """How it got out, or why it could not be tried."""


def named(names: Iterable[str]) -> tuple[Abuse, ...]:
    """The attacks of these names; all where there are none. Raises BadInput."""
    known = {abuse.name.replace(" ", "-"): abuse for abuse in ABUSES}
    wanted = [name.replace(" ", "-").replace("_", "-") for name in names] or list(known)
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
            raise BadInput(f"no attack is named '{name[:100]}'; {hint}")
    return tuple(known[name] for name in wanted)


def sized(backend: str) -> dict[str, JsonValue]:
    """Options of a backend that bounds some of a run's limits when it is opened."""
    told = asdict(LIMITS)
    return {name: told[name] for name in load_backend(backend).Config.model_fields if name in told}


def attempt_all(opened: Callable[[], Sandbox], abuses: tuple[Abuse, ...] = ABUSES) -> Iterator[Verdict]:
    """Verdicts as they come. Raises SandboxError where no sandbox can be opened."""
    with laid_out() as bait:
        for abuse in abuses:
            with opened() as sandbox:
                detail = attempt(sandbox, abuse, bait)
            yield Verdict(abuse.name, abuse.says, not detail, detail)


def attempt(sandbox: Sandbox, abuse: Abuse, bait: dict[str, Any]) -> str:
    """How the attack got out; empty where it was held."""
    told = {**bait, **asdict(abuse.limits)}
    source = f"from collections.abc import Callable\nfrom typing import Any\n{inspect.getsource(abuse.program)}"
    call = f"\nimport json, sys\n{abuse.program.__name__}(json.load(sys.stdin))\nprint({THROUGH.decode().strip()!r})\n"
    try:
        _leave_secret(sandbox, bait["secret"][::-1])
        ran = sandbox.run(python=source + call, stdin=json.dumps(told).encode(), limits=abuse.limits)
        out = [line for line in ran.out.splitlines() if line.startswith("OUT")]
        if out:
            return "; ".join(line.removeprefix("OUT").strip() for line in out[:3])
        if not abuse.silent and not ran.stdout.endswith(THROUGH):
            return f"it could not be tried: {ran.err.strip()[-200:] or ran.signal}"
        return abuse.judge(sandbox, ran, bait) if abuse.judge else ""
    except SandboxError as error:
        return f"the sandbox failed: {error}"


def _leave_secret(sandbox: Sandbox, secret: str) -> None:
    """A run and a file that hold the secret, so that whatever comes next may look for what they left."""
    sandbox.write("answers", secret.encode())
    sandbox.run(["cat"], stdin=secret.encode(), limits=LIMITS)
    source = f"import os, sys; os.unlink('answers'); print({secret!r}, sys.stdin.read())"
    sandbox.run(python=source, stdin=secret.encode(), limits=LIMITS)

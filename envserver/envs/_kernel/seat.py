"""A stage with a name: what is asked of it, and what it means where it does not answer."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from envserver.sandboxes._stage.stage import Ended, Silent, Stage

__all__ = ["Refused", "Seat", "Took"]

OUTPUTS = ("no_model", *(f"output_{what}" for what in ("type", "device", "shape", "dtype", "strides", "aliased")))
"""Kinds that a harness tells."""


class Refused(Exception):
    """Raised where the evaluation ends: a kind of KINDS, and a message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Took(NamedTuple):
    """What some calls took."""

    wall_s: float
    cpu_s: float
    """CPU time of all the player's threads, by the kernel's count."""
    cpu_end_s: float
    """That count at their end."""


class Seat:
    """The reference's or the candidate's stage."""

    def __init__(self, stage: Stage, name: str, call_s: float, end_s: float) -> None:
        self.stage, self.name, self.call_s, self.end_s = stage, name, call_s, end_s
        self.own = name == "reference"

    def ask(
        self, verb: str, timeout_s: float, descriptors: list[int] | None = None, *, kind: str = "", **words: Any
    ) -> dict[str, Any]:
        """Say a verb and hear the answer. Raises Refused."""
        try:
            self.stage.tell(json.dumps({"do": verb, **words}).encode(), descriptors)
            return self.understood(self.stage.hear(self._left(timeout_s)), kind)
        except (Ended, Silent) as error:
            raise self.refused(error) from None

    def go(self, slots: list[int]) -> Took:
        """One call for each slot, from the word to the answer."""
        stage = self.stage
        word = bytes([103, *slots])
        before = stage.cpu_s()
        try:
            began = time.perf_counter()
            stage.link.send(word)
            data = stage.hear(self._left(self.call_s * max(1, len(slots))))
            took = time.perf_counter() - began
        except OSError:
            raise self.refused(stage.ended()) from None
        except (Ended, Silent) as error:
            raise self.refused(error) from None
        cpu = stage.cpu_s()
        if data != b"d":
            self.understood(data, "runtime")
        return Took(took, cpu - before, cpu)

    def understood(self, data: bytes, kind: str) -> dict[str, Any]:
        """An answer. Raises Refused for one that is none, or says what went wrong."""
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self.forged()
        if "kind" not in answer:
            return answer
        message, error = str(answer.get("message", ""))[:2000], str(answer.get("error", ""))
        if self.own:
            raise Refused("reference", f"The reference fails: {message}")
        if answer["kind"] not in ("raised", *OUTPUTS):
            raise self.forged()
        if answer["kind"] != "raised":
            raise Refused(str(answer["kind"]), f"{message[:1].upper()}{message[1:]}.")
        if (
            error in ("MemoryError", "OutOfMemoryError")
            or "can't allocate memory" in message
            or "not enough memory" in message
        ):
            raise Refused("memory", f"It takes too much memory. {message}")
        where = "Before the first call" if kind == "load" else "In a call"
        if (
            error == "TypeError"
            and ("positional argument" in message or "keyword argument" in message)
            and ("forward()" in message or "__init__()" in message)
        ):
            raise Refused("signature", f"{where}: {message}. Take the same arguments as Model.")
        raise Refused(kind or "runtime", f"{where}: {message}")

    def forged(self) -> Refused:
        """What it means that an answer is none of its harness."""
        return Refused("crash", "It wrote to where only its harness writes. Leave the process's descriptors alone.")

    def refused(self, error: Ended | Silent) -> Refused:
        """What it means that it is gone."""
        if self.own:
            how = "gave no answer in time" if isinstance(error, Silent) else f"was {error}"
            return Refused("reference", f"The reference {how}.")
        if isinstance(error, Silent):
            return Refused("timeout", f"A call took longer than {self.call_s:g} s and was ended.")
        if error.out_of_memory:
            return Refused("memory", "It took more memory than it may, and was ended.")
        names = {
            4: "an illegal instruction",
            6: "an abort",
            7: "a bus error",
            8: "an arithmetic error",
            11: "a segmentation fault",
        }
        if error.signal:
            what = names.get(error.signal, f"signal {error.signal}")
            return Refused("crash", f"The process ended by {what}. Look at bounds and pointers.")
        return Refused("crash", "The process ended by itself. A kernel returns; it does not end the process.")

    def _left(self, timeout_s: float) -> float:
        return max(0.01, min(timeout_s, self.end_s - time.monotonic()))

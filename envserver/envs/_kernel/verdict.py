"""What an evaluation says of a submission: which phase it reached, what was wrong, and what the next attempt should
know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["KINDS", "Rejected", "Verdict"]

KINDS: dict[str, str] = {
    # Before anything is executed.
    "no_code": "there is no code block",
    "many_blocks": "there is more than one code block",
    "too_long": "the code is longer than is read",
    "syntax": "it is no Python",
    "no_model": "there is no class ModelNew that is a torch.nn.Module",
    "no_kernel": "there is no kernel of the language that was asked for",
    "calls_reference": "it refers to the reference's Model or its inputs",
    "patching": "it changes what belongs to torch, to the language or to a library",
    "introspection": "it looks into frames, objects or modules that are not its own",
    "dynamic_code": "it makes code at run time",
    "file_access": "it opens files",
    "network": "it opens sockets",
    "processes": "it starts processes or threads",
    "environment": "it reads or writes the process's environment",
    "exit_hooks": "it hooks into the process's end or its signals",
    "clock": "it reads or changes clocks",
    "fallback": "it catches errors, so that something else could answer for the kernel",
    "settings": "it changes global settings, such as precision or the number of threads",
    "streams": "it works on streams of its own",
    "forbidden": "it uses what a kernel has no use for",
    # Compiling.
    "compile": "the compiler refuses it",
    "compile_timeout": "compiling takes too long",
    # Running.
    "load": "it fails before the first call",
    "signature": "it cannot be called as the reference is",
    "runtime": "a call raises an error",
    "crash": "a call ends the process",
    "timeout": "a call does not end",
    "memory": "it takes too much memory",
    "output_type": "its output is no plain tensor",
    "output_shape": "its output has another shape",
    "output_dtype": "its output has another dtype",
    "output_device": "its output is on another device",
    "output_strides": "its output's elements do not each have a place of their own",
    "output_aliased": "its output lies in an input's memory",
    "nonfinite": "its output is not finite where the reference's is",
    "values": "its output is wrong",
    "constant_output": "its output is the same whatever the inputs",
    "cached_output": "its output is that of an earlier call",
    "special_cased": "it is right for the usual inputs alone",
    "inputs_changed": "it writes to its inputs",
    "background_work": "it works before it is called or after it has returned",
    "decoy": "its kernels do not make the output",
    # Neither is the submission's fault.
    "reference": "the reference itself fails",
    "unavailable": "this machine cannot evaluate it",
}
"""Kind of error -> what it means; `""` is none."""


class Rejected(Exception):
    """Raised where a submission goes no further: a kind of KINDS, and a message for whoever wrote it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Verdict:
    """One submission's result."""

    error_kind: str = ""
    """One of KINDS; empty where it is correct and no decoy."""
    message: str = ""
    """What was wrong, or how fast it is, for the next attempt."""
    compiled: bool = False
    correct: bool = False
    decoy: bool = False
    """It is right, but its kernels have no part in that."""
    speedup: float | None = None
    """The reference's time over its own: the median of paired rounds. None where it was not timed."""
    speedup_low: float | None = None
    speedup_high: float | None = None
    """About 95 of 100 such intervals hold the median of infinitely many rounds."""
    reference_ms: float | None = None
    candidate_ms: float | None = None
    noise: float | None = None
    """Half of the spread of the middle half of the rounds' ratios, over their median."""
    coverage: float | None = None
    """Share of its time that goes when its kernels do nothing; None where that cannot be told."""
    rounds: int = 0
    """Paired rounds that were timed."""
    phase_s: dict[str, float] = field(default_factory=dict)
    """Phase -> seconds."""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """It is correct and no decoy."""
        return self.correct and not self.decoy and not self.error_kind

    @property
    def measured(self) -> dict[str, float]:
        """What a step tells of it in numbers; a coverage that cannot be told is left out."""
        found = {"correct": float(self.good)}
        if self.good and self.speedup is not None:
            found["speedup"] = self.speedup
        if self.good and self.coverage is not None:
            found["coverage"] = self.coverage
        return found

"""The Z-machine of one story: jericho's, asked without its wrapper, and its state in a few bytes.

A state is kept as the words that differ from the opening's. The library copies its memory into one array that stays,
and out of it: neither a copy's pages nor ctypes' view of them is made again for a step.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import jericho
import numpy as np

__all__ = ["Interpreter", "Kept"]

SEED = 1
"""Of the interpreter's generator; a fixed one, so that no clock is read."""
WORD_BYTES = 8


class Kept(NamedTuple):
    """A state."""

    where: bytes
    """Places of the words that are not the opening's, 32 bits each."""
    words: bytes
    registers: tuple[int, ...]
    """Program counter, stack pointer, frame pointer, count of frames, opcode."""
    generator: tuple[int, int, int]
    narrative: bytes


class Interpreter:
    """One story, at one state."""

    def __init__(self, story: Path) -> None:
        """Raises OSError or ValueError where `story` cannot be read."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jericho.UnsupportedGameWarning)  # said of every generated game
            self.machine = jericho.FrotzEnv(str(story), seed=SEED)
        self.frotz = self.machine.frotz_lib
        # Memory, then the stack, each from a whole word on.
        ram, stack = (-(-size // WORD_BYTES) for size in (self.frotz.getRAMSize(), self.frotz.getStackSize()))
        self.words = np.zeros(ram + stack, np.uint64)
        self.ram: int = self.words.ctypes.data
        self.stack: int = self.ram + ram * WORD_BYTES
        self.opening: np.ndarray | None = None

    def begin(self) -> str:
        """Begin anew; what the game prints then."""
        raw: str = self.machine.reset()[0]
        return raw

    def say(self, command: str) -> str:
        """What the game prints when it is told `command`; a line that is longer than its buffer is cut."""
        line: bytes = self.frotz.step(command.encode()[: jericho.jericho.INPUT_BUFFER_SIZE] + b"\n")
        return line.decode("cp1252")

    def keep(self) -> Kept:
        """The state it is in; the first one that is asked for is the opening."""
        frotz, words = self.frotz, self.words
        frotz.getRAM(self.ram)
        frotz.getStack(self.stack)
        if self.opening is None:
            self.opening = words.copy()
        where = np.flatnonzero(words != self.opening)
        return Kept(
            where.astype(np.uint32).tobytes(),
            words[where].tobytes(),
            (frotz.getPC(), frotz.getSP(), frotz.getFP(), frotz.getFrameCount(), frotz.get_opcode()),
            (int(frotz.getRngA()), frotz.getRngInterval(), frotz.getRngCounter()),
            frotz.get_narrative_text(),
        )

    def go(self, kept: Kept) -> None:
        """Be in that state."""
        frotz, words = self.frotz, self.words
        assert self.opening is not None
        words[:] = self.opening
        words[np.frombuffer(kept.where, np.uint32)] = np.frombuffer(kept.words, np.uint64)
        pc, sp, fp, frames, opcode = kept.registers
        frotz.setRng(*kept.generator)
        frotz.setRAM(self.ram)
        frotz.setStack(self.stack)
        frotz.setPC(pc)
        frotz.setSP(sp)
        frotz.setFP(fp)
        frotz.set_opcode(opcode)
        frotz.setFrameCount(frames)
        frotz.set_narrative_text(kept.narrative)

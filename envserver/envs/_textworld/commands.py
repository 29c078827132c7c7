"""What of a player's text reaches the game: one line, one command, and no order to the interpreter.

The Z-machine reads `save` and `script` as orders to write files, `quit` and `restart` as questions that swallow the
next command, and a NUL as no line at all, which it waits for without end. None of them gets that far.
"""

from __future__ import annotations

import re

__all__ = ["REFUSAL", "readable"]

REFUSAL = "That's not a verb I recognise."
"""The game's own answer to a word it does not know."""
LONGEST = 190
"""Characters of a command that are read; the interpreter's buffer holds 198 bytes."""

# fmt: off
ORDERS = frozenset((
    "again", "brief", "commands", "fullscore", "g", "long", "noscript", "normal", "notify", "nouns", "o", "oops",
    "pronouns", "q", "quit", "record", "recording", "replay", "restart", "restore", "restrict", "save", "script",
    "short", "superbrief", "trace", "transcript", "undo", "unrecord", "unscript", "verbose", "verify", "version",
))
# fmt: on
"""First words that steer the interpreter or the printing, not the world."""


def readable(text: str) -> str | None:
    """The one command that `text` is, or None where the game is not asked.

    White space becomes single spaces, other unprintable and non-ASCII characters become `?`, what is longer than 190
    characters is cut, and closing punctuation is dropped.
    """
    line = " ".join(text[: 4 * LONGEST].split())[:LONGEST]
    line = re.sub(r"[^ -~]", "?", line).rstrip(" .!")
    words = re.findall(r"[a-z0-9-]+", line.lower())
    if not words or not line[0].isalpha() or words[0] in ORDERS or words[0].startswith("tw-"):
        return None
    if "." in line or "then" in words:
        return None
    return line

"""Sessions on disk while they wait: one file each, one line for each thing that happens.

Rule: a line is written before the client hears of what it says, so `kill -9` loses no turn and no reward that was
acknowledged; it does not wait for the disk, so a loss of power may cost the last lines. A torn last line counts as not
written. A file goes when its session has trained or cannot.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.types import Move, Prompt, Sample, StopReason
from trainers.serving.conversation import Conversation, Said, Shown

__all__ = ["Journal"]


class Journal:
    """The files of one server."""

    def __init__(self, directory: Path) -> None:
        """Made where it is missing. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def began(self, conversation: Conversation) -> None:
        """A session's first line."""
        shown = dataclasses.asdict(conversation.shown) if conversation.shown is not None else None
        self._write(conversation.id, {"session": conversation.session, "env": conversation.env, "shown": shown})

    def said(self, conversation: Conversation) -> None:
        """Its newest turn."""
        turn = conversation.said[-1]
        self._write(conversation.id, {"said": dataclasses.asdict(turn), "wall_s": conversation.wall_s})

    def rated(self, conversation: Conversation, index: int) -> None:
        """The reward of a turn."""
        turn = conversation.said[index]
        self._write(conversation.id, {"turn": index, "reward": turn.reward, "by": turn.by})

    def ended(self, conversation: Conversation) -> None:
        """Its end."""
        end = {"stop": conversation.stop, "reward": conversation.outcome, "success": conversation.success}
        self._write(conversation.id, {"end": end})

    def forget(self, id: str) -> None:
        """The session's file goes."""
        self._path(id).unlink(missing_ok=True)

    def read(self) -> list[Conversation]:
        """Every session there is, the oldest first. What is torn is cut off, and a file without a first line goes."""
        found: list[Conversation] = []
        for path in sorted(self.directory.glob("*.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
            lines = _whole_lines(path)
            if not lines:
                path.unlink()
                continue
            first = lines[0]
            conversation = Conversation(first["session"], path.stem, first["env"])
            if shown := first["shown"]:
                conversation.shown = Shown(shown["text"], tuple(shown["hashes"]), shown["generation"])
            for line in lines[1:]:
                _replay(conversation, line)
            found.append(conversation)
        return found

    def _path(self, id: str) -> Path:
        return self.directory / f"{id}.jsonl"

    def _write(self, id: str, line: Mapping[str, Any]) -> None:
        with self._path(id).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _replay(conversation: Conversation, line: Mapping[str, Any]) -> None:
    """What a line says, happens again."""
    match line:
        case {"said": said, "wall_s": wall_s}:
            prompt, move = said["prompt"], said["move"]
            conversation.said.append(
                Said(
                    asked=said["asked"],
                    prompt=Prompt(**{**prompt, "used": tuple(prompt["used"]), "skills": tuple(prompt["skills"])}),
                    move=Move(move["prompt_ids"], Sample(**move["sample"]), move["text"]),
                )
            )
            conversation.wall_s = wall_s
        case {"turn": index, "reward": reward, "by": by}:
            conversation.said[index].reward, conversation.said[index].by = reward, by
        case {"end": end}:
            conversation.stop = StopReason(end["stop"])
            conversation.outcome, conversation.success = end["reward"], end["success"]


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that were written to their end; what follows them leaves the file."""
    lines: list[dict[str, Any]] = []
    whole_bytes = 0
    for raw in path.read_bytes().splitlines(keepends=True):
        try:
            line = json.loads(raw) if raw.endswith(b"\n") else None
        except ValueError:
            line = None
        if line is None:
            os.truncate(path, whole_bytes)
            break
        lines.append(line)
        whole_bytes += len(raw)
    return lines

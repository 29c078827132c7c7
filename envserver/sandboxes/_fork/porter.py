"""The first process of a container: it takes calls from the engine's stream, and has a keeper that answers them.

A frame is the length of a JSON object, the length of what follows it, both in four bytes, and the two. Its end is the
container's: when the stream closes, whoever held its other end is gone.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, BinaryIO

from envserver.sandboxes._fork.contained import Contained, Watched
from envserver.sandboxes._fork.keeper import Keeper
from envserver.sandboxes._fork.line import Gone, Line, Refused
from envserver.sandboxes._fork.walls import Told

__all__ = ["FRAME", "main"]

FRAME = struct.Struct("!II")
START_S = 20.0


def main(calls: BinaryIO, answers: BinaryIO, told: dict[str, Any]) -> None:
    """Serve until the stream closes."""
    line = Line(_keeper(Told(**told)), START_S)
    _send(answers, {"ok": True, "enforced": line.enforced}, b"")
    while len(head := calls.read(FRAME.size)) == FRAME.size:
        length, follows = FRAME.unpack(head)
        asked, data = json.loads(calls.read(length)), calls.read(follows)
        try:
            answer, out = _answered(line, asked, data)
        except Refused as error:
            answer, out = {"failed": str(error), "kind": error.kind}, b""
        except Gone as error:
            answer, out = {"failed": str(error), "kind": "Gone"}, b""
        _send(answers, answer, out)


def _answered(line: Line, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    match asked.pop("do"):
        case "run":
            out, errors, ran = line.run(asked["job"], data, asked["limits"])
            return {"ran": ran, "out_bytes": len(out)}, out + errors
        case "write":
            line.write(data=data, **asked)
            return {"ok": True}, b""
        case _:
            return {"ok": True}, line.read(**asked)


def _keeper(told: Told) -> socket.socket:
    """Start a keeper; the socket that asks it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)
        try:
            walls = Contained(told)
            try:
                group = Watched()
            except OSError:
                group = None
            directory = walls.around_one(0, None)
            Keeper(walls, directory, group).serve(theirs)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def _send(answers: BinaryIO, answer: dict[str, Any], data: bytes) -> None:
    head = json.dumps(answer).encode()
    answers.write(FRAME.pack(len(head), len(data)) + head + data)
    answers.flush()

"""Requests and answers as bytes, with nothing in between: WebSocket frames, and HTTP that is kept alive."""

from __future__ import annotations

__all__ = ["UPGRADE", "framed", "posted", "unframed", "unwrapped"]

UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def framed(payload: bytes, kind: int = 0x82) -> bytes:
    """A client's frame, binary unless said; the mask is zero, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((kind, 0x80 | size))
    elif size < 65536:
        head = bytes((kind, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((kind, 0xFF)) + size.to_bytes(8)
    return head + b"\0\0\0\0" + payload


def unframed(data: bytes) -> tuple[bytes, bytes, bool]:
    """A server frame's payload, what follows it, and whether all of it is there."""
    if len(data) < 2:
        return b"", data, False
    size, start = data[1], 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10]), 10
    end = start + size
    if len(data) < start or len(data) < end:
        return b"", data, False
    return data[start:end], data[end:], True


def posted(path: bytes, body: bytes, headers: bytes = b"") -> bytes:
    """An HTTP request."""
    head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" % path
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, headers, len(body), body)


def unwrapped(data: bytes) -> tuple[bytes, bytes, bool]:
    """An HTTP answer, its chunks joined, what follows it, and whether all of it is there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return b"", data, False
    head, start = data[:end].lower(), end + 4
    if b"transfer-encoding: chunked" in head:
        return _joined(data, start)
    at = head.find(b"content-length: ")
    size = int(head[at + 16 :].partition(b"\r\n")[0]) if at >= 0 else 0
    stop = start + size
    return data[:stop], data[stop:], len(data) >= stop


def _joined(data: bytes, start: int) -> tuple[bytes, bytes, bool]:
    parts, at = [data[:start]], start
    while (line := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line], 16)
        at = line + 2 + size + 2
        if len(data) < at:
            break
        if not size:
            return b"".join(parts), data[at:], True
        parts.append(data[line + 2 : at - 2])
    return b"", data, False

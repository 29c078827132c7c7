"""The load of each wire plays what it measures."""

import dataclasses

import pytest

from envserver.bench.frames import unwrapped
from envserver.bench.protocols import NAMES
from envserver.bench.wires import WIRES, Asked, Wire, play, seen
from envserver.launch import launch


async def test_each_wire_plays_the_null_world(tmp_path):
    with launch(["null"], workers=1, max_steps=10**6, log=tmp_path / "log") as server:
        port = int(server.url.rpartition(":")[2])
        for wire in NAMES:
            measured = await play(Asked(wire, port, sessions=2, seconds=0.1))
            assert measured.frame_errors == 0, wire
            assert measured.steps_s > 0
            assert measured.total >= 2
            assert all(value == value for value in dataclasses.astuple(measured)), wire


async def test_a_session_that_does_not_open_fails_the_load(tmp_path):
    with launch(["keydoor"], workers=1, log=tmp_path / "log") as server:
        port = int(server.url.rpartition(":")[2])
        for wire in NAMES:
            with pytest.raises((ConnectionError, KeyError)):
                await play(Asked(wire, port, sessions=1, seconds=0.1))


def test_an_answer_without_the_observation_is_noticed():
    wire: Wire = WIRES["openenv_http"](lambda _: None)
    assert not seen(b'HTTP/1.1 200 OK\r\n\r\n{"observation":{"text":"short"}}', wire)
    assert seen(b'HTTP/1.1 200 OK\r\n\r\n{"observation":{"text":"%b"}}' % (b"x" * 785), wire)


def test_an_answer_is_whole_once_its_length_is_there():
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    assert unwrapped(whole + b"rest") == (whole, b"rest", True)
    assert unwrapped(whole[:-1])[2] is False
    assert unwrapped(whole[:20])[2] is False


def test_an_answer_in_chunks_is_whole_once_the_empty_one_is_there():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    events = (
        b"event: task_id\ndata: 0.id\n\n",
        b'event: end\ndata: {"output":{"blocks":[{"text":"%b"}]}}\n\n' % (b"x" * 785),
    )
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    whole = head + b"".join(chunks) + b"0\r\n\r\n"
    payload, rest, done = unwrapped(whole + b"rest")
    assert (payload, rest, done) == (head + b"".join(events), b"rest", True)
    for cut in (1, 2, 5, len(chunks[1]), len(chunks[1]) + 7, len(whole) - 10):
        assert unwrapped(whole[:-cut]) == (b"", whole[:-cut], False)
    assert seen(payload, WIRES["ors_peer"](lambda _: None))

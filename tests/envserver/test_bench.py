"""The bench measures what it says, and fails loudly where it cannot."""

from typing import get_args

import pytest

from envserver.bench import PARTS, USUAL, Report, Table
from envserver.bench.frames import framed, unframed
from envserver.bench.load import How, Load, drive
from envserver.bench.null import floor
from envserver.bench.report import percentile, ratio
from envserver.launch import launch


def test_the_load_plays_the_server_and_its_floor(tmp_path):
    log = tmp_path / "log"
    with launch(["null"], workers=1, max_steps=10**9, log=log) as server, floor() as (floor_port, _):
        port = int(server.url.rpartition(":")[2])
        single = drive(Load(port, sessions=4, seconds=0.3, opens=True))
        shared = [drive(Load(port, 32, seconds=0.3, opens=True, batch=16, how=how)) for how in get_args(How)]
        bare = drive(Load(floor_port, sessions=4, seconds=0.3, opens=False))
    assert single.steps_s > 50
    assert all(one.steps_s > 50 and one.total > 32 for one in shared)
    assert bare.steps_s > 50
    assert 0 < single.p50_ms <= single.p99_ms


def test_a_refused_step_fails_the_bench(tmp_path):
    limited = launch(["null"], workers=1, max_steps=3, log=tmp_path / "log")
    with limited as server, pytest.raises(RuntimeError, match="frames at 2 sessions were refused"):
        drive(Load(int(server.url.rpartition(":")[2]), sessions=2, seconds=0.3, opens=True))
    with pytest.raises(RuntimeError, match=r"envserver\.bench\.load failed"):
        drive(Load(9, sessions=1, seconds=0.1, opens=True))


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65535, 65536, 200_000])
def test_a_frame_is_read_once_all_of_it_is_there(size):
    payload = b"x" * size
    sent = framed(payload)
    assert sent.endswith(b"\0\0\0\0" + payload)
    # A server's frame is the client's without its mask.
    frame = bytes((sent[0], sent[1] & 0x7F)) + sent[2 : len(sent) - size - 4] + payload
    assert unframed(frame + b"next") == (payload, b"next", True)
    for cut in {0, 1, min(3, len(frame) - 1), len(frame) - 1}:
        assert unframed(frame[:cut]) == (b"", frame[:cut], False)


def test_a_report_is_markdown_and_json():
    table = Table("Speed", "How.", ("sessions", "steps/s", "ratio"), [(1024, 12345.6, 0.912)])
    text = table.as_markdown()
    assert text == "### Speed\n\nHow.\n\n| sessions | steps/s | ratio |\n|---|---|---|\n| 1,024 | 12,346 | 0.912 |"
    assert Report([table]).as_json()["tables"][0]["rows"] == [(1024, 12345.6, 0.912)]
    assert set(PARTS) == {*USUAL, "suite"}
    assert set(USUAL) == {
        "alfworld",
        "kernels",
        "null",
        "protocols",
        "sandboxes",
        "scienceworld",
        "sessions",
        "textworld",
        "worlds",
    }


def test_medians_are_over_medians():
    assert ratio([1, 9, 2], [4, 4, 100]) == 0.5
    assert percentile(range(100), 0.99) == 99
    assert percentile([], 0.5) != percentile([], 0.5)

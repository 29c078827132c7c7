"""`skills bench` on a small library."""

from __future__ import annotations

import json

import pytest

from skills_db.bench import run_bench
from skills_db.cli import main
from skills_db.database import connect
from skills_db.errors import BadRecord
from skills_db.store import open_store


def test_a_small_library_is_measured_whole_and_found_whole(url: str) -> None:
    open_store(url).close()
    database = connect(url)
    report = run_bench(database, 400, queries=20, index="exact")
    assert (report.experiences, report.clusters, report.index) == (400, 20, "exact")
    assert report.recall_at_10 == 1.0
    assert report.vector_p50_ms <= report.vector_p99_ms
    with pytest.raises(BadRecord, match="holds experiences"):
        run_bench(database, 400)
    database.close()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["bench", *words])
    out = capsys.readouterr()
    return int(done.value.code or 0), out.out, out.err


def test_the_command_prints_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--experiences", "100", "--queries", "10", "--json")
    assert code == 0
    assert json.loads(out)["experiences"] == 100


def test_an_index_that_cannot_be_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--index", "tree")[::2] == (2, "skills: no index is named 'tree': say exact, hnsw, pgvector\n")
    code, _, err = said(capsys, "--index", "pgvector")
    assert (code, err.count("\n")) == (2, 1)

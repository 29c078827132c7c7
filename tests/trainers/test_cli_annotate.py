"""`trainer annotate`: what a run would learn from, shown and written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_cli_trainer import run


def test_the_command_shows_and_writes_what_a_run_learns_from(
    gym_url: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "run.toml", tmp_path / "notes.jsonl"
    file.write_text(
        f'env = {{ name = "keydoor", url = "{gym_url}" }}\nformat = {{ name = "rlvmr" }}\n'
        f'sft = {{ demonstrations = 2 }}\ndir = "{tmp_path}"\n'
    )
    code, printed, _ = run(capsys, "annotate", file, "--quiet")
    assert code == 0
    assert printed.count("> <planning>1. ") == 2
    assert run(capsys, "annotate", file, "--quiet", "--out", out)[0] == 0
    _, printed, _ = run(capsys, "annotate", file, "--quiet", "--json")
    assert json.loads(printed) == [json.loads(text) for text in out.read_text().splitlines()]
    read_again = ["sft.annotator.name=written", f"sft.annotator.file={out}"]
    _, printed, _ = run(capsys, "annotate", file, "--quiet", *read_again)
    assert printed.count("> <planning>1. ") == 2


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("format=plain", "only the format 'rlvmr'"),
        ("sft.demonstrations=0", "nothing to annotate"),
        ("sft.annotator=rule", "did you mean 'rules'?"),
        ("sft.annotator={name='endpoint', modle='x'}", "did you mean 'annotator.model'?"),
    ],
)
def test_misuse_of_the_command_is_one_sentence(
    gym_url: str, tmp_path: Any, capsys: pytest.CaptureFixture[str], pair: str, says: str
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        f'env = {{ name = "keydoor", url = "{gym_url}" }}\nformat = {{ name = "rlvmr" }}\n'
        "sft = { demonstrations = 2 }\n"
    )
    code, _, error = run(capsys, "annotate", file, "--quiet", pair)
    assert code == 2
    assert says in error
    assert error.count("\n") == 1

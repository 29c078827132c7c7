"""The command `skills`, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_store import an_episode

from skills_db.cli import main
from skills_db.migrate import head
from skills_db.schema_page import schema_markdown
from skills_db.store import open_store
from skills_db.types import NewExperience, NewTurn

ROOT = Path(__file__).parents[2]


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default database with one run."""
    path = tmp_path / "memory.db"
    monkeypatch.setenv("TURNHALLE_DB", f"sqlite:///{path}")
    with open_store() as store:
        run = store.add_run("first", {"seed": 1})
        turns = [
            NewTurn(
                "A locked drawer.", "I think so.\n> open drawer", "open drawer", 0.0, sample_ids=[1], advantage=0.5
            ),
            NewTurn("It is \x1b[31mlocked\x07.", "hm", "", 1.0, complaint="No action was found."),
        ]
        store.add_episode(run, an_episode("abc-1", turns=turns))
        store.add_episode(
            run, an_episode("abd-2", turns=[], reward=None, stop="error", error="it broke", success=False)
        )
        store.add([NewExperience("textworld", "A locked drawer.", "Find the key.", "skill", 1.0)])
    return path


class Skills:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str, code: int = 0) -> str:
        """What the command printed: stdout, or the one sentence on stderr where `code` is not 0."""
        with pytest.raises(SystemExit) as left:
            main(list(args))
        out, said = self._capsys.readouterr()
        assert left.value.code == code, said
        if code == 0:
            return out
        assert said.startswith("skills: ")
        assert said.count("\n") == 1
        return said


@pytest.fixture
def skills(capsys: pytest.CaptureFixture[str]) -> Skills:
    return Skills(capsys)


def test_search_finds_and_says_where(db: Path, skills: Skills) -> None:
    text = skills("search", "locked drawer")
    assert "abc-1:0  textworld" in text
    assert "A [locked] [drawer]." in text
    found = json.loads(skills("search", "locked", "drawer", "--json", "--kind", "experience"))
    assert [(hit["kind"], hit["id"]) for hit in found] == [("experience", "1")]
    assert json.loads(skills("search", "drawer", "--env", "keydoor", "--json")) == []
    assert len(json.loads(skills("search", "drawer", "--limit", "1", "--json"))) == 1
    assert json.loads(skills("search", 'locked ("', "--json")) != []
    assert "say observation, action, experience" in skills("search", "x", "--kind", "dream", code=2)


def test_show_an_episode_turn_by_turn_and_send_no_escape_to_the_terminal(db: Path, skills: Skills) -> None:
    text = skills("show", "abc")
    assert "[0] A locked drawer." in text
    assert "> open drawer" in text
    assert "advantage 0.500; 0 + 1 tokens" in text
    assert "(unparsable) No action was found." in text
    assert r"It is \x1b[31mlocked\x07." in text
    assert "[end] You win." in text
    assert "error: it broke" in skills("show", "abd-2")
    assert json.loads(skills("show", "abc-1", "--json"))["turns"][0]["sample_ids"] == [1]


def test_show_a_run_and_an_experience(db: Path, skills: Skills) -> None:
    with open_store() as store:
        run = store.runs()[0].id
    assert json.loads(skills("show", run[:-2], "--json"))["config"] == {"seed": 1}
    assert "name: first" in skills("show", run)
    assert "advice: Find the key." in skills("show", "1")


def test_show_what_is_not_there_or_not_one(db: Path, skills: Skills) -> None:
    assert "begins with 'nobody'" in skills("show", "nobody", code=1)
    assert "may be episode abc-1, episode abd-2: type more of it" in skills("show", "ab", code=1)
    assert "begins with '%'" in skills("show", "%", code=1)
    assert "begins with ''" in skills("show", "", code=1)


def test_stats_count(db: Path, skills: Skills) -> None:
    found = json.loads(skills("stats", "--json"))
    assert found["rows"]["turns"] == 2
    (env,) = found["envs"]
    assert (env["episodes"], env["valid"], env["success"], env["reward"], env["turns"]) == (2, 1, 1.0, 0.75, 1.0)
    assert "100.0%" in skills("stats")


def test_add_prune_and_their_effect(db: Path, skills: Skills) -> None:
    number = skills(
        "add", "Wait.", "--env", "textworld", "--situation", "A guard.", "--failure", "--score", "0.5"
    ).strip()
    assert json.loads(skills("show", number, "--json"))["kind"] == "failure"
    assert skills("prune", "--env", "textworld", "--keep", "0") == "2 retired\n"
    assert "needs an environment and some advice" in skills("add", " ", "--env", "e", "--situation", "s", code=1)
    assert "keep" in skills("prune", "--env", "textworld", "--keep", "-1", code=2)


def test_export_and_import_into_another_database(db: Path, skills: Skills, tmp_path: Path) -> None:
    file, other = tmp_path / "library.jsonl", str(tmp_path / "other.db")
    skills("export", str(file))
    assert skills("import", str(file), "--db", other) == "added 1 run, 1 experience, 0 skills, 2 episodes\n"
    assert json.loads(skills("import", str(file), "--db", other, "--json"))["episode"] == 0
    assert skills("export", "-", "--db", other) == file.read_text()
    assert len(skills("export", "-", "--no-episodes").splitlines()) == 2
    file.write_text(file.read_text() + "{\n")
    assert f"line 6 of {file} cannot be kept: Invalid JSON" in skills("import", str(file), code=1)
    assert "cannot be read: No such file" in skills("import", str(tmp_path / "none"), code=2)
    assert "cannot be written: No such file" in skills("export", str(tmp_path / "no" / "x"), code=2)
    assert "begins with 'nobody'" in skills("export", "-", "--run", "nobody", code=1)
    assert "no run" in skills("export", "-", "--run", "abc", code=2)
    assert sorted(item.name for item in tmp_path.glob("*.jsonl")) == ["library.jsonl"]


def test_migrate_there_and_back(db: Path, skills: Skills) -> None:
    newest = head()
    assert skills("migrate") == f"sqlite:///{db}: {newest} already\n"
    assert "say --yes" in skills("migrate", "--to", "base", code=2)
    assert skills("migrate", "--to", "base", "--yes") == f"sqlite:///{db}: {newest} -> base\n"
    assert skills("migrate") == f"sqlite:///{db}: base -> {newest}\n"
    assert "there are: base, 0001" in skills("migrate", "--to", "9", code=2)


def test_path_says_where(db: Path, skills: Skills, monkeypatch: pytest.MonkeyPatch) -> None:
    assert skills("path") == f"{db}\n"
    monkeypatch.setenv("TURNHALLE_DB", "postgresql://me:secret@host/name")
    assert skills("path") == "postgresql://me:***@host/name\n"


def test_reading_makes_no_database(skills: Skills, tmp_path: Path) -> None:
    for words in (["search", "x"], ["stats"], ["show", "1"], ["export", "-"], ["prune", "--env", "e", "--keep", "1"]):
        assert "there is no database at" in skills(*words, "--db", str(tmp_path / "none.db"), code=1)
    assert list(tmp_path.iterdir()) == []


def test_misuse_is_one_sentence(db: Path, skills: Skills) -> None:
    assert "No such command 'serch'" in skills("serch", code=2)
    assert "does not speak 'mysql'" in skills("stats", "--db", "mysql://h/d", code=1)
    assert "Missing argument" in skills("search", code=2)


def test_help_imports_no_sql() -> None:
    code = (
        "import sys\nfrom skills_db.cli import main\n"
        "for words in (['--help'], ['search', '--help']):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'numpy') if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_the_schema_page_says_what_every_column_holds() -> None:
    page = schema_markdown()
    assert "None" not in page
    assert "| `prompt_tail` | LargeBinary | The prompt's other ids, int32. |" in page
    assert "| `run` | Text → `runs.id` | The run it belongs to. |" in page
    assert page.count("\n## ") == 9

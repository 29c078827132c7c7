"""The command `skills`, as a user runs it."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from one_vector import fake_model
from test_store import an_episode

from skills_db.cli import main
from skills_db.migrate import head
from skills_db.schema_page import schema_markdown
from skills_db.store import open_store
from skills_db.types import NewExperience, NewSkill, NewTurn

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


def test_find_finds_and_says_where(db: Path, skills: Skills) -> None:
    text = skills("find", "locked drawer")
    assert "abc-1:0  textworld" in text
    assert "A [locked] [drawer]." in text
    found = json.loads(skills("find", "locked", "drawer", "--json", "--kind", "experience"))
    assert [(hit["kind"], hit["id"]) for hit in found] == [("experience", "1")]
    assert json.loads(skills("find", "drawer", "--env", "keydoor", "--json")) == []
    assert len(json.loads(skills("find", "drawer", "--limit", "1", "--json"))) == 1
    assert json.loads(skills("find", 'locked ("', "--json")) != []
    assert "say observation, action, experience, skill" in skills("find", "x", "--kind", "dream", code=2)
    assert "nothing has an id that begins with 'none'" in skills("find", "drawer", "--run", "none", code=1)


def test_find_finds_skills_of_an_environment_and_general_ones(db: Path, skills: Skills) -> None:
    add = ["add", "Look for the key.", "--description", "When a drawer is locked."]
    skills(*add, "--skill", "open-drawers", "--category", "keydoor")
    skills(*add, "--skill", "look-first")
    skills(*add, "--skill", "other-world", "--category", "sql")
    assert "skill        open-drawers  keydoor v1" in skills("find", "locked drawer", "--kind", "skill")
    found = json.loads(skills("find", "locked drawer", "--env", "keydoor", "--json"))
    assert sorted((hit["kind"], hit["id"]) for hit in found) == [("skill", "look-first"), ("skill", "open-drawers")]
    skills("retire", "open-drawers")
    drawers = ["find", "open drawer", "--env", "keydoor", "--json"]
    assert json.loads(skills(*drawers)) == []
    assert [hit["id"] for hit in json.loads(skills(*drawers, "--retired"))] == ["open-drawers"]


def test_search_says_why_each_stands_where_it_does_and_filters(db: Path, skills: Skills) -> None:
    skills("add", "Look for the key.", "--description", "When a drawer is locked.", "--skill", "open-drawers")
    text = skills("search", "locked", "drawer")
    assert "experience 1  textworld" in text
    assert "(text 1: " in text
    assert "skill open-drawers v1  general  (text 1: " in text
    found = json.loads(skills("search", "locked drawer", "--json"))
    assert {place["ranking"] for place in found["experiences"][0]["places"]} >= {"text", "vector"}
    nothing = {"experiences": [], "skills": []}
    for filter in (["--score", "99"], ["--older", "2020-01-01"], ["--level", "x"]):
        assert json.loads(skills("search", "locked drawer", *filter, "--json")) == nothing, filter
    found = json.loads(skills("search", "locked drawer", "--env", "none", "--json"))
    assert (found["experiences"], [skill["skill"] for skill in found["skills"]]) == ([], ["open-drawers"])
    assert "nothing has an id that begins with 'none'" in skills("search", "drawer", "--run", "none", code=1)
    assert "is the episode abc-1, no run" in skills("search", "drawer", "--run", "abc-1", code=2)
    assert json.loads(skills("search", "locked drawer", "--newer", "2020-01-01", "--json"))["experiences"]
    assert "say skill or failure" in skills("search", "x", "--kind", "dream", code=1)


def test_vectors_are_those_of_the_embedder_that_is_named_and_another_one_is_told(
    db: Path, skills: Skills, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = fake_model(tmp_path, monkeypatch)
    other = ["--db", str(tmp_path / "other.db")]
    skills("add", "Pull.", "--env", "e", "--situation", "A drawer.", "--embedder", str(home), *other)
    monkeypatch.setenv("TURNHALLE_EMBEDDER", str(home))
    assert "(vector 1: 1, cluster 1: 1)" in skills("search", "a chest", *other)
    monkeypatch.delenv("TURNHALLE_EMBEDDER")
    with pytest.raises(SystemExit, match="0"):
        main(["search", "drawer", *other])
    out, said = capsys.readouterr()
    assert "experience 1  e skill  score 1  (text 1: " in out
    assert "vector" not in out
    assert re.search(r"no vector of an experience is compared: they are model-\w+'s, not hashing-512's", said)
    assert "no embedder is named 'minilms'; did you mean 'minilm'?" in skills(
        "search", "x", "--embedder", "minilms", code=1
    )


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


def test_show_an_episode_names_what_was_shown_in_each_turn(db: Path, skills: Skills) -> None:
    with open_store() as store:
        digest = store.add_skill(NewSkill("open-drawers", "When locked.", "Pull.")).digest
        turns = [NewTurn("A drawer.", "x", "x", 0.0, used=(1,), skills=(digest,)), NewTurn("A hall.", "y", "y", 0.0)]
        store.add_episode(store.runs()[0].id, an_episode("shown-1", turns=turns))
    text = skills("show", "shown-1")
    assert text.count("shown") == 2
    assert f"    shown 1, skill {digest[:12]}\n" in text


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


def test_a_skill_is_added_edited_shown_and_retired(
    db: Path, skills: Skills, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.md"
    text.write_text("Pull.\n")
    said = skills("add", "--skill", "open-drawers", "--description", "When locked.", "--file", str(text))
    assert said.startswith("open-drawers is at version 1  ")
    second = json.loads(skills("edit", "open-drawers", "--description", "When shut.", "--base", "1", "--json"))
    assert (second["version"], second["parent"], second["body"]) == (2, 1, "Pull.\n")
    assert "is at version 2 and the edit is based on version 1" in skills(
        "edit", "open-drawers", "--file", str(text), "--base", "1", code=1
    )
    shown = skills("show", "open")
    assert f"version 2 (in use) of 2  general\nhash {second['digest']}" in shown
    assert shown.endswith("---\nname: open-drawers\ndescription: When shut.\n---\n\nPull.\n")
    assert "description: When locked." in skills("show", "open-drawers", "--version", "1")
    assert "has no version 7" in skills("show", "open-drawers", "--version", "7", code=2)
    assert "open-drawers              v2    general         When shut." in skills("list")
    assert skills("retire", "open-drawers", "1") == "skill open-drawers retired\nexperience 1 retired\n"
    assert skills("list") == ""
    assert json.loads(skills("list", "--retired", "--json"))[0]["name"] == "open-drawers"
    assert skills("retire", "1", "--back") == "experience 1 in use\n"
    assert "only experiences and skills are retired" in skills("retire", "abc-1", code=2)


def test_an_editor_edits_what_is_in_use_and_a_text_that_cannot_be_kept_is_not_lost(
    db: Path, skills: Skills, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skills("add", "Pull.", "--skill", "open-drawers", "--description", "When locked.")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    assert "name an editor in $EDITOR" in skills("edit", "open-drawers", code=2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("EDITOR", "sed -i s/Pull/Push/")
    assert "is at version 2" in skills("edit", "open-drawers")
    assert list(tmp_path.glob("open-drawers-*.md")) == []
    monkeypatch.setenv("EDITOR", "sed -i s/Push/Turn/")
    said = skills("edit", "open-drawers", "--base", "1", code=1)
    (draft,) = tmp_path.glob("open-drawers-*.md")
    assert f"your text is kept in {draft}" in said
    assert draft.read_text().endswith("Turn.\n")
    draft.unlink()
    monkeypatch.setenv("EDITOR", "sed -i 1d")
    said = skills("edit", "open-drawers", code=2)
    assert "does not begin with front matter" in said
    assert len(list(tmp_path.glob("open-drawers-*.md"))) == 1
    assert len(json.loads(skills("show", "open-drawers", "--json"))["versions"]) == 2


def test_what_add_does_not_understand_is_said(db: Path, skills: Skills, tmp_path: Path) -> None:
    assert "say the text once" in skills("add", "--skill", "a", "--description", "d", code=2)
    assert "needs --description" in skills("add", "x", "--skill", "a", code=2)
    assert "needs --env and --situation" in skills("add", "x", code=2)
    assert "is of a skill" in skills("add", "x", "--env", "e", "--situation", "s", "--description", "d", code=2)
    assert "say --category" in skills("add", "x", "--skill", "a", "--env", "e", code=2)
    assert "cannot be named 'A'" in skills("add", "x", "--skill", "A", "--description", "d", code=1)
    (tmp_path / "bad").write_bytes(b"\xff")
    assert "is no UTF-8 text" in skills(
        "add", "--file", str(tmp_path / "bad"), "--skill", "a", "--description", "d", code=2
    )
    assert "no skill is named 'none'" in skills("edit", "none", "--description", "d", code=1)
    with open_store() as store:
        assert store.skills() == []


def test_lineage_is_told_of_an_entry_and_of_an_episode(db: Path, skills: Skills) -> None:
    with open_store() as store:
        run = store.runs()[0].id
        shown = [NewTurn("o", "t", "open drawer", 0.0, used=(1,))]
        store.add_episodes([(run, an_episode(f"s{i}", turns=shown)) for i in range(3)])
        store.add([NewExperience("textworld", "s", "Ring\x1b the bell.", "skill", 1.0, episode="abc-1", turn=0)])
    text = skills("lineage", "1", "--limit", "2")
    assert "success with it 3/3, without it 1/1, on the same 1 task: +0.0%, 95% interval" in text
    assert "shown in 3 turns, the last 2:\n    s2:0  textworld custom" in text
    assert len(skills("lineage", "1", "--all").splitlines()) == len(text.splitlines()) + 1
    assert json.loads(skills("lineage", "1", "--json"))["effect"]["shown"] == 3
    assert 'taught by abc-1:0 at "open drawer"' in skills("lineage", "2")
    assert "no task has both" in skills("lineage", "2")
    assert "[0] experience 1  " in skills("lineage", "s1")
    assert "turn 0 taught experience 2: Ring\\x1b the bell." in skills("lineage", "abc-1")
    assert "nothing was shown in its 2 turns" in skills("lineage", "abc-1")
    assert json.loads(skills("lineage", "s1", "--json"))["shown"][0]["id"] == "1"
    assert "lineage is of an experience" in skills("lineage", run, code=1)


def test_prune_by_rules_says_what_it_would_do_and_does_it(db: Path, skills: Skills) -> None:
    skills("add", "Find the key!", "--env", "textworld", "--situation", "A locked drawer.", "--score", "0.5")
    dry = json.loads(skills("prune", "--env", "textworld", "--dry-run", "--json"))
    assert dry["merged"] == [{"entry": 2, "into": 1, "cosine": pytest.approx(1.0)}]
    assert skills("prune", "--env", "textworld", "--dry-run").startswith("1 would be retired: 1 merged")
    assert skills("prune", "--env", "textworld", "--merge", "0") == "0 retired\n"
    assert skills("prune", "--env", "textworld").startswith("1 retired: 1 merged\n  2 merged into 1 (cosine 1.000)")
    assert skills("prune", "--env", "textworld", "--capacity-skills", "0").startswith("1 retired: 1 score")
    assert "1 merged, 1 score" in skills("stats")
    assert "unused_days is -1.0" in skills("prune", "--env", "e", "--unused-days", "-1", code=1)


def test_sql_answers_and_only_reads(db: Path, skills: Skills, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        skills("sql", "SELECT id, env, vector IS NULL AS x FROM experiences") == "id  env        x\n1   textworld  0\n"
    )
    assert json.loads(skills("sql", "SELECT x'00ff' AS b, NULL AS n", "--json")) == [{"b": "AP8=", "n": None}]
    assert "it may only read" in skills("sql", "DELETE FROM episodes", code=1)
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 7 AS n"))
    assert skills("sql", "-") == "n\n7\n"
    assert skills("schema") == schema_markdown()
    assert json.loads(skills("schema", "--json"))["uses"]["reward"]["type"] == "Double or null"


def test_skills_go_out_and_in_as_folders(db: Path, skills: Skills, tmp_path: Path) -> None:
    skills("add", "Pull.", "--skill", "open-drawers", "--description", "When locked.", "--category", "textworld")
    out = tmp_path / "out"
    skills("export", str(out), "--folders")
    assert "say --replace" in skills("export", str(out), "--folders", code=2)
    skills("export", str(out), "--folders", "--replace", "--env", "textworld")
    assert "takes no --run" in skills("export", "-", "--folders", code=2)
    other = str(tmp_path / "other.db")
    assert skills("import", str(out), "--db", other) == "1 added, 0 edited, 0 unchanged\n"
    one = out / "open-drawers" / "SKILL.md"
    one.write_text(one.read_text().replace("Pull", "Push"))
    assert skills("import", str(one), "--db", other) == "0 added, 1 edited, 0 unchanged\n"
    one.write_text("Push")
    assert "does not begin with front matter" in skills("import", str(out), "--db", other, code=1)
    (tmp_path / "empty").mkdir()
    assert "holds no SKILL.md" in skills("import", str(tmp_path / "empty"), code=1)


def test_a_database_that_cannot_be_written_is_one_sentence(
    db: Path, skills: Skills, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skills("add", "Pull.", "--skill", "open-drawers", "--description", "When locked.")
    edit = ("edit", "open-drawers", "--description", "When shut.")
    monkeypatch.setattr("skills_db.database.BUSY_TIMEOUT_S", 0.05)
    with open_store() as store, store._database.writing():
        for words in (edit, ("retire", "1"), ("prune", "--env", "textworld")):
            assert "stayed locked by other writers: try again" in skills(*words, code=1)
        assert "v1" in skills("list")
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE skills_db_version SET version_num = '9999'")
    for words in (edit, ("lineage", "1"), ("sql", "SELECT 1")):
        assert "has schema 9999 and this version of turnhalle knows up to" in skills(*words, code=1)


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
    assert page.count("\n## ") == 10

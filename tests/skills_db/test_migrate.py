"""The schema's way forward and back, on both engines."""

from __future__ import annotations

import multiprocessing
import sys
import tomllib
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa

from skills_db.database import connect
from skills_db.errors import NotAStore, StoreError, StoreNewer, StoreOlder
from skills_db.migrate import BASE, VERSION_TABLE, current, head, is_ours, migrate, revisions
from skills_db.models import Base
from skills_db.store import open_store
from skills_db.types import NewEpisode, NewExperience, NewSkill, NewTurn, Query, SkillEdit


def fill(url: str) -> str:
    with open_store(url) as store:
        run = store.add_run("r", {"a": [1, 2]})
        (lesson,) = store.add([NewExperience("e", "a locked drawer", "find the key", "skill", 1.0)])
        first = store.add_skill(NewSkill("dive", "When it is wet.", "Hold your breath.", "e"))
        shown = {"used": (lesson,), "skills": (first.digest,), "generation": 1}
        turns = [NewTurn("a locked drawer", "t", "open drawer", 1.0, prompt_ids=[1, 2], **shown)]  # type: ignore[arg-type]
        store.add_episode(run, NewEpisode("e1", "e", "k", 0, "train", "done", 1.0, True, turns))
    return run


def test_the_migrated_schema_is_that_of_the_models(empty_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    open_store(empty_url).close()
    database = connect(empty_url)
    options = {"include_name": is_ours, "version_table": VERSION_TABLE, "compare_server_default": True}
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
        inspector = sa.inspect(connection)
        for table in Base.metadata.tables.values():
            kept = {check["name"] for check in inspector.get_check_constraints(table.name)}
            assert kept == {item.name for item in table.constraints if isinstance(item, sa.CheckConstraint)}
            deletes = {key["name"]: key["options"].get("ondelete") for key in inspector.get_foreign_keys(table.name)}
            assert deletes == {key.name: key.ondelete for key in table.foreign_key_constraints}
    database.close()


def test_down_and_up_again_with_data_in_place(empty_url: str) -> None:
    fill(empty_url)
    database = connect(empty_url)
    with database.writing() as connection:
        assert migrate(connection, "it", BASE) == (head(), BASE)
    with database.reading() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {VERSION_TABLE}
        assert current(connection, "it") == BASE
    database.close()
    fill(empty_url)
    with open_store(empty_url) as store:
        assert [row.id for row in store.episodes()] == ["e1"]
        assert len(store.find("locked drawer")) == 2


@pytest.mark.parametrize("revision", revisions())
def test_down_to_each_revision_and_up_again_keeps_the_data(empty_url: str, revision: str) -> None:
    run = fill(empty_url)
    database = connect(empty_url)
    with database.writing() as connection:
        assert migrate(connection, "it", revision) == (head(), revision)
    with database.writing() as connection:
        assert migrate(connection, "it") == (revision, head())
    database.close()
    with open_store(empty_url) as store:
        assert store.runs()[0].id == run
        (turn,) = store.episode("e1").turns
        assert (turn.prompt_ids, turn.used, turn.generation) == ([1, 2], (1,), 1 if revision >= "0003" else 0)
        assert [hit.match for hit in store.search(Query("e", "a locked drawer"))] == ["cluster"]
        assert {hit.kind for hit in store.find("locked drawer")} == {"observation", "experience"}
        assert [hit.id for hit in store.find("wet breath")] == ["dive"]
        store.edit_skill("dive", SkillEdit(body="Breathe out."))
        assert [hit.key for hit in store.find("wet out")] == ["v2"]
        assert store.find("hold breath") == []


def test_a_migration_that_fails_leaves_the_old_schema(empty_url: str) -> None:
    database = connect(empty_url)

    def interrupted() -> None:
        with database.writing() as connection:
            migrate(connection, "it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with database.reading() as connection:
        assert sa.inspect(connection).get_table_names() == []
    database.close()
    fill(empty_url)


def test_a_database_newer_than_the_code_is_refused_and_untouched(empty_url: str) -> None:
    fill(empty_url)
    database = connect(empty_url)
    with database.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreNewer, match="has schema 9999 and this version of turnhalle knows up to"):
        open_store(empty_url)
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM episodes")).scalar() == 1
    database.close()


def test_an_older_database_is_not_migrated_behind_a_readers_back(empty_url: str) -> None:
    connect(empty_url).close()
    for options in ({"readonly": True}, {"migrate": False}):
        with pytest.raises(StoreOlder, match="run `skills migrate`"):
            open_store(empty_url, **options)


def test_an_unknown_revision_is_refused(empty_url: str) -> None:
    database = connect(empty_url)
    with (
        pytest.raises(StoreError, match="no schema revision is named '42'; there are: base, 0001"),
        database.writing() as c,
    ):
        migrate(c, "it", "42")
    database.close()


def test_a_database_with_other_tables_is_left_alone(empty_url: str) -> None:
    database = connect(empty_url)
    with database.writing() as connection:
        connection.execute(sa.text("CREATE TABLE runs (distance float)"))
    with pytest.raises(NotAStore, match=r"other tables \(runs\)"):
        open_store(empty_url)
    with database.reading() as connection:
        assert sa.inspect(connection).get_table_names() == ["runs"]
    database.close()


def open_and_add(url: str, barrier: Barrier) -> None:
    barrier.wait(30)
    with open_store(url) as store:
        store.add_run("r", {})


def test_processes_that_open_a_fresh_database_at_once_migrate_it_once(empty_url: str) -> None:
    fork = multiprocessing.get_context("fork")  # no imports to wait for
    barrier = fork.Barrier(4)
    opened = [fork.Process(target=open_and_add, args=(empty_url, barrier)) for _ in range(4)]
    for process in opened:
        process.start()
    for process in opened:
        process.join(60)
        assert process.exitcode == 0
    with open_store(empty_url) as store:
        assert len(store.runs()) == 4


def test_revision_files_are_named_after_their_revisions_and_form_one_line() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(sys.modules["skills_db"].__path__[0]) / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert [item.revision for item in script.walk_revisions()] == revisions()[::-1]
    assert script.get_heads() == [head()]


def test_the_wheel_takes_the_migrations_along() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "skills_db" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

"""Commands that carry a library out of one place and into another: export, import, migrate."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skills_db.command import Embedder, Env, Json, Misuse, Run, Url, print_json, reading, whole_run, writing

if TYPE_CHECKING:
    from skills_db.store import Store

__all__ = ["export", "import_", "migrate"]


def export(
    file: Annotated[Path, typer.Argument(help="JSON lines; - for standard output; with --folders a directory.")],
    env: Env = None,
    run: Run = None,
    no_episodes: Annotated[bool, typer.Option("--no-episodes", help="Experiences and skills alone.")] = False,
    folders: Annotated[
        bool, typer.Option("--folders", help="Skills alone, a folder with a SKILL.md for each; --env is a category.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write over folders that are there.")] = False,
    db: Url = None,
) -> None:
    """Write the library, or a part of it: as JSON lines with its lineage, or its skills as SKILL.md folders."""
    with reading(db) as store:
        if folders:
            if run is not None or str(file) == "-":
                raise Misuse("--folders needs a directory, and takes no --run")
            count = _write_folders(store, file, env, replace)
            print(f"{count} folders in {file}", file=sys.stderr)
            return
        lines = store.export_lines(env=env, run=whole_run(store, run), episodes=not no_episodes)
        if str(file) == "-":
            for line in lines:
                print(line)
            return
        count = _write(file, lines)
    print(f"{count} lines in {file}", file=sys.stderr)


def import_(
    file: Annotated[
        Path, typer.Argument(help="JSON lines of `skills export`, - for standard input; or a SKILL.md folder or many.")
    ],
    embedder: Embedder = None,
    db: Url = None,
    json_: Json = False,
) -> None:
    """Read a library or SKILL.md folders, all or none; what a library finds stays, what a folder finds is edited."""
    folder = file.parent if file.name == "SKILL.md" else file
    if folder.is_dir():
        from skills_db.skill_folder import find_folders, read_folder

        new = [read_folder(each) for each in find_folders(folder)]
        with writing(db) as store:
            counts = store.keep_skills(new)
        if json_:
            print_json(counts)
        else:
            print(", ".join(f"{count} {what}" for what, count in counts.items()))
        return
    with writing(db, embedder=embedder) as store:
        if str(file) == "-":
            added = store.import_lines(sys.stdin.buffer, "standard input")
        else:
            try:
                with file.open("rb") as lines:
                    added = store.import_lines(lines, str(file))
            except OSError as error:
                if error.errno is None:  # the store's, not the file's
                    raise
                raise Misuse(f"{file} cannot be read: {error.strerror}") from error
    if json_:
        print_json(added)
    else:
        print("added " + ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in added.items()))


def migrate(
    to: Annotated[str | None, typer.Option(help="A schema revision, or base; the newest if left out.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Go back, though that drops what the older schema cannot hold.")
    ] = False,
    db: Url = None,
) -> None:
    """Bring the database's schema to a revision."""
    from skills_db import migrate as migration
    from skills_db.database import connect
    from skills_db.store import default_url

    order = [migration.BASE, *migration.revisions()]
    target = migration.head() if to is None else to
    if target not in order:
        raise Misuse(f"no schema revision is named '{target}'; there are: {', '.join(order)}")
    database = connect(default_url() if db is None else db)
    try:
        with database.writing() as connection:
            found = migration.current(connection, database.where)
            if order.index(target) < order.index(found) and not yes:
                raise Misuse(
                    f"going back from {found} to {target} drops what it cannot hold: export first, then say --yes"
                )
            before, after = migration.migrate(connection, database.where, target)
    finally:
        database.close()
    print(f"{database.where}: {before} -> {after}" if before != after else f"{database.where}: {after} already")


def _write(file: Path, lines: Iterable[str]) -> int:
    """Write beside the file and rename, so that nobody reads half an export."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    count = 0
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as out:
            for line in lines:
                out.write(line + "\n")
                count += 1
        partial.replace(file)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise Misuse(f"{file} cannot be written: {error.strerror}") from error
        raise
    return count


def _write_folders(store: Store, directory: Path, category: str | None, replace: bool) -> int:
    from skills_db.skill_folder import write_folders

    found = store.skills(category=category)
    try:
        write_folders(directory, found, replace=replace)
    except OSError as error:
        raise Misuse(f"{directory} cannot be written: {error.strerror}" if error.strerror else str(error)) from error
    return len(found)

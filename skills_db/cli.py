"""The command `skills`: search, show, add, stats, prune, export, import, migrate, path.

Nothing heavy is imported before a command needs it. An error is one sentence on stderr: exit 2 for misuse, 1 for
failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from skills_db.store import Store
    from skills_db.types import NewEpisode

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The memory of runs, in SQL."
)

Url = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="sqlite:///PATH, a path, or postgresql://…; see `skills path`."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Env = Annotated[str | None, typer.Option(help="Only this environment.")]


class Misuse(Exception):
    """Raised for what the caller can put right; its text is the one sentence shown."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line; never returns."""
    asked = sys.argv[1:] if argv is None else argv
    args = [arg for arg in asked if arg != "--debug"]
    try:
        code = app(args, prog_name="skills", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        sys.exit(0)
    except Exception as error:
        if len(args) < len(asked):
            traceback.print_exc()
        # A usage error of typer's; `skills` alone has printed the help and says nothing.
        says = error.format_message() if hasattr(error, "format_message") else str(error) or type(error).__name__
        if says:
            print(f"skills: {' '.join(says.split())}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Misuse) or hasattr(error, "format_message") else 1)
    sys.exit(code if isinstance(code, int) else 0)


@app.callback()
def _root(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """The memory of runs: episodes, turns, statistics, experiences and skills, in SQL."""


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help='Words that must all occur; "…" within for a phrase.')],
    env: Env = None,
    kind: Annotated[str | None, typer.Option(help="observation, action or experience.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Find words in observations, actions and experiences."""
    from skills_db.search import KINDS

    if kind is not None and kind not in KINDS:
        raise Misuse(f"nothing is of kind '{kind}': say {', '.join(KINDS)}")
    with _reading(db) as store:
        found = store.find(" ".join(words), env=env, kind=kind, run=run, limit=limit)
    if json_:
        _print_json([asdict(hit) for hit in found])
        return
    for hit in found:
        place = hit.id if hit.kind == "experience" else f"{hit.id}:{hit.position}"
        print(f"{hit.kind:<11}  {_safe(place)}  {_safe(hit.env)} {_safe(hit.key)}  ({hit.rank:.3g})")
        print(f"    {_safe(hit.snippet)}")
    if not found:
        print("nothing found", file=sys.stderr)


@app.command()
def show(
    id: Annotated[
        str, typer.Argument(metavar="ID", help="Of a run, episode, experience or skill; its beginning will do.")
    ],
    json_: Json = False,
    db: Url = None,
) -> None:
    """Show one run, episode (turn by turn), experience or skill."""
    with _reading(db) as store:
        kind, whole = store.resolve(id)
        record: dict[str, Any]
        match kind:
            case "episode":
                episode = store.episode(whole)
                if not json_:
                    _print_episode(episode)
                    return
                record = asdict(episode)
            case "run":
                record = asdict(store.run(whole))
            case "experience":
                record = asdict(store.experience(int(whole)))
            case _:
                record = asdict(store.skill(whole))
    if json_:
        _print_json({"type": kind, **record})
        return
    print(f"{kind} {_safe(whole)}")
    for name, value in record.items():
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        text = "\n---\n".join(text) if isinstance(text, tuple) else text
        print(f"  {name}: {_safe(str(text))}" if text not in (None, "", ()) else f"  {name}: -")


@app.command()
def add(
    advice: Annotated[str, typer.Argument(help="What to tell the player.")],
    env: Annotated[str, typer.Option(help="Environment it is about.")],
    situation: Annotated[str, typer.Option(help="Observation it is about.")],
    failure: Annotated[bool, typer.Option("--failure", help="A warning instead of a skill.")] = False,
    score: Annotated[float, typer.Option(help="Where it ranks until it is first credited.")] = 1.0,
    level: Annotated[str, typer.Option(help="How general it is, in your words.")] = "",
    db: Url = None,
) -> None:
    """Add an experience and print its number."""
    from skills_db.types import NewExperience

    item = NewExperience(
        env=env, situation=situation, advice=advice, kind="failure" if failure else "skill", score=score, level=level
    )
    with _writing(db) as store:
        print(store.add([item])[0])


@app.command()
def stats(json_: Json = False, db: Url = None) -> None:
    """Count what there is, and how each environment has gone."""
    with _reading(db) as store:
        found, where = store.stats(), store.where
    if json_:
        _print_json({"db": where, **asdict(found)})
        return
    print(where)
    for table, count in found.rows.items():
        print(f"  {table:<16}{count:>10}")
    if found.envs:
        print(f"\n  {'env':<20}{'episodes':>10}{'valid':>8}{'success':>9}{'reward':>9}{'turns':>8}")
    for env in found.envs:
        success = "-" if env.success is None else f"{env.success:.1%}"
        reward = "-" if env.reward is None else f"{env.reward:.3f}"
        print(f"  {_safe(env.env):<20}{env.episodes:>10}{env.valid:>8}{success:>9}{reward:>9}{env.turns:>8.1f}")


@app.command()
def prune(
    env: Annotated[str, typer.Option(help="Environment.")],
    keep: Annotated[int, typer.Option(min=0, help="How many of each kind stay, the best.")],
    db: Url = None,
) -> None:
    """Retire all but the best experiences of an environment; adding one again takes it back up."""
    with _writing(db, create=False) as store:
        print(f"{store.prune(env, keep)} retired")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="JSON lines; - for standard output.")],
    env: Env = None,
    run: Annotated[str | None, typer.Option(help="Only this run; the beginning of its id will do.")] = None,
    no_episodes: Annotated[bool, typer.Option("--no-episodes", help="Experiences and skills alone.")] = False,
    db: Url = None,
) -> None:
    """Write the library, or a part of it, as JSON lines."""
    with _reading(db) as store:
        whole = _run_of(store, run)
        lines = store.export_lines(env=env, run=whole, episodes=not no_episodes)
        if str(file) == "-":
            for line in lines:
                print(line)
            return
        count = _write(file, lines)
    print(f"{count} lines in {file}", file=sys.stderr)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="JSON lines of `skills export`; - for standard input.")],
    db: Url = None,
    json_: Json = False,
) -> None:
    """Read exported JSON lines, all or none; what is there already stays as it is."""
    with _writing(db) as store:
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
        _print_json(added)
    else:
        print("added " + ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in added.items()))


@app.command()
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


@app.command()
def path() -> None:
    """Print where the memory is: $TURNHALLE_DB, or a file under the user's data directory."""
    from skills_db.database import parse_url
    from skills_db.store import default_url

    url = parse_url(default_url())
    print(url.database if url.drivername.startswith("sqlite") else url.render_as_string().replace("+psycopg", ""))


def _reading(url: str | None) -> Store:
    """An open store that is there already; read-only where the file may not be written."""
    from skills_db.errors import StoreReadOnly
    from skills_db.store import open_store

    try:
        return open_store(url, create=False)
    except StoreReadOnly:
        return open_store(url, readonly=True)


def _writing(url: str | None, *, create: bool = True) -> Store:
    from skills_db.store import open_store

    return open_store(url, create=create)


def _run_of(store: Store, prefix: str | None) -> str | None:
    if prefix is None:
        return None
    kind, whole = store.resolve(prefix)
    if kind != "run":
        raise Misuse(f"'{prefix}' is the {kind} {whole}, no run")
    return whole


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


def _print_episode(episode: NewEpisode) -> None:
    reward = "null" if episode.reward is None else f"{episode.reward:g}"
    won = "success" if episode.success else "no success"
    print(f"episode {_safe(episode.id)}  {_safe(episode.env)} {_safe(episode.key)}")
    played = f"seed {episode.seed}, step {episode.step}: {_safe(episode.stop)}"
    print(f"{played}, reward {reward}, {won}, {episode.wall_s:.1f} s")
    if episode.error:
        print(f"error: {_safe(episode.error)}")
    for position, turn in enumerate(episode.turns):
        print(f"\n[{position}] {_safe(turn.observation)}")
        if turn.text and turn.text != turn.action:
            print(f"    said: {_safe(turn.text)}")
        print(f"  > {_safe(turn.action) or '(unparsable) ' + _safe(turn.complaint)}")
        told = [f"reward {turn.reward:g}"] if turn.reward else []
        told += [f"advantage {turn.advantage:.3f}"] if turn.advantage is not None else []
        told += [f"{len(turn.prompt_ids)} + {len(turn.sample_ids)} tokens"] if len(turn.sample_ids) else []
        told += [f"shown {', '.join(map(str, turn.used))}"] if turn.used else []
        if told:
            print(f"    {'; '.join(told)}")
    if episode.closing:
        print(f"\n[end] {_safe(episode.closing)}")


def _safe(text: str) -> str:
    """Text without what a terminal would obey: a world's or a model's escape sequences are shown, not sent."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))

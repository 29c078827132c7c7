"""Commands that look and change nothing: find, show, list, lineage, stats, sql, schema, path."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skills_db.command import Env, Json, Misuse, Run, Url, print_json, reading, safe, whole_run

if TYPE_CHECKING:
    from skills_db.types import NewEpisode, SkillRow

__all__ = ["find", "list_", "path", "schema", "show", "sql", "stats"]


def find(
    words: Annotated[list[str], typer.Argument(help='Words that must all occur; "…" within for a phrase.')],
    env: Env = None,
    kind: Annotated[str | None, typer.Option(help="observation, action, experience or skill.")] = None,
    run: Run = None,
    retired: Annotated[bool, typer.Option("--retired", help="What is retired, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Find words in observations, actions, experiences and skills; with --env, general skills are found, too."""
    from skills_db.search import KINDS

    if kind is not None and kind not in KINDS:
        raise Misuse(f"nothing is of kind '{kind}': say {', '.join(KINDS)}")
    with reading(db) as store:
        whole = whole_run(store, run)
        found = store.find(" ".join(words), env=env, kind=kind, run=whole, retired=retired, limit=limit)
    if json_:
        print_json([asdict(hit) for hit in found])
        return
    for hit in found:
        place = f"{hit.id}:{hit.position}" if hit.kind in ("observation", "action") else hit.id
        print(f"{hit.kind:<11}  {safe(place)}  {safe(hit.env)} {safe(hit.key)}  ({hit.rank:.3g})")
        print(f"    {safe(hit.snippet)}")
    if not found:
        print("nothing found", file=sys.stderr)


def show(
    id: Annotated[
        str, typer.Argument(metavar="ID", help="Of a run, episode, experience or skill; its beginning will do.")
    ],
    version: Annotated[int | None, typer.Option(help="Of a skill; the one in use if left out.")] = None,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Show one run, episode (turn by turn), experience or skill."""
    with reading(db) as store:
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
                skill = store.skill(whole)
                if not json_:
                    _print_skill(skill, version)
                    return
                record = asdict(skill)
    if json_:
        print_json({"type": kind, **record})
        return
    print(f"{kind} {safe(whole)}")
    for name, value in record.items():
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        print(f"  {name}: {safe(str(text))}" if text not in (None, "", ()) else f"  {name}: -")


def list_(
    category: Annotated[str | None, typer.Option(help="Only this category: an environment, a subject.")] = None,
    retired: Annotated[bool, typer.Option("--retired", help="The retired ones, too.")] = False,
    json_: Json = False,
    db: Url = None,
) -> None:
    """List the skills: name, version in use, when to use it."""
    with reading(db) as store:
        found = store.skills(category=category, retired=retired)
    if json_:
        print_json([asdict(skill) for skill in found])
        return
    for skill in found:
        away = "  (retired)" if skill.retired else ""
        print(
            f"{safe(skill.name):<24}  v{skill.current:<3}  {safe(skill.category):<14}  {_line(skill.description)}{away}"
        )
    if not found:
        print("there are no skills", file=sys.stderr)


def stats(json_: Json = False, db: Url = None) -> None:
    """Count what there is, and how each environment has gone."""
    with reading(db) as store:
        found, where = store.stats(), store.where
    if json_:
        print_json({"db": where, **asdict(found)})
        return
    print(where)
    for table, count in found.rows.items():
        print(f"  {table:<16}{count:>10}")
    if found.envs:
        print(f"\n  {'env':<20}{'episodes':>10}{'valid':>8}{'success':>9}{'reward':>9}{'turns':>8}")
    for env in found.envs:
        success = "-" if env.success is None else f"{env.success:.1%}"
        reward = "-" if env.reward is None else f"{env.reward:.3f}"
        print(f"  {safe(env.env):<20}{env.episodes:>10}{env.valid:>8}{success:>9}{reward:>9}{env.turns:>8.1f}")
    if found.levels:
        print(f"\n  {'experiences of':<20}{'kind':<9}{'level':<14}{'live':>6}{'score':>9}  retired")
    for level in found.levels:
        score = "-" if level.score is None else f"{level.score:.3f}"
        away = ", ".join(f"{count} {why}" for why, count in level.retired.items()) or "-"
        print(f"  {safe(level.env):<20}{level.kind:<9}{safe(level.level) or '-':<14}{level.live:>6}{score:>9}  {away}")


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; `skills schema` says of what. - reads standard input.")],
    limit: Annotated[int, typer.Option(min=0, help="At most so many rows.")] = 1000,
    timeout_s: Annotated[float, typer.Option(min=0.001, help="Seconds it may take.")] = 10.0,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Ask the database by hand; the engine keeps the query from writing."""
    asked = sys.stdin.read() if query == "-" else query
    with reading(db) as store:
        table = store.sql(asked, limit=limit, timeout_s=timeout_s)
    if json_:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    else:
        cells = [[_cell(value) for value in row] for row in (table.columns, *table.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if table.more:
        print(f"only the first {limit} rows: ask for more by --limit", file=sys.stderr)


def schema(json_: Json = False) -> None:
    """Print the tables, their columns and what they hold, Markdown."""
    from skills_db.schema_page import schema_columns, schema_markdown

    if json_:
        print_json(schema_columns())
    else:
        print(schema_markdown(), end="")


def path() -> None:
    """Print where the memory is: $TURNHALLE_DB, or a file under the user's data directory."""
    from skills_db.database import parse_url
    from skills_db.store import default_url

    url = parse_url(default_url())
    print(url.database if url.drivername.startswith("sqlite") else url.render_as_string().replace("+psycopg", ""))


def _print_episode(episode: NewEpisode) -> None:
    reward = "null" if episode.reward is None else f"{episode.reward:g}"
    won = "success" if episode.success else "no success"
    print(f"episode {safe(episode.id)}  {safe(episode.env)} {safe(episode.key)}")
    played = f"seed {episode.seed}, step {episode.step}: {safe(episode.stop)}"
    print(f"{played}, reward {reward}, {won}, {episode.wall_s:.1f} s")
    if episode.error:
        print(f"error: {safe(episode.error)}")
    for position, turn in enumerate(episode.turns):
        print(f"\n[{position}] {safe(turn.observation)}")
        if turn.text and turn.text != turn.action:
            print(f"    said: {safe(turn.text)}")
        print(f"  > {safe(turn.action) or '(unparsable) ' + safe(turn.complaint)}")
        told = [f"reward {turn.reward:g}"] if turn.reward else []
        told += [f"advantage {turn.advantage:.3f}"] if turn.advantage is not None else []
        told += [f"{len(turn.prompt_ids)} + {len(turn.sample_ids)} tokens"] if len(turn.sample_ids) else []
        shown = [*map(str, turn.used), *(f"skill {digest[:12]}" for digest in turn.skills)]
        told += [f"shown {', '.join(shown)}"] if shown else []
        if told:
            print(f"    {'; '.join(told)}")
    if episode.closing:
        print(f"\n[end] {safe(episode.closing)}")


def _print_skill(skill: SkillRow, number: int | None) -> None:
    from skills_db.skill_folder import render

    try:
        version = skill.version(number)
    except LookupError as error:
        raise Misuse(str(error)) from error
    state = " (in use)" if version.version == skill.current else ""
    print(
        f"skill {safe(skill.name)}  version {version.version}{state} of {len(skill.versions)}  {safe(skill.category)}"
    )
    print(f"hash {version.digest}, written {version.created}{f', retired {skill.retired}' if skill.retired else ''}")
    for file in version.files:
        print(f"file {safe(file)}")
    print(f"\n{safe(render(version, skill.category))}", end="")


def _line(text: str, chars: int = 80) -> str:
    whole = safe(" ".join(text.split()))
    return whole if len(whole) <= chars else whole[: chars - 1] + "…"


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bytes() | memoryview():
            return f"<{len(value)} bytes>"
        case _:
            return safe(" ".join(str(value).split()))

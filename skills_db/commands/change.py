"""Commands that change the library: add, edit, retire, prune. What was there stays there, as a version or retired."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skills_db.command import Embedder, Json, Misuse, Url, print_json, writing

if TYPE_CHECKING:
    from skills_db.rules import Changes
    from skills_db.types import SkillEdit, SkillRow, SkillVersionRow

__all__ = ["add", "edit", "prune", "retire"]

File = Annotated[Path | None, typer.Option("--file", help="Its text, Markdown; - for standard input.")]
Description = Annotated[str | None, typer.Option(help="When to use the skill, one sentence.")]


def add(
    text: Annotated[str | None, typer.Argument(help="What to tell the player; a skill's may come by --file.")] = None,
    env: Annotated[str | None, typer.Option(help="Environment the advice is about.")] = None,
    situation: Annotated[str | None, typer.Option(help="Observation the advice is about.")] = None,
    failure: Annotated[bool, typer.Option("--failure", help="A warning instead of advice.")] = False,
    score: Annotated[float, typer.Option(help="Where the advice ranks until it is first credited.")] = 1.0,
    level: Annotated[str, typer.Option(help="How general the advice is, in your words.")] = "",
    skill: Annotated[str | None, typer.Option("--skill", metavar="NAME", help="Add a skill of this name.")] = None,
    description: Description = None,
    category: Annotated[str, typer.Option(help="Where the skill applies: an environment, a subject.")] = "general",
    file: File = None,
    embedder: Embedder = None,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Add advice for a situation and print its number, or with --skill a skill and print its version."""
    from skills_db.types import NewExperience, NewSkill

    said = text if file is None else _text(file)
    if said is None or (text is not None and file is not None):
        raise Misuse("say the text once: as an argument, or by --file")
    if skill is not None:
        if env is not None or situation is not None or failure:
            raise Misuse("--env, --situation and --failure are of advice, and a skill has none: say --category")
        if description is None:
            raise Misuse("a skill needs --description: when to use it, one sentence")
        with writing(db) as store:
            _print_version(store.add_skill(NewSkill(skill, description, said, category=category)), json_)
        return
    if env is None or situation is None:
        raise Misuse("advice needs --env and --situation, which say when it is shown; a skill needs --skill NAME")
    if description is not None:
        raise Misuse("--description is of a skill: say --skill NAME")
    item = NewExperience(
        env=env, situation=situation, advice=said, kind="failure" if failure else "skill", score=score, level=level
    )
    with writing(db, embedder=embedder) as store:
        (id,) = store.add([item])
    if json_:
        print_json({"type": "experience", "id": id})
    else:
        print(id)


def edit(
    name: Annotated[str, typer.Argument(help="Of the skill.")],
    file: File = None,
    description: Description = None,
    category: Annotated[str | None, typer.Option(help="Where it applies.")] = None,
    base: Annotated[
        int | None, typer.Option(min=1, help="The version your text was made from: refused where another is in use.")
    ] = None,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Write a new version of a skill: from --file, else in $EDITOR."""
    from skills_db.errors import EditConflict
    from skills_db.types import SkillEdit

    with writing(db, create=False) as store:
        if file is not None or description is not None or category is not None:
            body = None if file is None else _text(file)
            change, draft = SkillEdit(body=body, description=description, category=category), None
        else:
            skill = store.skill(name)
            base = skill.current if base is None else base
            change, draft = _edited(skill)
        try:
            _print_version(store.edit_skill(name, change, base), json_)
        except EditConflict as error:
            raise EditConflict(f"{error}{f'; your text is kept in {draft}' if draft else ''}") from error
        except BaseException as error:
            if draft:
                print(f"skills: your text is kept in {draft}", file=sys.stderr)
            raise error
    if draft:
        draft.unlink()


def retire(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Numbers of experiences, names of skills.")],
    back: Annotated[bool, typer.Option("--back", help="Take them up again.")] = False,
    db: Url = None,
) -> None:
    """Put experiences or skills away: they are shown no more, and their history stays."""
    with writing(db, create=False) as store:
        found = [store.resolve(id) for id in ids]
        for kind, whole in found:
            if kind not in ("experience", "skill"):
                raise Misuse(f"'{whole}' is of kind {kind}, and only experiences and skills are retired")
        for kind, whole in found:
            changed = store.retire(kind, whole, back=back)
            print(f"{kind} {whole} {'' if changed else 'already '}{'in use' if back else 'retired'}")


def prune(
    env: Annotated[str, typer.Option(help="Environment.")],
    keep: Annotated[
        int | None, typer.Option(min=0, help="Only this: so many of each kind stay, the best; no other rule.")
    ] = None,
    capacity_skills: Annotated[int, typer.Option(min=0, help="Of kind `skill`, a level.")] = 100,
    capacity_failures: Annotated[int, typer.Option(min=0, help="Of kind `failure`, a level.")] = 50,
    merge: Annotated[float, typer.Option(help="Cosine from which two pieces of advice are one; 0 merges none.")] = 0.85,
    unused_days: Annotated[float | None, typer.Option(help="Retire what was not shown for so long.")] = None,
    unused_episodes: Annotated[
        int | None, typer.Option(min=1, help="Retire what was not shown in so many last episodes.")
    ] = None,
    harmful: Annotated[
        float, typer.Option(help="Retire what lowers success, with this confidence for all at once; 0: none.")
    ] = 0.95,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    embedder: Embedder = None,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Retire what is harmful, unused, said twice or beyond capacity; nothing is deleted."""
    from skills_db.rules import Rules

    if keep is not None and dry_run:
        raise Misuse("--keep has no dry run: leave one of the two out")
    with writing(db, create=False, embedder=embedder) as store:
        if keep is not None:
            count = store.prune(env, keep)
            if json_:
                print_json({"retired": {"pruned": count}})
            else:
                print(f"{count} retired")
            return
        rules = Rules(
            capacity_skills=capacity_skills,
            capacity_failures=capacity_failures,
            merge=merge or None,
            unused_days=unused_days,
            unused_episodes=unused_episodes,
            harmful=harmful or None,
        )
        changes = store.forget(env, rules, dry_run=dry_run)
    if json_:
        print_json(asdict(changes))
    else:
        _print_changes(changes, "would be retired" if dry_run else "retired")


def _print_changes(changes: Changes, done: str) -> None:
    gone = [f"{len(ids)} {why}" for why, ids in changes.retired.items()]
    gone += [f"{len(changes.merged)} merged"] if changes.merged else []
    count = len(changes.merged) + sum(len(ids) for ids in changes.retired.values())
    print(f"{count} {done}" + (f": {', '.join(gone)}" if gone else ""))
    for pair in changes.merged:
        print(f"  {pair.entry} merged into {pair.into} (cosine {pair.cosine:.3f})")
    for why, ids in changes.retired.items():
        print(f"  {why}: {', '.join(map(str, ids))}")


def _print_version(version: SkillVersionRow, json_: bool) -> None:
    if json_:
        print_json({"type": "skill", **asdict(version)})
    else:
        print(f"{version.skill} is at version {version.version}  {version.digest}")


def _edited(skill: SkillRow) -> tuple[SkillEdit, Path]:
    """What the user made of the SKILL.md in use, and the file with it, which stays where it cannot be kept."""
    from skills_db.errors import BadRecord
    from skills_db.skill_folder import parse, render
    from skills_db.types import SkillEdit

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise Misuse("say the new text by --file, or name an editor in $EDITOR")
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{skill.name[:40]}-", suffix=".md", delete=False, encoding="utf-8"
    ) as out:
        out.write(render(skill.version(), skill.category))
    draft = Path(out.name)
    if subprocess.run([*shlex.split(editor), str(draft)], check=False).returncode:
        raise Misuse(f"the editor '{editor}' failed; your text is kept in {draft}")
    try:
        new = parse(draft.read_text(encoding="utf-8"), str(draft))
    except (BadRecord, UnicodeDecodeError) as error:
        raise Misuse(f"{error}; your text is kept there") from error
    if new.name != skill.name:
        raise Misuse(f"a skill keeps its name ({skill.name}), and {draft} says '{new.name}'; your text is kept there")
    return SkillEdit(body=new.body, description=new.description, category=new.category, front=new.front), draft


def _text(file: Path) -> str:
    try:
        return sys.stdin.buffer.read().decode() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise Misuse(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misuse(f"{file} is no UTF-8 text (byte {error.start}): save it as UTF-8") from error

"""The command `skills search`: experiences and skills for a situation or for words, and why each stands there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from skills_db.command import Embedder, Env, Json, Run, Url, print_json, reading, safe, whole_run

if TYPE_CHECKING:
    from skills_db.hybrid import Place
    from skills_db.store import Store

__all__ = ["search"]


def search(
    words: Annotated[list[str], typer.Argument(help="A situation, or words.")],
    env: Env = None,
    kind: Annotated[str | None, typer.Option(help="Only experiences of this kind: skill or failure.")] = None,
    level: Annotated[str | None, typer.Option(help="Only experiences of this level.")] = None,
    run: Run = None,
    score: Annotated[float | None, typer.Option(help="Only experiences with this score or more.")] = None,
    newer: Annotated[
        datetime | None, typer.Option(help="Only what was added then or later; a day or a time, UTC.")
    ] = None,
    older: Annotated[datetime | None, typer.Option(help="Only what was added before; a day or a time, UTC.")] = None,
    category: Annotated[str | None, typer.Option(help="Only skills of this category.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many experiences at most, and skills.")] = 10,
    embedder: Embedder = None,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Search experiences and skills by words, vectors and the situation's cluster, the best first, and say why."""
    from skills_db.hybrid import Wanted

    text = " ".join(words)
    since, before = (moment and moment.replace(tzinfo=UTC) for moment in (newer, older))
    with reading(db, embedder=embedder) as store:
        wanted = Wanted(env, kind, level, whole_run(store, run), score, since, before, limit)
        experiences = store.look(text, wanted)
        skills = store.find_skills(text, wanted, category=category)
        if not any(place.ranking == "vector" for one in experiences for place in one.places):
            _tell_other_embedders(store)
    if json_:
        print_json({"experiences": experiences, "skills": skills})
        return
    for one in experiences:
        print(f"experience {one.id}  {safe(one.env)} {one.kind}  score {one.score:.3g}  ({_why(one.places)})")
        print(f"    {safe(one.snippet)}")
    for skill in skills:
        print(f"skill {safe(skill.skill)} v{skill.version}  {safe(skill.category)}  ({_why(skill.places)})")
        print(f"    {safe(skill.snippet)}")
    if not experiences and not skills:
        print("nothing found", file=sys.stderr)


def _tell_other_embedders(store: Store) -> None:
    """Say why no vector was compared, where others made them all."""
    made_by = [str(name) for (name,) in store.sql("SELECT DISTINCT embedder FROM clusters ORDER BY 1").rows]
    if made_by and store.embedder not in made_by:
        others = " and ".join(made_by)
        print(f"no vector of an experience is compared: they are {others}'s, not {store.embedder}'s", file=sys.stderr)


def _why(places: Sequence[Place]) -> str:
    """Where it stands in each ranking, and what that ranking is by."""
    return ", ".join(f"{place.ranking} {place.rank}: {place.value:.3g}" for place in places)

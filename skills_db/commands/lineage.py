"""The command `skills lineage`: where an entry comes from and how it went with it; what an episode was shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from skills_db.command import Json, Url, print_json, reading, safe

if TYPE_CHECKING:
    from skills_db.effect import Effect
    from skills_db.lineage import EntryLineage, EpisodeLineage, Origin

__all__ = ["lineage"]


def lineage(
    id: Annotated[str, typer.Argument(metavar="ID", help="Of an experience, a skill or an episode.")],
    limit: Annotated[int, typer.Option(min=0, help="At most so many showings, the newest.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Every showing.")] = False,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Show what taught an entry, its versions, where it was shown, and success with it against success without it."""
    with reading(db) as store:
        found = store.lineage(id, None if everything else limit)
    if json_:
        print_json(asdict(found))
    elif found.type == "episode":
        _print_episode(found)
    else:
        _print_entry(found)


def _print_entry(found: EntryLineage) -> None:
    print(f"{found.type} {safe(found.id)}: {_line(found.text)}")
    print(f"  written {found.created}{_taught(found.taught_by)}")
    if found.retired:
        into = f", into {found.merged_into}" if found.merged_into is not None else ""
        print(f"  retired {found.retired}{f' ({found.retired_why}{into})' if found.retired_why else ''}")
    for part in found.merged:
        print(f"  merged with {part.id}: {_line(part.advice)}{_taught(part.taught_by)}")
    for link in found.links:
        print(f"  linked since {link.created} to {_line(link.situation)} (cosine {link.similarity:.3f})")
    for version in found.versions:
        state = ", in use" if version.in_use else ""
        parent = f", from version {version.parent}" if version.parent else ""
        print(f"\n  version {version.version}{state}{parent}  {version.digest[:12]}  {version.created}")
        if version.taught_by:
            print(f"    {_taught(version.taught_by).removeprefix(', ')}")
        for line in version.diff.splitlines():
            print(f"    {safe(line)}")
        print(f"    {_effect(version.effect)}")
    print(f"\n  {_effect(found.effect)}")
    if found.credits:
        print(f"  credited {found.credits} times without a turn, mean {found.credits_mean:.3f}")
    print(f"  shown in {found.shown} turns" + (f", the last {len(found.showings)}:" if found.showings else ""))
    for showing in found.showings:
        version_shown = f"v{showing.version}  " if showing.version else ""
        credited = "-" if showing.credited is None else f"{showing.credited:g}"
        won = "won" if showing.success else "lost" if showing.reward is not None else "not valid"
        place = f"{safe(showing.episode)}:{showing.turn}  {safe(showing.env)} {safe(showing.key)}  step {showing.step}"
        print(f"    {place}  {version_shown}{won}, credited {credited}")


def _print_episode(found: EpisodeLineage) -> None:
    reward = "null" if found.reward is None else f"{found.reward:g}"
    won = "success" if found.success else "no success"
    print(f"episode {safe(found.id)}  {safe(found.env)} {safe(found.key)}, step {found.step}: reward {reward}, {won}")
    for turn in range(found.turns):
        for shown in (each for each in found.shown if each.turn == turn):
            version = f" v{shown.version}" if shown.version else ""
            credited = "" if shown.credited is None else f"  credited {shown.credited:g}"
            print(f"  [{turn}] {shown.type} {safe(shown.id)}{version}  {shown.digest[:12]}{credited}")
            print(f"      {_line(shown.text)}")
    if not found.shown:
        print(f"  nothing was shown in its {found.turns} turns")
    for lesson in found.taught:
        version = f" v{lesson.version}" if lesson.version else ""
        place = "it" if lesson.turn is None else f"turn {lesson.turn}"
        print(f"  {place} taught {lesson.type} {safe(lesson.id)}{version}: {_line(lesson.text)}")


def _taught(origin: Origin | None) -> str:
    if origin is None:
        return ""
    place = safe(origin.episode) + ("" if origin.turn is None else f":{origin.turn}")
    if not origin.kept:
        return f", taught by {place} (not kept here)"
    did = f' at "{_line(origin.action, 40)}"' if origin.action else ""
    return f", taught by {place}{did} ({safe(origin.env)} {safe(origin.key)}, step {origin.step})"


def _effect(effect: Effect) -> str:
    if effect.difference is None or effect.low is None or effect.high is None:
        alone = f"; shown in {effect.unmatched} valid episodes, of tasks never played without it"
        return "success with it against without it: no task has both" + (alone if effect.unmatched else "")
    said = (
        f"success with it {effect.shown_won}/{effect.shown}, without it {effect.other_won}/{effect.other}, on the same "
        f"{effect.tasks} tasks: {effect.difference:+.1%}, {effect.confidence:.0%} interval {effect.low:+.1%} to "
        f"{effect.high:+.1%} (Newcombe)"
    )
    return said.replace("1 tasks", "1 task") if effect.tasks == 1 else said


def _line(text: str, chars: int = 90) -> str:
    whole = safe(" ".join(text.split()))
    return whole if len(whole) <= chars else whole[: chars - 1] + "…"

"""How an agent behaves, beside what it earns: refused and repeated actions, tags, success by type of task.

Rule: a number that says nothing here is left out: tags where the format has none, types where worlds name none. Ours,
as RLVMR (arXiv 2507.22844) does not say how it counts: a turn repeats where its action was taken before in the episode
while the same was shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from agents.conduct import accepted, said, shown
from agents.types import Episode
from trainers.algorithms.base import Metrics

__all__ = ["conduct", "task_type"]


def conduct(episodes: Sequence[Episode]) -> Metrics:
    """Shares over all turns of these episodes but summaries, and over the episodes of a type."""
    turns = refused = repeated = 0
    tags: Counter[str] = Counter()
    for episode in episodes:
        done: set[tuple[str, str]] = set()
        for turn, before in zip(episode.turns, shown(episode), strict=True):
            if turn.prompt.kind != "act":
                continue
            turns += 1
            refused += not accepted(turn, before)
            tags[turn.reply.tag or "none"] += 1
            if turn.reply.action is not None:
                repeated += (before.text, said(turn)) in done
                done.add((before.text, said(turn)))
    found: Metrics = {}
    if turns:
        found |= {"action/refused_share": refused / turns, "action/repeated_share": repeated / turns}
    if tags.keys() - {"none"}:
        found |= {f"tag/{tag}": count / turns for tag, count in tags.items()}
    return found | _by_type(episodes)


def task_type(episode: Episode) -> str | None:
    """The type its world gives a task, for people to read; None where it gives none."""
    opening = [episode.opened.result] if episode.opened else []
    for result in (*opening, *(turn.result for turn in episode.turns)):
        if result is not None and isinstance(kind := result.info.get("task_type"), str):
            return kind
    return None


def _by_type(episodes: Iterable[Episode]) -> Metrics:
    found: dict[str, list[bool]] = {}
    for episode in episodes:
        if (kind := task_type(episode)) is not None:
            found.setdefault(kind, []).append(episode.success)
    return {f"success_of/{kind}": sum(won) / len(won) for kind, won in sorted(found.items())}

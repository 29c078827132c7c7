"""What notes cost a rollout, measured on a small one."""

from __future__ import annotations

from trainers.bench_notes import as_table, what_notes_cost


def test_looking_up_plays_what_is_played_without_notes_and_showing_reads_more() -> None:
    none, looked_up, shown = what_notes_cost(tasks=1, entries=40, rounds=1)
    assert none.searches == 0 < looked_up.searches == shown.searches
    assert none.prompt_tokens == looked_up.prompt_tokens < shown.prompt_tokens
    assert min(row.wall_s for row in (none, looked_up, shown)) > 0
    lines = as_table([none, looked_up, shown]).splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("| none |")

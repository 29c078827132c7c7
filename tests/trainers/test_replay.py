"""Episodes of a run read back from memory."""

from __future__ import annotations

import by_hand
import pytest
import runs

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from skills_db.errors import UnknownRecord
from trainers.plugged import BadConfig
from trainers.remember import recalled, remembered
from trainers.replay import replay
from trainers.run import Run


def test_the_last_episode_is_shown_unless_another_is_asked_for(tiny_run: Run) -> None:
    with runs.memory(tiny_run.config()) as store:
        newest, oldest = store.episodes(limit=1)[0], store.episodes(limit=1, newest=False)[0]
    assert newest.id in replay(tiny_run.directory, None, tokens=False).splitlines()[0]
    assert newest.id in replay(tiny_run.directory, "-1", tokens=False)
    assert oldest.id in replay(tiny_run.directory, "0", tokens=False)
    assert oldest.id in replay(tiny_run.directory, oldest.id, tokens=False)
    assert "The way out is the" in replay(tiny_run.directory, "0", tokens=False)


def test_tokens_come_with_piece_log_probability_and_advantage(tiny_run: Run) -> None:
    with runs.memory(tiny_run.config()) as store:
        row = next(row for row in store.episodes(split="train", limit=None) if row.turns)
        turn = store.episode(row.id).turns[0]
    text = replay(tiny_run.directory, row.id, tokens=True)
    assert "logprob  advantage  piece" in text
    line = next(line for line in text.splitlines() if line.split()[:1] == [str(turn.sample_ids[0])])
    assert f"{turn.logprobs[0]:.4f}" in line
    assert f"{turn.advantage:+.3f}" in line
    assert "'" in line


@pytest.mark.parametrize("number", ["100000", "-100000"])
def test_a_number_that_was_not_played_is_refused(tiny_run: Run, number: str) -> None:
    with pytest.raises(BadConfig, match=f"no episode number {number}"):
        replay(tiny_run.directory, number, tokens=False)


def test_an_unknown_id_is_refused(tiny_run: Run) -> None:
    with pytest.raises(UnknownRecord):
        replay(tiny_run.directory, "no-such-episode", tokens=False)


def test_what_memory_keeps_comes_back(tiny_run: Run) -> None:
    episode = by_hand.episode([0.25, 1.0], tokens=3)
    shown = Prompt([], used=(7,), skills=("beef",), generation=2)
    complaint = Turn(shown, Move([1], Sample([5], [-0.5], "stop", 1.0, 0), "?"), Reply(None, "", "no command"), None)
    played = Episode(episode.task, [episode.turns[0], complaint, episode.turns[1]], StopReason.DONE, id="e", wall_s=2.0)
    found, advantages = recalled(remembered(played, split="train", step=3))
    assert advantages is None
    assert found.rewards == [0.25, 0.0, 1.0]
    assert [turn.result and turn.result.observation.text for turn in found.turns] == [".", None, "."]
    assert found.turns[1].result is None
    assert [turn.prompt for turn in found.turns] == [Prompt([]), shown, Prompt([])]
    assert found.turns[1].reply == Reply(None, "", "no command")
    assert [turn.move.sample.ids for turn in found.turns] == [turn.move.sample.ids for turn in played.turns]
    assert (found.stop, found.reward, found.success, found.wall_s) == (StopReason.DONE, 1.25, False, 2.0)

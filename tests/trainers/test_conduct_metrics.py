"""Shares of turns and of types, counted by hand."""

import pytest
from tagged import told

from agents.types import Prompt, Turn
from trainers.conduct import conduct
from trainers.metrics import MetricsLog, UndeclaredMetric, read

REFUSED = "Nothing happens."


def test_refused_actions_are_those_not_accepted_and_those_not_read():
    episode = told(("", "go", "."), ("", "fly", REFUSED), ("", "", ""), ("", "on", "."))
    assert conduct([episode])["action/refused_share"] == 0.5


def test_an_action_repeats_where_the_same_was_shown():
    # go A, go B, go A, go B: the third and the fourth turn go round again.
    loop = told(("", "go to a", "A"), ("", "go to b", "B"), ("", "go to a", "A"), ("", "go to b", "B"), opening="B")
    assert conduct([loop])["action/repeated_share"] == 0.5
    # The same words elsewhere are another thing to do.
    there = told(("", "open", "A"), ("", "open", "B"))
    assert conduct([there])["action/repeated_share"] == 0.0


def test_episodes_do_not_repeat_one_another():
    episode = told(("", "go", "."))
    assert conduct([episode, episode])["action/repeated_share"] == 0.0


def test_tags_are_shares_of_all_turns():
    found = conduct([told(("planning", "a", "."), ("monitor", "b", ".")), told(("monitor", "a", "."), ("", "", ""))])
    shares = {name: value for name, value in found.items() if name.startswith("tag/")}
    assert shares == {"tag/planning": 0.25, "tag/monitor": 0.5, "tag/none": 0.25}


def test_a_format_without_tags_has_no_shares_of_them():
    assert not [name for name in conduct([told(("", "a", "."))]) if name.startswith("tag/")]


def test_success_is_told_by_type_of_task():
    episodes = [
        told(("", "a", "."), kind="heat", success=True),
        told(("", "a", "."), kind="heat"),
        told(("", "a", "."), kind="cool", success=True),
        told(("", "a", "."), success=True),
    ]
    found = {name: value for name, value in conduct(episodes).items() if name.startswith("success_of/")}
    assert found == {"success_of/cool": 1.0, "success_of/heat": 0.5}


def test_summaries_are_no_actions():
    episode = told(("", "", ""), ("", "go", "."))
    first = episode.turns[0]
    episode.turns[0] = Turn(Prompt([], kind="summary"), first.move, first.reply, None)
    assert conduct([episode])["action/refused_share"] == 0.0


def test_nothing_is_said_of_nothing():
    assert conduct([]) == {}


def test_every_type_and_tag_may_be_logged_and_nothing_else_beside_them(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    values = {"success_of/heat": 0.5, "tag/planning": 0.1, "eval/tag/none": 0.2, "untrained/success_of/cool": 1.0}
    log.write(1, values)
    with pytest.warns(UndeclaredMetric, match="eval/elsewhere/heat"):
        log.write(2, {"eval/elsewhere/heat": 1.0})
    log.close()
    assert next(iter(read(tmp_path / "metrics.jsonl"))) == {"step": 1, **values}

"""From an entry to its play and back, on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_store import an_episode, growing_turns

from skills_db.errors import UnknownRecord
from skills_db.lineage import EntryLineage, EpisodeLineage
from skills_db.store import Store
from skills_db.types import DEMONSTRATION, NewExperience, NewSkill, NewTurn, SkillEdit


def turn(used: tuple[int, ...] = (), skills: tuple[str, ...] = ()) -> NewTurn:
    return replace(growing_turns(1)[0], used=used, skills=skills)


def entry(found: EntryLineage | EpisodeLineage) -> EntryLineage:
    assert isinstance(found, EntryLineage)
    return found


@pytest.fixture
def run(store: Store) -> str:
    return store.add_run("r", {})


def test_an_experience_names_its_play_its_showings_and_how_it_went(store: Store, run: str) -> None:
    store.add_episode(run, an_episode("taught", key="other"))
    (one,) = store.add([NewExperience("textworld", "a drawer", "find the key", "skill", 1.0, episode="taught", turn=2)])
    for i in range(4):
        store.add_episode(run, an_episode(f"with{i}", turns=[turn(), turn((one,)), turn((one,))], success=i < 3))
        store.add_episode(run, an_episode(f"without{i}", success=i < 1))
    store.add_episode(run, an_episode("broken", turns=[turn((one,))], reward=None, success=False))
    store.add_episode(run, an_episode("alone", key="never without", turns=[turn((one,))]))
    store.credit([one], 0.5, "with3")
    store.credit([one], 0.25)
    found = entry(store.lineage(str(one)))
    assert (found.type, found.id, found.text, found.retired) == ("experience", str(one), "find the key", None)
    assert found.taught_by is not None
    assert (found.taught_by.episode, found.taught_by.turn, found.taught_by.kept) == ("taught", 2, True)
    assert (found.taught_by.run, found.taught_by.key, found.taught_by.action) == (run, "other", "open drawer 2")
    assert found.shown == 10
    newest = found.showings[0]
    assert (newest.episode, newest.turn, newest.step, newest.credited) == ("alone", 0, 4, None)
    assert [(each.turn, each.credited) for each in found.showings if each.episode == "with3"] == [(2, 0.5), (1, 0.5)]
    assert (found.credits, found.credits_mean) == (1, 0.25)
    effect = found.effect
    assert (effect.tasks, effect.shown, effect.shown_won, effect.other, effect.other_won) == (1, 4, 3, 4, 1)
    assert effect.unmatched == 1
    assert effect.difference == 0.5
    assert effect.low is not None
    assert effect.low < 0 < 0.5 < (effect.high or 0)
    assert len(entry(store.lineage(str(one), limit=3)).showings) == 3
    assert entry(store.lineage(str(one), limit=3)).shown == 10


def test_a_demonstration_teaches_and_counts_for_nobody(store: Store, run: str) -> None:
    store.add_episode(run, an_episode("played", turns=[turn()], success=False, step=0))
    before = store.stats().envs, store.task_stats()
    for number in range(2):
        store.add_episode(run, an_episode(f"expert{number}", split=DEMONSTRATION, reward=9.0, step=0))
    (one,) = store.add([NewExperience("textworld", "a drawer", "take it", "skill", 1.0, episode="expert0", turn=1)])
    store.add_episode(run, an_episode("with", turns=[turn((one,))], step=1))
    found = entry(store.lineage(str(one)))
    assert found.taught_by is not None
    assert (found.taught_by.kept, found.taught_by.reward, found.taught_by.turn) == (True, 9.0, 1)
    assert (found.effect.shown, found.effect.other, found.effect.other_won) == (1, 1, 0)
    store.rewind(run, 0)
    assert (store.stats().envs, store.task_stats()) == before
    assert store.stats().rows["episodes"] == 3


def test_a_skill_tells_its_versions_apart(store: Store, run: str) -> None:
    first = store.add_skill(NewSkill("open-drawers", "When a drawer is locked.", "Pull.\n", episode="gone", turn=1))
    edit = SkillEdit(body="Find the key.\nPull.\n", files={"a.txt": b"x"}, episode="e-first", turn=0)
    store.add_episode(run, an_episode("e-first", turns=[turn(skills=(first.digest,))], success=False))
    second = store.edit_skill("open-drawers", edit, base=1)
    store.add_episode(run, an_episode("e-second", turns=[turn(skills=(second.digest,)), turn(skills=(second.digest,))]))
    store.add_episode(run, an_episode("e-none", success=False))
    found = entry(store.lineage("open-drawers"))
    one, two = found.versions
    assert (one.version, one.parent, one.in_use, one.diff) == (1, None, False, "")
    assert (two.version, two.parent, two.in_use, two.digest) == (2, 1, True, second.digest)
    assert two.diff.splitlines()[-4:] == [" ", "+Find the key.", " Pull.", "file a.txt added"]
    assert one.taught_by is not None
    assert (one.taught_by.episode, one.taught_by.kept, one.taught_by.run) == ("gone", False, "")
    assert two.taught_by is not None
    assert (two.taught_by.episode, two.taught_by.kept, two.taught_by.run) == ("e-first", True, run)
    assert [(each.episode, each.turn, each.version) for each in found.showings] == [
        ("e-second", 1, 2),
        ("e-second", 0, 2),
        ("e-first", 0, 1),
    ]
    # A version stands against the episodes without any version: `e-none`, and not `e-first`.
    assert (two.effect.shown, two.effect.shown_won, two.effect.other, two.effect.other_won) == (1, 1, 1, 0)
    assert (one.effect.shown, one.effect.shown_won, one.effect.other) == (1, 0, 1)
    assert (found.effect.shown, found.effect.shown_won, found.effect.other) == (2, 1, 1)


def test_an_episode_says_turn_by_turn_what_it_was_shown_and_what_it_taught(store: Store, run: str) -> None:
    one, two = store.add(
        [
            NewExperience("textworld", "s", "first", "skill", 1.0),
            NewExperience("textworld", "s", "mind", "failure", 0.0),
        ]
    )
    skill = store.add_skill(NewSkill("a", "When it is a.", "Do a."))
    shown = [turn((two, one), (skill.digest,)), turn(), turn((one,))]
    store.add_episode(run, an_episode("e1", turns=shown))
    assert store.episode("e1").turns[0].skills == (skill.digest,)
    (lesson,) = store.add([NewExperience("textworld", "s", "later", "skill", 1.0, episode="e1", turn=1)])
    store.edit_skill("a", SkillEdit(body="Do b.", description="When it is b.", episode="e1", turn=2))
    store.credit([one], 1.0, "e1")
    found = store.lineage("e1")
    assert isinstance(found, EpisodeLineage)
    assert [(each.turn, each.type, each.id, each.version, each.credited) for each in found.shown] == [
        (0, "experience", str(two), None, None),
        (0, "experience", str(one), None, 1.0),
        (0, "skill", "a", 1, None),
        (2, "experience", str(one), None, 1.0),
    ]
    assert (found.shown[2].digest, found.shown[2].text) == (skill.digest, "When it is a.")
    assert [(each.turn, each.type, each.id, each.version, each.text) for each in found.taught] == [
        (1, "experience", str(lesson), None, "later"),
        (2, "skill", "a", 2, "When it is b."),
    ]


def test_what_was_never_shown_has_no_effect_and_what_is_not_there_is_said(store: Store, run: str) -> None:
    (one,) = store.add([NewExperience("e", "s", "a", "skill", 1.0)])
    found = entry(store.lineage(str(one)))
    assert (found.taught_by, found.shown, found.effect.tasks, found.effect.difference) == (None, 0, 0, None)
    with pytest.raises(UnknownRecord, match="begins with 'x'"):
        store.lineage("x")
    with pytest.raises(UnknownRecord, match="is a run, and lineage is of an experience, a skill or an episode"):
        store.lineage(run)

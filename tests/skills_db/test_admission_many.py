"""Sixteen processes write into one library at once and lose nothing."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from multiprocessing.synchronize import Barrier

import pytest
import sqlalchemy as sa
from test_store import an_episode, growing_turns

from skills_db.errors import EditConflict
from skills_db.models import Experience, Skill, Use
from skills_db.rules import Rules
from skills_db.store import open_store
from skills_db.types import NewExperience, NewSkill, SkillEdit

WRITERS, ROUNDS, CAPACITY = 16, 5, 60


def write(url: str, name: str, barrier: Barrier) -> None:
    with open_store(url) as store:
        run = store.add_run(name, {})
        barrier.wait(60)
        for i in range(ROUNDS):
            word = f"w{name}x{i}"
            own = [NewExperience("own", f"s {word}", f"advice {word} {j}", "skill", 1.0) for j in range(2)]
            shared = [NewExperience("shared", f"s {word}", f"advice {word}", "skill", float(i))]
            changes = store.admit(own, Rules(merge=None, capacity_skills=None))
            assert len(changes.admitted) == 2
            store.admit(shared, Rules(merge=None, capacity_skills=CAPACITY))
            while True:
                base = store.skill("joint").current
                try:
                    kept = store.edit_skill("joint", SkillEdit(body=f"text {word}"), base=base)
                    break
                except EditConflict:
                    continue
            turns = [replace(growing_turns(1)[0], used=changes.admitted, skills=(kept.digest,))]
            store.add_episode(run, an_episode(word, turns=turns))
            store.credit(changes.admitted, 0.5, word)
            store.credit([1], 1.0)
            store.forget("shared", Rules(capacity_skills=CAPACITY, merge=None))


@pytest.mark.slow
def test_sixteen_writers_lose_nothing(url: str) -> None:
    with open_store(url) as store:
        store.add([NewExperience("own", "s", "of all", "skill", 1.0)])
        store.add_skill(NewSkill("joint", "When all write.", "begin"))
    fork = multiprocessing.get_context("fork")  # no imports to wait for
    barrier = fork.Barrier(WRITERS)
    writers = [fork.Process(target=write, args=(url, f"p{w}", barrier)) for w in range(WRITERS)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(300)
        assert process.exitcode == 0
    total = WRITERS * ROUNDS
    with open_store(url) as store:
        levels = {level.env: level for level in store.stats().levels}
        assert levels["own"].live == 2 * total + 1
        assert levels["shared"].live == CAPACITY, "never more than the capacity, nor fewer"
        skill = store.skill("joint")
        assert [each.version for each in skill.versions] == list(range(1, total + 2))
        assert [each.parent for each in skill.versions] == [None, *range(1, total + 1)], "each edit saw the one before"
        assert len({each.body for each in skill.versions}) == total + 1
        assert store.experience(1).shown == total
        with store._database.reading() as connection:
            credited = connection.execute(sa.select(sa.func.count()).where(Use.reward == 0.5)).scalar_one()
            stamped = connection.execute(sa.select(sa.func.count(Use.skill_version))).scalar_one()
            shown = connection.execute(sa.select(sa.func.sum(Experience.shown)).where(Experience.id > 1)).scalar_one()
            assert connection.execute(sa.select(sa.func.count()).select_from(Skill)).scalar_one() == 1
        assert (credited, stamped, shown) == (2 * total, total, 2 * total)

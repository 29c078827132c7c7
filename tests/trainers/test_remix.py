"""Old samples, a mixture of KLs, and a policy that becomes its own base."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from by_hand import algorithm, batch, group, policy, row
from runs import config, rows

from trainers.algorithms.base import Forward
from trainers.algorithms.remix import Remix
from trainers.loop import train


def logs(*values):
    return [[math.log(value) for value in values]]


def slopes_of(remix, found, ratios, stale, **more):
    """The derivative, where the policy is `ratios` times the sampler and `stale` times the step's first."""
    logp_BL = policy(found, ratios)
    before_BL = logp_BL.detach() - torch.tensor(stale)
    found = replace(found, before_BL=before_BL)
    loss, metrics = remix.loss(Forward(logp_BL, **more), found)
    return torch.autograd.grad(loss, logp_BL)[0][0].tolist(), metrics, float(loss.detach())


def test_the_clip_is_around_where_the_step_began():
    # r = pi / pi_{k-i} is 3 everywhere, c = 3 / stale. Stale 1: c = 3, inside. Stale 1.2: c = 2.5, and 3 > 2.7 is cut
    # for A > 0 and not for A < 0. Stale 0.9: c = 3.33, and 3 < 3.13 is cut for A < 0 alone.
    found = batch(row([1.0, 1.0, -1.0, 1.0, -1.0]))
    stale = logs(1.0, 1.2, 1.2, 0.9, 0.9)
    slopes, metrics, _ = slopes_of(algorithm(Remix, kl=0), found, logs(*[3.0] * 5), stale)
    assert slopes == pytest.approx([-3 / 5, 0.0, 3 / 5, -3 / 5, 0.0], rel=1e-5)
    assert metrics["policy/clip_frac"] == pytest.approx(2 / 5)


def test_the_kl_is_a_mixture_of_those_to_the_base_and_to_the_steps_first_policy():
    # A = 0. log(base / pi) = 0.3, log(first / pi) = -0.1: k3 e^0.3 - 1.3 and e^-0.1 - 0.9.
    found = batch(row([0.0]))
    base, near = math.exp(0.3) - 1.3, math.exp(-0.1) - 0.9
    for steps, share in ((1, 1.0), (50, 1.0), (51, 0.9), (60, 0.9), (61, 0.8), (500, 0.5)):
        remix = algorithm(Remix, kl=2.0, reincarnate=0)
        remix.steps = steps
        logp_BL = policy(found, [])
        forward = Forward(logp_BL, reference_BL=logp_BL.detach() + 0.3)
        loss, metrics = remix.loss(forward, replace(found, before_BL=logp_BL.detach() - 0.1))
        assert float(loss.detach()) == pytest.approx(2.0 * (share * base + (1 - share) * near), rel=1e-4)
        assert metrics["remix/lambda"] == pytest.approx(share)
        assert metrics["policy/kl_reference_nats"] == pytest.approx(base, rel=1e-4)


def played(remix, n):
    """A step: tasks are chosen and played, each group known by its return."""
    new = [group(float(remix.steps), 0.0) for _ in remix.choose(n)]
    return new, remix.again(new)


def test_old_groups_stand_in_the_place_of_as_many_new_ones():
    remix = algorithm(Remix, old=0.5, window=2)
    shares = []
    for step in range(300):
        new, old = played(remix, 4)
        assert len(new) + len(old) == 4
        assert new
        assert len({id(one) for one in old}) == len(old)
        # A group of two steps ago at most, and never of this one.
        assert all(step - 2 <= one.returns[0] < step for one in old)
        shares.append(len(old) / 4)
        if step == 98:
            break
    # Binomial(4, 0.5), at most 3: 1.9375 of 4 on average; nothing is there in the first step.
    assert sum(shares[1:]) / len(shares[1:]) == pytest.approx(1.9375 / 4, abs=0.08)
    ages = {step - int(one.returns[0]) for step in (99,) for one in played(remix, 4)[1]}
    assert ages <= {1, 2}


def test_a_step_of_one_task_always_plays_it():
    remix = algorithm(Remix, old=0.9)
    assert all(len(played(remix, 1)[0]) == 1 for _ in range(5))


def test_what_was_not_admitted_is_replaced_beside_the_old_groups():
    remix = algorithm(Remix, old=0.99)
    played(remix, 4)
    assert len(remix.choose(4)) == 1
    assert [len(remix.replace(n)) for n in (4, 3)] == [1, 0]


def test_at_step_t_the_policy_becomes_its_own_base_and_learning_on_policy(tiny_learner):
    remix = algorithm(Remix, old=0.9, reincarnate=2)
    found = batch(row([None, 1.0]))
    rebased = []
    tiny_learner.rebase = lambda: rebased.append(remix.steps)
    for step in (1, 2, 3, 4):
        new, old = played(remix, 3)
        remix.prepare(tiny_learner, [found])
        assert (remix.passes, remix.reincarnated) == ((1, True) if step > 2 else (2, False))
        assert (len(new), len(old)) == ((1, 2) if step == 2 else (3, 0))
    assert rebased == [3]


def test_a_resumed_run_does_not_become_its_base_twice(tiny_learner):
    remix, found = algorithm(Remix, reincarnate=2), batch(row([None, 1.0]))
    remix.load_state_dict({"steps": 3, "reborn": True})
    assert remix.reincarnated
    tiny_learner.rebase = lambda: pytest.fail("again")
    remix.prepare(tiny_learner, [found])
    assert remix.state_dict() == {"steps": 3, "reborn": True}


async def test_a_run_learns_from_old_groups_and_then_from_its_own_end(gym_url: str, tmp_path: Path):
    table = "algorithm={name = 'remix', old = 0.9, reincarnate = 3, kl = 0.1, entropy = 0.05}"
    run = await train(
        config(tmp_path, gym_url, table, "steps=5", "eval.every=0", "learner.lr=3e-3", "sampling.tasks_per_step=3")
    )
    found = [row for row in rows(run) if row["step"] > 0]
    assert [row["remix/old_share"] for row in found][:2] == [0.0, pytest.approx(2 / 3)]
    assert [row["remix/old_share"] for row in found][3:] == [0.0, 0.0]
    assert [row["group/count"] for row in found] == [3.0, 1.0, 1.0, 3.0, 3.0]
    # What is new is compared with its sampler; what is old is not.
    assert max(row["policy/mismatch_max_nats"] for row in found) < 1e-3
    # After T the policy is its own base, and has not moved yet.
    assert found[3]["policy/kl_reference_nats"] == pytest.approx(0.0, abs=1e-6)
    assert found[2]["policy/kl_reference_nats"] > 1e-4

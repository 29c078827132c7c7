"""Weights and masks for samples of a policy that is not the trainer's."""

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from by_hand import algorithm, batch, policy, row
from runs import config

from envserver import plugins
from trainers.algorithms.base import Algorithm, Forward
from trainers.algorithms.grpo import Grpo
from trainers.algorithms.gspo import Gspo
from trainers.algorithms.ppo import Ppo
from trainers.algorithms.vcpo import Vcpo
from trainers.corrections import CorrectionConfig, corrected
from trainers.learn import learn_rows
from trainers.metrics import TABLE
from trainers.recipe import BadConfig

LINEAR = [
    name
    for name in plugins.names("trainers.algorithms")
    if plugins.load("trainers.algorithms", name, Algorithm).weighs_tokens
]
TWO = (
    row([None, 1.0, 1.0], episode=0),
    row([None, 1.0], episode=0, turns=[-1, 1]),
    row([-1.0, -1.0], episode=1),
)
"""An episode in two rows, and one in one."""
RATIOS = [[1.0, 3.0, 0.5], [1.0, 4.0], [0.5, 0.8]]
"""Trainer to sampler, a token: the episodes' are 6 and 0.4, their geometric means 6 ** (1/3) = 1.817 and 0.632."""


def logs(ratios):
    return [[math.log(value) for value in row] for row in ratios]


def weighed(**settings):
    """The advantages after a correction of `TWO`, as lists; the ratios are those of the forward pass itself."""
    found = batch(*TWO)
    after, seen = corrected(CorrectionConfig(**settings), policy(found, logs(RATIOS)), found)
    return [after.advantage_BL[b, : len(TWO[b].segment)].tolist() for b in range(3)], seen


def near(*rows):
    return [pytest.approx(list(row), rel=1e-5) for row in rows]


def test_truncated_importance_sampling_weighs_each_token_by_its_own_ratio_up_to_a_cap():
    found, seen = weighed(weight="token", cap=2.0)
    assert found == near([0.0, 2.0, 0.5], [0.0, 2.0], [-0.5, -0.8])
    assert seen["correction/truncated_share"] == pytest.approx(2 / 5)
    assert seen["correction/ratio_mean"] == pytest.approx((3 + 0.5 + 4 + 0.5 + 0.8) / 5)
    assert seen["correction/masked_share"] == 0.0


def test_the_weight_of_a_sequence_is_the_product_over_all_its_rows():
    assert weighed(weight="sequence", cap=8.0)[0] == near([0.0, 6.0, 6.0], [0.0, 6.0], [-0.4, -0.4])
    assert weighed(weight="sequence", cap=5.0)[0] == near([0.0, 5.0, 5.0], [0.0, 5.0], [-0.4, -0.4])


def test_masked_importance_sampling_leaves_out_tokens_beyond_its_bounds():
    found, seen = weighed(weight="token", cap=10.0, mask="token", low=0.6, high=3.5)
    assert found == near([0.0, 3.0, 0.0], [0.0, 0.0], [0.0, -0.8])
    assert seen["correction/masked_share"] == pytest.approx(3 / 5)


def test_a_mask_of_sequences_leaves_out_whole_episodes_by_product_or_by_geometric_mean():
    plain = [0.0, 1.0, 1.0], [0.0, 1.0], [-1.0, -1.0]
    none = [0.0, 0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    assert weighed(weight="none", mask="sequence", low=0.3, high=2.0)[0] == near(*none[:2], plain[2])
    assert weighed(weight="none", mask="geometric", low=0.7, high=2.0)[0] == near(*plain[:2], none[2])
    assert weighed(weight="none", mask="geometric", low=0.6, high=1.8)[0] == near(*none[:2], plain[2])


def test_one_token_below_the_veto_takes_its_whole_episode_out():
    # Only in the first row of episode 0, but its second row goes with it; both episodes have a token at 0.5.
    found = batch(*TWO)
    logp_BL = policy(found, logs([[1.0, 1.0, 1e-5], [1.0, 1.0], [0.5, 0.8]]))
    after, _ = corrected(CorrectionConfig(weight="none", veto=1e-4), logp_BL, found)
    assert not after.advantage_BL[:2].any()
    assert after.advantage_BL[2, :2].tolist() == [-1.0, -1.0]


def test_what_is_bad_and_stale_is_left_out_and_what_is_good_and_stale_is_not():
    # mean log(mu / pi): 0.5 for both.
    found = batch(row([1.0, 1.0], episode=0), row([-1.0, -1.0], episode=1))
    logp_BL = policy(found, [[-0.2, -0.8], [-0.2, -0.8]])
    for limit, kept in ((0.4, 0.0), (0.6, -1.0)):
        after, _ = corrected(CorrectionConfig(weight="none", stale_nats=limit), logp_BL, found)
        assert after.advantage_BL.tolist() == [[1.0, 1.0], [kept, kept]]


def test_mismatch_weighs_and_staleness_is_clipped():
    # pi_old / mu = 3, cut to 2; pi / pi_old = 1.5, clipped at 1.2: the surrogate is 2 * 1.2, and has no gradient. At
    # pi / pi_old = 1.1 its slope is 2 * 1.1.
    found = batch(row([1.0]))
    for stale, slope in ((1.5, 0.0), (1.1, -2.2)):
        before_BL = policy(found, logs([[3.0]])).detach()
        logp_BL = (before_BL + math.log(stale)).requires_grad_()
        clipped = algorithm(Grpo, kl=0, correction={"weight": "token", "cap": 2.0})
        loss, metrics = clipped.objective(Forward(logp_BL), replace(found, before_BL=before_BL))
        assert torch.autograd.grad(loss, logp_BL)[0].item() == pytest.approx(slope, rel=1e-5)
        assert metrics["policy/ratio_mean"] == pytest.approx(stale)


def test_without_a_correction_the_loss_is_as_it_was():
    found = batch(*TWO)
    forward = Forward(policy(found, logs(RATIOS)))
    plain = algorithm(Grpo, kl=0)
    assert plain.objective(forward, found)[0] == plain.loss(forward, found)[0]


@pytest.mark.parametrize("name", LINEAR)
def test_a_weight_on_all_advantages_is_a_weight_on_the_gradient(name):
    # A trainer that makes every token twice as likely as the sampler did, in its first update: the weight is 2, the
    # ratio that is clipped 1.
    found = batch(row([None, 1.0, -0.5, None, 1.0], episode=0), row([None, -2.0], episode=1))
    kind = plugins.load("trainers.algorithms", name, Algorithm)
    mixed = {"mrs": False} if name == "trloo" else {}
    here = [[math.log(2.0)] * 5, [math.log(2.0)] * 2]

    def slopes(which, weigh):
        logp_BL = policy(which, here if weigh else [])
        found = algorithm(kind, kl=0, entropy=0, **mixed, correction={"weight": "token", "cap": 2.0} if weigh else None)
        value_BL = torch.zeros_like(logp_BL)
        which = replace(which, value_BL=value_BL, target_BL=value_BL)
        forward = Forward(logp_BL, -logp_BL, which.behaviour_BL, value_BL.clone().requires_grad_())
        loss, metrics = found.objective(forward, which)
        assert set(metrics) <= set(TABLE)
        return torch.autograd.grad(loss, logp_BL)[0]

    assert torch.allclose(slopes(found, True), 2 * slopes(found, False), rtol=1e-4, atol=1e-6)


def test_rows_of_an_episode_lie_together_where_its_sequence_decides():
    for settings, together in (
        ({"weight": "token"}, "row"),
        ({"weight": "token", "mask": "token"}, "row"),
        ({"weight": "sequence"}, "episode"),
        ({"mask": "geometric"}, "episode"),
        ({"veto": 1e-4}, "episode"),
        ({"stale_nats": 0.1}, "episode"),
    ):
        assert algorithm(Grpo, aggregate="token", correction=settings).together == together


def test_the_trainer_before_the_step_is_what_later_updates_compare_with(tiny_learner):
    rows = [row([None, 1.0, 1.0], episode=0), row([None, -1.0, -1.0], episode=1)]
    found = algorithm(Ppo, epochs=2, kl=0, correction={"weight": "sequence", "cap": 3.0})
    before_BL = tiny_learner.forward(batch(*rows)).logp_BL.detach()
    [prepared], metrics = learn_rows(found, tiny_learner, rows, micro_tokens=64, rng=random.Random(0))
    assert torch.allclose(prepared.before_BL, before_BL)
    assert metrics["correction/ratio_mean"] > 0


def test_a_loss_without_weights_on_tokens_refuses_a_correction():
    with pytest.raises(ValueError, match=r"'vcpo' weighs no single token"):
        algorithm(Vcpo, correction={"cap": 3.0})


def test_trloo_rejects_by_one_thing_alone(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="both act on the ratio"):
        config(tmp_path, None, "algorithm=trloo", "algorithm.correction.cap=3")
    assert config(tmp_path, None, "algorithm=trloo", "algorithm.mrs=false", "algorithm.correction.cap=3")


def test_a_correction_is_a_table_of_a_run_and_wrong_ones_are_refused(tmp_path: Path):
    found = config(tmp_path, None, "algorithm.correction.mask=geometric", "algorithm.correction.low=0.99")
    assert found.algorithm.correction == CorrectionConfig(mask="geometric", low=0.99)
    with pytest.raises(BadConfig, match=r"1 has to lie between them"):
        config(tmp_path, None, "algorithm.correction.mask=token", "algorithm.correction.low=1.5")
    with pytest.raises(BadConfig, match=r"did you mean 'algorithm.correction.weight'"):
        config(tmp_path, None, "algorithm.correction.weigth=token")


def test_a_sequence_ratio_and_a_weight_of_it_are_read_from_the_same_tokens():
    # Two rows of one episode in GSPO: the mean log-ratio to pi_old is 0, the weight the product 6.
    found = batch(*TWO[:2])
    logp_BL = policy(found, logs(RATIOS[:2]))
    loss, _ = algorithm(Gspo, correction={"weight": "sequence", "cap": 8.0}).objective(Forward(logp_BL), found)
    assert float(loss.detach()) == pytest.approx(-6.0, rel=1e-5)

"""What every algorithm keeps to, whichever it is."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from by_hand import algorithm, batch, distribution, episode, group, group_of, policy, row

from envserver import plugins
from trainers.algorithms.base import MAX_LOG_RATIO_NATS, Algorithm, Forward
from trainers.batch import Batch
from trainers.metrics import TABLE

ROOT = Path(__file__).parents[2]
NAMES = plugins.names("trainers.algorithms")
POOLED = ("a_lol", "gspo", "trloo")
"""Those whose loss reads whole episodes, whatever the aggregate."""
DENSE = ("copg", "entropy_tokens", "gppo", "ma_rlhf", "ppo", "reinforce_pp", "vopd")
"""Those that may learn from episodes whose advantages are all 0."""
AGGREGATES = ("sequence", "token", "constant")


def load(name: str, **settings) -> Algorithm:
    return algorithm(plugins.load("trainers.algorithms", name, Algorithm), **settings)


def everything(found: Batch, logp_BL: torch.Tensor) -> tuple[Forward, Batch]:
    """All that any loss reads: a reference, entropies, values and targets that are no constants."""
    value_BL = logp_BL * 0.3
    found = replace(found, value_BL=torch.zeros_like(logp_BL), target_BL=found.advantage_BL + 0.1)
    spread_SV = distribution(logp_BL[found.mask_BL], found.ids_BL[found.mask_BL])
    forward = Forward(
        logp_BL,
        entropy_BL=-logp_BL,
        reference_BL=found.behaviour_BL - 0.1,
        value_BL=value_BL,
        distribution_SV=spread_SV,
    )
    return forward, found


def slopes(name_or: Algorithm, found: Batch, logp_BL: torch.Tensor) -> torch.Tensor:
    """(B, L) derivative of the batch's share of the loss."""
    forward, found = everything(found, logp_BL)
    loss, _ = name_or.loss(forward, found)
    return torch.autograd.grad(loss * found.scale, logp_BL)[0]


def test_there_are_eight():
    assert {"cispo", "dapo", "dr_grpo", "grpo", "gspo", "ppo", "reinforce_pp", "rloo"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_it_reports_is_declared(name):
    forward, prepared = everything(found := batch(row([1.0, -1.0])), policy(found, []))
    _, metrics = load(name, kl=0.1).loss(forward, prepared)
    assert set(metrics) <= set(TABLE)


@pytest.mark.parametrize("name", NAMES)
def test_its_config_is_named_as_it_is(name):
    assert load(name).config.name == name


@pytest.mark.parametrize("name", NAMES)
def test_its_page_states_every_setting_with_its_real_default(name):
    page = (ROOT / "docs" / "algorithms" / f"{name}.md").read_text()
    options = page.partition("\n## Options")[2].partition("\n## ")[0]
    stated = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", options, re.M))
    settings = load(name).config.model_dump(mode="json", exclude={"name"})
    assert stated == {key: str(value).lower() for key, value in settings.items()}


@pytest.mark.parametrize("name", NAMES)
def test_advantages_have_one_number_a_turn(name):
    groups = [group_of(episode([0.0, 1.0]), episode([0.0, 0.0, 0.0])), group(1.0), group_of(episode([0.5] * 4))]
    found = load(name).advantages(groups)
    assert [[len(turns) for turns in episodes] for episodes in found] == [[2, 3], [1], [4]]
    assert all(math.isfinite(value) for episodes in found for turns in episodes for value in turns)


@pytest.mark.parametrize("name", NAMES)
def test_only_sampled_ids_have_a_gradient(name):
    found = batch(row([None, 1.0, None, -0.5], episode=0), row([None, 2.0], episode=1))
    logp_BL = policy(found, [[0.0, 0.1, 0.0, -0.1], [0.0, 0.05]])
    moved = slopes(load(name, kl=0.1, entropy=0.01), found, logp_BL)
    assert not moved[~found.mask_BL].any()
    assert moved[found.mask_BL].any()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_model_says_of_shown_ids_never_spoils_the_loss(name):
    found = batch(row([None, 1.0, None, -0.5]))
    logp_BL = found.behaviour_BL.masked_fill(~found.mask_BL, -torch.inf).requires_grad_()
    forward, prepared = everything(found, logp_BL)
    loss, metrics = load(name, kl=0.1, entropy=0.01).loss(forward, prepared)
    assert math.isfinite(loss.detach())
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_ratio_beyond_all_bounds_stays_finite(name):
    found = batch(row([1.0, -1.0]))
    logp_BL = policy(found, [[200.0, -500.0]])
    forward, prepared = everything(found, logp_BL)
    loss, metrics = load(name, kl=0.1).loss(forward, prepared)
    assert math.isfinite(loss.detach())
    assert all(math.isfinite(value) for value in metrics.values())
    assert math.exp(MAX_LOG_RATIO_NATS) < torch.finfo(torch.float32).max


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("name", NAMES)
def test_cutting_a_minibatch_into_batches_leaves_its_gradient_alone(name, aggregate):
    # Episode 0 lies in two rows, which stay together; the rows are of 1 to 4 sampled tokens.
    rows = [
        row([None, 1.0, 1.0, None, -1.0], episode=0, turns=[-1, 0, 0, -1, 1]),
        row([0.3], episode=0, turns=[2]),
        row([-2.0, -2.0, -2.0, -2.0], episode=1),
        row([None, 0.7], episode=2),
    ]
    ratios = [[0.0, 0.01, -0.02, 0.0, 0.0001], [0.0], [0.001, 0.0, 0.3, -0.3], [0.0, -0.0002]]
    found = load(name, aggregate=aggregate, kl=0.1, entropy=0.01)
    if found.together == "group":
        rows = [replace(one, group=one.episode) for one in rows]
    whole = batch(*rows)
    expected = slopes(found, whole, policy(whole, ratios))
    for cut in ([[0, 1], [2], [3]], [[0, 1, 3], [2]], [[0, 1, 2, 3]]):
        batches = [batch(*(rows[index] for index in part)) for part in cut]
        total = sum(found.weight(each) for each in batches)
        for part, each in zip(cut, batches, strict=True):
            each = replace(each, scale=found.weight(each) / total)
            moved = slopes(found, each, policy(each, [ratios[index] for index in part]))
            for b, index in enumerate(part):
                length = len(rows[index].segment)
                assert moved[b, :length].tolist() == pytest.approx(expected[index, :length].tolist(), abs=1e-6)


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_an_episode_stay_together_where_a_cut_would_change_the_gradient(name, aggregate):
    found = load(name, aggregate=aggregate)
    if found.pools_groups:
        assert found.together == "group"
        return
    assert found.together == ("row" if aggregate == "token" and name not in POOLED else "episode")


@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_advantage_is_skipped_only_where_it_has_no_gradient(name):
    found = load(name, kl=0, entropy=0)
    assert found.skips_zero == (name not in DENSE)
    if found.skips_zero:
        idle = batch(row([0.0, None, 0.0]))
        assert not slopes(found, idle, policy(idle, [[0.5, 0.0, -0.5]])).any()
    assert not load(name, kl=0.1).skips_zero
    assert not load(name, entropy=0.1).skips_zero


def test_an_entropy_bonus_raises_the_objective():
    # A = 0, entropy 2 and 4 nats, weight 0.1, token mean: loss -0.1 * 3.
    found = batch(row([0.0, 0.0]))
    forward = Forward(policy(found, []), entropy_BL=torch.tensor([[2.0, 4.0]]))
    loss, _ = load("dapo", entropy=0.1).loss(forward, found)
    assert float(loss.detach()) == pytest.approx(-0.3)

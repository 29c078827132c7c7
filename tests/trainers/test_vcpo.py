import math
from dataclasses import replace

import pytest
import torch
from by_hand import algorithm, batch, gradient, policy, row

from trainers.algorithms.vcpo import Vcpo, effective_share


@pytest.fixture
def caught(tiny_learner, monkeypatch):
    """The gradients of an update, its metrics, and by what the learning rate was multiplied."""
    scales: list[float] = []

    def step(lr_scale: float = 1.0) -> dict[str, float]:
        scales.append(lr_scale)
        return {}

    monkeypatch.setattr(tiny_learner, "step", step)

    def of(found, batches):
        tiny_learner.optimizer.zero_grad()
        metrics = found.update(tiny_learner, batches)
        return (
            {n: p.grad.clone() for n, p in tiny_learner.parameters.items() if p.grad is not None},
            metrics,
            scales[-1],
        )

    return of


def on_policy(learner, found, log_weights=None):
    """The batch, sampled by the learner itself but for these log-weights of its episodes."""
    logp_BL = learner.forward(found).logp_BL.detach()
    for b, log_weight in enumerate(log_weights or []):
        logp_BL[b] -= found.mask_BL[b] * log_weight / found.mask_BL[b].sum()
    return replace(found, behaviour_BL=logp_BL)


ROWS = (
    row([None, 1.0, 1.0], episode=0, ret=3.0),
    row([None, -1.0, -1.0, -1.0], episode=1, ret=1.0),
    row([0.0, None, -1.0], episode=2, ret=0.0, group=1),
    row([None, None, None, 1.0], episode=3, ret=2.0, group=1),
)


def term_gradients(learner, found, *, truncate=8.0):
    """By episode, each a row here: the gradient of -min(w, c) mean_t log pi by all weights, as one vector."""
    out = []
    for b in range(len(found.ids_BL)):
        forward = learner.forward(found)
        mask_L = found.mask_BL[b]
        gap = float((forward.logp_BL.detach() - found.behaviour_BL)[b][mask_L].sum())
        term = -min(math.exp(gap), truncate) * forward.logp_BL[b][mask_L].mean()
        slopes = torch.autograd.grad(term, list(learner.parameters.values()), allow_unused=True)
        out.append(torch.cat([slope.flatten() for slope in slopes if slope is not None]))
    return out


def flat(gradients):
    return torch.cat([slope.flatten() for slope in gradients.values()])


def test_the_effective_share_is_1_where_all_weigh_the_same_and_1_in_n_where_one_weighs_all():
    assert effective_share([2.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert effective_share([1e6, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert effective_share([1.0, 3.0]) == pytest.approx(16 / 20)
    assert effective_share([]) == 0.0


def test_the_rate_falls_with_the_root_of_the_share_and_never_rises():
    assert algorithm(Vcpo).lr_scale(0.25) == pytest.approx(0.5)
    assert algorithm(Vcpo, ess_base=0.5).lr_scale(0.25) == pytest.approx(math.sqrt(0.5))
    assert algorithm(Vcpo, ess_base=0.5).lr_scale(0.9) == 1.0
    assert algorithm(Vcpo, ess_rule="linear").lr_scale(0.25) == pytest.approx(0.25)
    assert algorithm(Vcpo, ess_rule="none").lr_scale(0.25) == 1.0


def test_the_baseline_weighs_returns_by_squared_norms():
    # (4 * 1 + 1 * 0 + 0 * 5) / 5
    assert algorithm(Vcpo).baseline([1.0, 0.0, 5.0], [4.0, 1.0, 0.0]) == pytest.approx(0.8)
    assert algorithm(Vcpo, baseline="mean").baseline([1.0, 0.0, 5.0], [4.0, 1.0, 0.0]) == pytest.approx(2.0)
    assert algorithm(Vcpo).baseline([1.0, 0.0], [0.0, 0.0]) == pytest.approx(0.5)


def test_the_loss_weighs_a_sequence_by_its_whole_ratio_truncated():
    # Weights 2 * 3 = 6 and 5 * 5 -> 8; A = 1, token means over 2 tokens, two episodes: -6 / 2 / 2 and -8 / 2 / 2.
    found = batch(row([1.0, 1.0]), row([1.0, 1.0], episode=1))
    ratios = [[math.log(value) for value in values] for values in ((2.0, 3.0), (5.0, 5.0))]
    slopes = gradient(algorithm(Vcpo), found, policy(found, ratios))
    assert slopes.tolist() == [pytest.approx([-1.5, -1.5]), pytest.approx([-2.0, -2.0])]


def test_the_update_is_returns_less_the_baseline_of_least_variance(tiny_learner, caught):
    # Weights 3, 10 (truncated at 8) | 1, 0.5; each group's own baseline and spread; a mean over four episodes.
    found = on_policy(tiny_learner, batch(*ROWS), [math.log(w) for w in (3.0, 10.0, 1.0, 0.5)])
    terms = term_gradients(tiny_learner, found)
    expected = torch.zeros_like(terms[0])
    for members in ((0, 1), (2, 3)):
        returns = [ROWS[i].ret for i in members]
        squares = [float(terms[i] @ terms[i]) for i in members]
        best = sum(r * s for r, s in zip(returns, squares, strict=True)) / sum(squares)
        spread = abs(returns[0] - returns[1]) / math.sqrt(2) + 1e-6
        for i, ret in zip(members, returns, strict=True):
            expected += (ret - best) / spread * terms[i] / 4
    gradients, metrics, lr_scale = caught(algorithm(Vcpo), [found])
    assert torch.allclose(flat(gradients), expected, atol=1e-5)
    ess = (3 + 10 + 1 + 0.5) ** 2 / (4 * (9 + 100 + 1 + 0.25))
    assert metrics["policy/ess"] == pytest.approx(ess, rel=1e-4)
    assert lr_scale == pytest.approx(math.sqrt(ess), rel=1e-4)
    assert metrics["policy/truncated_share"] == pytest.approx(3 / 8)


def test_no_other_baseline_has_less_variance(tiny_learner):
    found = on_policy(tiny_learner, batch(*ROWS[:2]))
    terms = term_gradients(tiny_learner, found)
    returns = [3.0, 1.0]
    best = algorithm(Vcpo).baseline(returns, [float(term @ term) for term in terms])

    def second_moment(baseline):
        return sum(float(term @ term) * (ret - baseline) ** 2 for term, ret in zip(terms, returns, strict=True))

    assert all(second_moment(best) < second_moment(best + other) for other in (-0.5, -0.01, 0.01, 0.5))


@pytest.mark.parametrize("more", [{}, {"kl": 0.1, "entropy": 0.01}, {"aggregate": "token"}])
def test_a_cut_of_the_minibatch_between_groups_leaves_its_gradient_alone(tiny_learner, caught, more):
    found = algorithm(Vcpo, **more)
    whole = on_policy(tiny_learner, batch(*ROWS))
    parts = [whole.rows(whole.group_B == group) for group in (1, 0)]
    parts = [replace(part, scale=found.weight(part) / found.weight(whole)) for part in parts]
    expected, total, _ = caught(found, [whole])
    cut, metrics, _ = caught(found, parts)
    assert torch.allclose(flat(cut), flat(expected), atol=1e-6)
    assert metrics == pytest.approx(total, abs=1e-5)


def test_kl_and_entropy_are_added_once_and_not_weighed_by_returns(tiny_learner, caught):
    found = on_policy(tiny_learner, batch(*ROWS))
    plain, _, _ = caught(algorithm(Vcpo), [found])
    both, _, _ = caught(algorithm(Vcpo, entropy=0.1), [found])
    tiny_learner.optimizer.zero_grad()
    entropy_BL = tiny_learner.forward(found, frozenset({"entropy"})).entropy_BL
    means = [entropy_BL[b][found.mask_BL[b]].mean() for b in range(4)]
    (-0.1 * sum(means) / 4).backward()
    added = {n: p.grad for n, p in tiny_learner.parameters.items() if p.grad is not None}
    assert torch.allclose(flat(both) - flat(plain), flat(added), atol=1e-6)

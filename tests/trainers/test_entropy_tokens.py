from dataclasses import replace

import pytest
import torch
from by_hand import algorithm, batch, row

from trainers.algorithms.entropy_tokens import EntropyTokens

ROWS = (
    row([None, 1.0, 1.0, None, -1.0], turns=[-1, 0, 0, -1, 1]),
    row([None, -2.0, -2.0, -2.0, -2.0], episode=1),
    row([None, 0.7, 0.0, 0.0], episode=2),
)


@pytest.fixture
def caught(tiny_learner, monkeypatch):
    """The gradients of an update, and no step."""

    def of(found, batches):
        monkeypatch.setattr(tiny_learner, "step", dict)
        tiny_learner.optimizer.zero_grad()
        metrics = found.update(tiny_learner, batches)
        return {name: p.grad.clone() for name, p in tiny_learner.parameters.items() if p.grad is not None}, metrics

    return of


def test_a_fifth_of_the_tokens_is_kept_rounded_up():
    found = algorithm(EntropyTokens)
    assert found.threshold(torch.arange(10.0)) == 8.0
    assert found.threshold(torch.arange(11.0)) == 8.0
    assert found.threshold(torch.tensor([0.3])) == pytest.approx(0.3)
    assert algorithm(EntropyTokens, top=1.0).threshold(torch.tensor([2.0, 1.0])) == 1.0


def test_only_the_undecided_tokens_have_a_gradient_and_they_are_its_divisor(tiny_learner, caught):
    # 10 tokens, so the 2 of highest entropy: the loss is the surrogate -r A over those two, by 2.
    whole = batch(*ROWS)
    whole = replace(whole, ids_BL=whole.ids_BL + 5 * whole.episode_B[:, None])
    entropy_BL = tiny_learner.forward(whole, frozenset({"entropy"})).entropy_BL.detach()
    second = entropy_BL[whole.mask_BL].sort(descending=True).values[1]
    kept = whole.mask_BL & (entropy_BL >= second)
    assert kept.sum() == 2
    found, metrics = caught(algorithm(EntropyTokens), [whole])
    assert metrics["policy/entropy_threshold_nats"] == pytest.approx(float(second))
    tiny_learner.optimizer.zero_grad()
    ratio_BL = (tiny_learner.forward(whole).logp_BL - whole.behaviour_BL).exp()
    clipped_BL = torch.minimum(ratio_BL * whole.advantage_BL, ratio_BL.clamp(0.8, 1.28) * whole.advantage_BL)
    (-clipped_BL[kept].sum() / 2).backward()
    for name, p in tiny_learner.parameters.items():
        if p.grad is not None:
            assert torch.allclose(found[name], p.grad, atol=1e-6), name


@pytest.mark.parametrize("aggregate", ["token", "sequence", "constant"])
def test_a_cut_of_the_minibatch_leaves_its_gradient_alone(caught, aggregate):
    dense = algorithm(EntropyTokens, top=0.5, aggregate=aggregate)
    whole, total = caught(dense, [batch(*ROWS)])
    cut, parts = caught(dense, [replace(batch(*ROWS[:2]), scale=0.7), batch(ROWS[2], scale=0.3)])
    for name, expected in whole.items():
        assert torch.allclose(cut[name], expected, atol=1e-6), name
    assert parts == pytest.approx(total, abs=1e-5)


def test_episodes_without_advantage_are_in_the_pool():
    assert not algorithm(EntropyTokens).skips_zero

"""One-token rollouts of what is to be imitated."""

import math
from dataclasses import replace

import pytest
import torch
from by_hand import algorithm, batch, distribution, episode, group_of, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.otr import Otr


def seen(found, logp_BL):
    return Forward(logp_BL, distribution_SV=distribution(logp_BL[found.mask_BL], found.ids_BL[found.mask_BL]))


def fixed(*drawn, **settings):
    """The algorithm whose candidates are these."""
    found = algorithm(Otr, candidates=len(drawn[0]), **settings)
    found.drawn = lambda logp_TV, truth: torch.tensor(drawn)
    return found


def test_a_match_is_rewarded_and_another_token_is_penalised():
    # Ids 4 and 5 are imitated, 3 is shown. Both have log-probability -1; the 15 others share 1 - 1/e.
    # Candidates 4, 4, 7, 9: -1/4 (2 * -1 - 0.1 * 2 q); 7, 7, 7, 5: -1/4 (-1 - 0.1 * 3 q).
    found = batch(row([None, 1.0, 1.0]))
    q = math.log((1 - math.exp(-1)) / 15)
    loss, metrics = fixed([4, 4, 7, 9], [7, 7, 7, 5]).loss(seen(found, policy(found, [])), found)
    expected = (-(-2 - 0.2 * q) / 4 - (-1 - 0.3 * q) / 4) / 2
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert metrics["otr/match_share"] == pytest.approx(3 / 8)


def test_without_a_penalty_it_is_imitation_weighed_by_how_often_the_token_is_drawn():
    found = batch(row([1.0, 1.0]))
    logp_BL = policy(found, [])
    loss, _ = fixed([3, 3, 3, 9], [9, 9, 9, 4], penalty=0.0).loss(seen(found, logp_BL), found)
    assert torch.autograd.grad(loss, logp_BL)[0].tolist() == [pytest.approx([-0.75 / 2, -0.25 / 2])]


def test_candidates_are_drawn_from_the_policy():
    found = batch(row([1.0]))
    otr = algorithm(Otr, candidates=20_000)
    logp_TV = torch.tensor([[0.0, 0.5, 0.2, 0.3, 0.0]]).log()
    counts = torch.bincount(otr.drawn(logp_TV, found)[0], minlength=5) / 20_000
    assert counts.tolist() == pytest.approx([0.0, 0.5, 0.2, 0.3, 0.0], abs=0.015)


def test_its_expected_gradient_is_that_of_imitation_weighed_by_the_probability():
    # By the logits z: r = 1 and -0.1 give (1 + 0.1) p (1 - p) on the token's own.
    logits_V = torch.tensor([0.3, -0.2, 0.9, 0.1], requires_grad=True)
    found = replace(batch(row([1.0])), ids_BL=torch.tensor([[2]]))
    logp_V = torch.log_softmax(logits_V, -1)
    loss, _ = algorithm(Otr, candidates=100_000).loss(Forward(logp_V[None, 2:3], distribution_SV=logp_V[None]), found)
    [slopes] = torch.autograd.grad(loss, logits_V)
    p = float(torch.softmax(logits_V.detach(), -1)[2])
    assert float(slopes[2]) == pytest.approx(-1.1 * p * (1 - p), abs=0.005)


def test_candidates_are_the_same_however_rows_are_packed_and_new_in_each_update():
    rows = [row([1.0, 1.0], episode=0), row([1.0], episode=0, turns=[1]), row([0.0, 1.0], episode=4)]
    otr = algorithm(Otr, candidates=8)
    logp_V = torch.log_softmax(torch.arange(12.0) / 4, -1)

    def drawn(*which):
        found = batch(*(rows[index] for index in which))
        found = replace(found, mask_BL=found.mask_BL & (found.advantage_BL > 0))
        return otr.drawn(logp_V.expand(found.sampled_tokens, -1), found).tolist()

    whole = drawn(0, 1, 2)
    assert whole == [*drawn(0), *drawn(1, 2)] == [*drawn(0, 1), *drawn(2)]
    otr.load_state_dict({"updates": 1})
    assert drawn(0, 1, 2) != whole
    assert otr.state_dict() == {"updates": 1}


def test_what_was_only_played_is_neither_learned_from_nor_counted():
    both = batch(row([0.0, 0.0, 0.0], episode=0), row([1.0, 1.0], episode=1))
    alone = batch(row([1.0, 1.0], episode=1))
    for aggregate in ("token", "sequence", "constant"):
        otr = algorithm(Otr, aggregate=aggregate)
        assert otr.weight(both) == otr.weight(alone)
        assert otr.weight(batch(row([0.0, 0.0]))) == 0
        losses = [otr.loss(seen(found, policy(found, [])), found)[0].item() for found in (both, alone)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_policys_own_wins_can_be_the_truth():
    won, lost = episode([0.0, 1.0], solved=True), episode([1.0], solved=False)
    groups = [group_of(won, lost)]
    assert algorithm(Otr).advantages(groups) == [[[0.0, 0.0], [0.0]]]
    assert algorithm(Otr).asks(groups[0])
    own = algorithm(Otr, truth="won")
    assert own.advantages(groups) == [[[1.0, 1.0], [0.0]]]
    assert not own.asks(groups[0])


def test_it_says_what_it_misses():
    found = batch(row([1.0]))
    with pytest.raises(ValueError, match="distribution"):
        algorithm(Otr).loss(Forward(policy(found, [])), found)

"""Macro actions: runs of tokens that share credit."""

import pytest
import torch
from by_hand import algorithm, batch, row

from trainers.algorithms.ma_rlhf import LENGTHS, MaRlhf
from trainers.algorithms.ppo import Ppo
from trainers.gae import Trajectories

LOGP = [-1.0, -0.5, -0.7, -0.2, -0.2, -3.0, -1.0]
"""Of seven sampled tokens in two turns, five and two."""


def numbered(logp=LOGP, lasts=(4, 6), **settings):
    last_K = torch.tensor([k in lasts for k in range(len(logp))])
    return algorithm(MaRlhf, **settings).macro_actions(last_K, torch.tensor(logp)).tolist()


def test_a_macro_action_is_n_tokens_and_ends_with_its_turn():
    assert numbered(ngram=2) == [0, 0, 1, 1, 2, 3, 3]
    assert numbered(ngram=3) == [0, 0, 0, 1, 1, 2, 2]
    assert numbered(ngram=1) == list(range(7))
    assert numbered() == [0, 0, 0, 0, 0, 1, 1]


def test_a_turn_can_be_one_macro_action():
    assert numbered(termination="turn", ngram=1) == [0, 0, 0, 0, 0, 1, 1]


def test_a_macro_action_ends_where_a_token_is_less_likely_than_the_one_before():
    assert numbered(termination="perplexity") == [0, 0, 1, 1, 1, 2, 2]


def test_lengths_of_random_macro_actions_are_drawn_without_repeats_until_all_had_their_turn():
    found = numbered([-1.0] * 42, lasts=(41,), termination="random")
    sizes = torch.bincount(torch.tensor(found)).tolist()
    assert sum(sizes) == 42
    assert sorted(sizes[:5]) == list(LENGTHS)
    assert sorted(sizes[5:10]) == list(LENGTHS)


def test_the_value_of_a_macro_action_is_pooled_from_its_tokens():
    values_K, macro_K = torch.tensor([1.0, 2.0, 6.0, 4.0]), torch.tensor([0, 0, 0, 1])

    def pooled(sigma):
        return algorithm(MaRlhf, sigma=sigma).pooled(values_K, macro_K).tolist()

    assert pooled("equal") == pytest.approx([3.0, 4.0])
    assert pooled("last") == pytest.approx([6.0, 4.0])
    # 1, 1/2, 1/3 over their sum 11/6: (1 + 1 + 2) * 6 / 11.
    assert pooled("position") == pytest.approx([24 / 11, 4.0])


def test_advantages_are_estimated_over_macro_actions():
    # One episode, turns of 3 and 1 tokens with rewards 1 and 2, n = 2: macro actions of 2, 1, 1 tokens with rewards
    # 0, 1, 2 and values (0.2 + 0.6) / 2 = 0.4, 0.5, 0.8. gamma 1, lam 0.5:
    # delta 0 + 0.5 - 0.4 = 0.1, 1 + 0.8 - 0.5 = 1.3, 2 - 0.8 = 1.2; A 1.05, 1.9, 1.2; target 1.45, 2.4, 2.0.
    found = batch(row([None, 1.0, 1.0, 1.0, None, 2.0], turns=[-1, 0, 0, 0, -1, 1]))
    played = Trajectories([found])
    reward_K, value_K = torch.tensor([0.0, 0.0, 1.0, 2.0]), torch.tensor([0.2, 0.6, 0.5, 0.8])
    advantage_K, target_K = algorithm(MaRlhf, ngram=2, lam=0.5).estimated(played, [found], reward_K, value_K)
    assert advantage_K.tolist() == pytest.approx([1.05, 1.05, 1.9, 1.2])
    assert target_K.tolist() == pytest.approx([1.45, 1.45, 2.4, 2.0])


def test_macro_actions_never_join_two_episodes():
    found = batch(row([1.0], episode=0), row([None, 5.0, 5.0], episode=1))
    played = Trajectories([found])
    reward_K, value_K = torch.tensor([1.0, 0.0, 5.0]), torch.zeros(3)
    advantage_K, _ = algorithm(MaRlhf).estimated(played, [found], reward_K, value_K)
    assert advantage_K.tolist() == pytest.approx([1.0, 5.0, 5.0])


@pytest.mark.parametrize("sigma", ["equal", "last", "position"])
def test_with_one_token_an_action_it_is_ppo(tiny_learner, sigma):
    batches = [
        batch(row([None, 0.0, 0.0, None, 1.0], episode=3, turns=[-1, 0, 0, -1, 1])),
        batch(row([2.0, 2.0], episode=3, turns=[2, 2]), row([None, 5.0], episode=0)),
    ]
    same = {"lam": 0.7, "gamma": 0.9, "kl": 0, "whiten": True}
    ours = algorithm(MaRlhf, ngram=1, sigma=sigma, **same).prepare(tiny_learner, batches)
    for one, other in zip(ours, algorithm(Ppo, **same).prepare(tiny_learner, batches), strict=True):
        assert torch.allclose(one.advantage_BL, other.advantage_BL, atol=1e-6)
        assert torch.allclose(one.target_BL, other.target_BL, atol=1e-6)

import pytest
import torch
from by_hand import batch, row

from trainers.gae import Trajectories, gae, whitened


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_advantages_are_discounted_sums_of_td_errors():
    # r = 0, 1, 0, 2; V = 0.5, 0.4, 0.3, 0.2; gamma 0.9, lam 0.5; one episode.
    # delta_3 = 2 - 0.2 = 1.8; delta_2 = 0 + 0.9*0.2 - 0.3 = -0.12; delta_1 = 1 + 0.9*0.3 - 0.4 = 0.87;
    # delta_0 = 0 + 0.9*0.4 - 0.5 = -0.14.
    # A_3 = 1.8; A_2 = -0.12 + 0.45*1.8 = 0.69; A_1 = 0.87 + 0.45*0.69 = 1.1805; A_0 = -0.14 + 0.45*1.1805 = 0.391225.
    ends_K = torch.tensor([False, False, False, True])
    found = gae(tensor(0, 1, 0, 2), tensor(0.5, 0.4, 0.3, 0.2), ends_K, gamma=0.9, lam=0.5)
    assert found.tolist() == pytest.approx([0.391225, 1.1805, 0.69, 1.8])


def test_nothing_flows_from_one_episode_into_the_one_before():
    # lam 1, gamma 1: A = rewards to come - V. Episode one: 1 - 0.2, episode two: 5 - 0.3, 5 - 0.4.
    ends_K = torch.tensor([True, False, True])
    found = gae(tensor(1, 0, 5), tensor(0.2, 0.3, 0.4), ends_K, gamma=1.0, lam=1.0)
    assert found.tolist() == pytest.approx([0.8, 4.7, 4.6])


def test_lambda_0_trusts_the_critic_alone():
    # A_k = r_k + V_{k+1} - V_k: 0 + 0.7 - 0.5, 1 + 0 - 0.7.
    found = gae(tensor(0, 1), tensor(0.5, 0.7), torch.tensor([False, True]), gamma=1.0, lam=0.0)
    assert found.tolist() == pytest.approx([0.2, 0.3])


def test_trajectories_run_in_playing_order_over_rows_and_batches():
    # Episode 7 has turn 0 in the second batch and turns 1 and 2 in the first; episode 3 lies between them.
    first = batch(
        row([None, 12.0, 12.0, None, 13.0], episode=7, turns=[-1, 1, 1, -1, 2]),
        row([None, 31.0], episode=3, turns=[-1, 0]),
    )
    second = batch(row([None, None, 11.0], episode=7, turns=[-1, -1, 0]))
    played = Trajectories([first, second])
    assert played.flat([first.advantage_BL, second.advantage_BL]).tolist() == [31, 11, 12, 12, 13]
    assert played.ends_K.tolist() == [True, False, False, False, True]
    assert played.lasts_K.tolist() == [True, True, False, True, True]


def test_flat_values_go_back_to_where_they_came_from():
    first = batch(row([None, 12.0, 13.0], episode=1, turns=[-1, 1, 1]), row([5.0], episode=0))
    second = batch(row([11.0, None], episode=1, turns=[0, -1]))
    played = Trajectories([first, second])
    values = [first.advantage_BL, second.advantage_BL]
    for found, given in zip(played.padded(played.flat(values)), values, strict=True):
        assert torch.equal(found, given)


def test_nothing_sampled_is_refused():
    with pytest.raises(ValueError, match="at least one sampled token"):
        Trajectories([batch(row([None, None]))])


def test_whitening_gives_mean_0_and_sample_variance_1():
    # Mean 2, sample variance (1 + 0 + 1) / 2 = 1.
    assert whitened(tensor(1, 2, 3)).tolist() == pytest.approx([-1.0, 0.0, 1.0])


@pytest.mark.parametrize("values", [[4.0], [4.0, 4.0, 4.0]])
def test_whitening_what_does_not_vary_gives_zeros(values):
    assert whitened(torch.tensor(values)).tolist() == [0.0] * len(values)

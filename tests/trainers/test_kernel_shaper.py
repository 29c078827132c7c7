"""What an attempt at a kernel earns, worked out by hand."""

import pytest
from attempts import WRONG, attempts, good

from trainers.shapers.kernel import Kernel


def shaped(episode, **settings):
    return Kernel(Kernel.Config(**settings)).shape(episode, episode.rewards)


def test_a_correct_attempt_earns_its_speed_up_to_the_cap_and_its_coverage():
    # 1 + 1.5 + 0.8; 1 + 3 + 0.25; 1 + 0.1 + 0.
    episode = attempts(good(1.5, 0.8), good(7.0, 0.25), good(0.1, 0.0))
    assert shaped(episode) == pytest.approx([3.3, 4.25, 1.1])


def test_without_the_profile_it_is_correctness_and_speed_alone():
    assert shaped(attempts(good(1.5, 0.8), good(7.0, 0.25)), profile=0.0) == [2.5, 4.0]


@pytest.mark.parametrize("wrong", [WRONG, {"correct": 0.0, "speedup": 2.0, "coverage": 1.0}])
def test_what_is_wrong_or_a_decoy_earns_nothing(wrong):
    assert shaped(attempts(wrong, reward=9.0)) == [0.0]


def test_a_lazy_kernel_earns_less_than_one_that_does_the_work():
    lazy, real = shaped(attempts(good(1.02, 0.00014), good(1.0, 0.8615)))
    assert real - lazy == pytest.approx(0.84136)


def test_a_turn_of_which_nothing_was_measured_keeps_the_worlds_reward():
    assert shaped(attempts(None, {}, good(1.0), reward=0.5)) == [0.0, 0.5, 2.0]


def test_what_the_world_makes_of_an_attempt_does_not_matter():
    assert shaped(attempts(good(2.0, 0.5), reward=0.25)) == shaped(attempts(good(2.0, 0.5), reward=3.0)) == [3.5]


def test_the_released_codes_reward_is_half_of_it():
    assert shaped(attempts(good(2.0, 0.5)), scale=0.5) == [1.75]

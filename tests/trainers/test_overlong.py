import pytest
from by_hand import episode

from trainers.shapers.overlong import Overlong


@pytest.mark.parametrize(
    ("tokens", "punishment"),
    # limit 10, cache 4: free up to 6 tokens, then (6 - |y|) / 4 down to -1 at 10.
    [(1, 0.0), (6, 0.0), (7, -0.25), (9, -0.75), (10, -1.0), (30, -1.0)],
)
def test_the_punishment_grows_over_the_cache(tokens, punishment):
    shaper = Overlong(Overlong.Config(limit_tokens=10, cache_tokens=4))
    assert shaper.shape(episode([1.0], tokens=tokens), [1.0]) == [1.0 + punishment]


def test_the_tokens_of_all_turns_count_and_the_last_turn_pays():
    # 3 turns of 3 tokens: 9 in all, so -0.75.
    shaper = Overlong(Overlong.Config(limit_tokens=10, cache_tokens=4))
    assert shaper.shape(episode([0.0, 0.5, 1.0], tokens=3), [0.0, 0.5, 1.0]) == [0.0, 0.5, 0.25]


def test_an_episode_without_turns_is_left_alone():
    assert Overlong(Overlong.Config()).shape(episode([]), []) == []


def test_a_cache_larger_than_the_limit_is_refused():
    with pytest.raises(ValueError, match=r"cache_tokens = 20 is more than limit_tokens = 10"):
        Overlong.Config(limit_tokens=10, cache_tokens=20)

"""BLEU that knows how long the reference is, on numbers worked out by hand."""

import pytest

from trainers.bleu import nearness


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("Paris", "paris", 1.0),
        ("in Paris", "Paris", 1 / 2),  # 1 of 2 words
        ("London", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("Paris", "", 0.0),
        ("New York", "New York City", 0.606531),  # both orders it has are right; exp(1 - 3/2) for being short
        ("York New City", "New York City", 0.396850),  # 1, 1/(2*2), 1/(4*1): cube root of 1/16
        ("the man who sold the world", "the man who sold the world", 1.0),
        # Orders to 4: 5/6, 4/5, 3/4, 2/3: fourth root of 1/3.
        ("the man who sold the moon", "the man who sold the world", 0.759836),
    ],
)
def test_a_short_answer_is_compared_in_as_many_orders_as_its_reference_has(answer, reference, score):
    assert nearness(answer, [reference]) == pytest.approx(score, abs=1e-5)


def test_the_nearest_reference_counts():
    assert nearness("NYC", ["New York City", "NYC"]) == 1.0
    assert nearness("NYC", []) == 0.0

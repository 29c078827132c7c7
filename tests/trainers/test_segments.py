"""Episodes as segments: ids are never tokenised again, and one prefix test cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import spoken

from trainers.segments import segments


def test_turns_that_continue_each_other_are_one_segment() -> None:
    [found] = segments(spoken([([1, 2], [3, 4]), ([1, 2, 3, 4, 5], [6])]), [0.5, -1.0])
    assert found.ids == [1, 2, 3, 4, 5, 6]
    assert found.mask == [False, False, True, True, False, True]
    assert found.advantages == [0, 0, 0.5, 0.5, 0, -1.0]
    assert found.turns == [-1, -1, 0, 0, -1, 1]


def test_a_prompt_that_is_cut_begins_a_segment() -> None:
    found = segments(spoken([([1, 2], [3]), ([1, 9], [4]), ([1, 9, 4, 5], [6])]), [1.0, 2.0, 3.0])
    assert [segment.ids for segment in found] == [[1, 2, 3], [1, 9, 4, 5, 6]]
    assert [segment.advantages for segment in found] == [[0, 0, 1.0], [0, 0, 2.0, 0, 3.0]]


def test_an_answer_tokenised_again_is_not_a_continuation() -> None:
    found = segments(spoken([([1], [2, 3]), ([1, 23], [4])]), [1.0, 1.0])
    assert [segment.ids for segment in found] == [[1, 2, 3], [1, 23, 4]]


def test_lengths_that_differ_and_turns_without_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="1 advantages for 2 turns"):
        segments(spoken([([1], [2]), ([1], [2])]), [1.0])
    with pytest.raises(ValueError, match="turn 0 carries no token ids"):
        segments(spoken([([], [2])]), [1.0])


ids = st.lists(st.integers(0, 5), min_size=1, max_size=5)


@given(st.lists(st.tuples(st.booleans(), ids, ids), min_size=1, max_size=6))
def test_every_sampled_id_is_in_exactly_one_segment_after_its_own_prompt(
    made: list[tuple[bool, list[int], list[int]]],
) -> None:
    turns: list[tuple[list[int], list[int]]] = []
    for goes_on, prompt, answer in made:
        past = [*turns[-1][0], *turns[-1][1]] if turns and goes_on else []
        turns.append(([*past, *prompt], answer))
    found = segments(spoken(turns), [float(index + 1) for index in range(len(turns))])
    for index, (prompt, answer) in enumerate(turns):
        [segment] = [segment for segment in found if index in segment.turns]
        start = segment.turns.index(index)
        assert segment.ids[:start] == prompt
        assert segment.ids[start : start + len(answer)] == answer
        assert segment.turns.count(index) == len(answer)
        assert all(segment.advantages[start + k] == index + 1 for k in range(len(answer)))

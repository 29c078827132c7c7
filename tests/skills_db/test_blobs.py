"""Arrays as bytes come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skills_db import blobs

IDS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=200)


@given(IDS)
def test_ids_come_back(ids: list[int]) -> None:
    assert blobs.unpack_ints(blobs.pack_ints(ids)).tolist() == ids


@given(st.lists(st.floats(width=32), max_size=200))
def test_floats_come_back_bit_for_bit(values: list[float]) -> None:
    back = blobs.unpack_floats(blobs.pack_floats(values))
    assert back.tobytes() == np.asarray(values, "<f4").tobytes()


@given(st.lists(st.integers(0, 3), max_size=20), st.lists(st.integers(0, 3), max_size=20))
def test_a_prompt_is_what_it_shares_and_its_tail(before: list[int], prompt: list[int]) -> None:
    first, second = np.array(before, np.int32), np.array(prompt, np.int32)
    shared, tail = blobs.delta(first, second)
    assert blobs.undelta(first, shared, tail).tolist() == prompt
    assert before[:shared] == prompt[:shared]
    assert shared == min(len(before), len(prompt)) or before[shared] != prompt[shared]


def test_deflate_is_used_where_it_pays_and_only_there() -> None:
    noise = np.random.default_rng(0).integers(-(2**31), 2**31, 1000)
    assert len(blobs.pack_ints([7] * 1000)) < 100
    assert len(blobs.pack_ints(noise)) == 4001
    assert len(blobs.pack_ints([1])) == 5
    assert blobs.pack_ints([]) == b""


def test_an_id_beyond_32_bits_is_refused() -> None:
    with pytest.raises(OverflowError):
        blobs.pack_ints([2**31])

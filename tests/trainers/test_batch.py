"""Padding, and the one shift between logits and ids."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.batch import Row, collate, preceding, sampled_logprobs, token_entropies, token_logprobs
from trainers.segments import Segment


def row(ids: list[int], mask: list[bool], *, temperature: float = 1.0) -> Row:
    n = len(ids)
    found = Segment(ids, mask, [-0.5 * m for m in mask], [2.0 * m for m in mask], [0 if m else -1 for m in mask])
    assert len(found) == n
    return Row(found, episode=1, group=2, ret=3.0, temperature=temperature)


def test_rows_are_padded_on_the_right_and_padding_is_never_real_or_sampled() -> None:
    batch = collate([row([5, 6, 7], [False, True, True]), row([8], [False])])
    assert batch.ids_BL.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.real_BL.tolist() == [[True] * 3, [True, False, False]]
    assert batch.mask_BL.tolist() == [[False, True, True], [False] * 3]
    assert batch.behaviour_BL.tolist() == [[0, -0.5, -0.5], [0, 0, 0]]
    assert batch.turn_BL.tolist() == [[-1, 0, 0], [-1, -1, -1]]
    assert batch.sampled_tokens == 2
    assert batch.to("cpu").ids_BL.equal(batch.ids_BL)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        collate([])


def test_an_id_is_scored_by_the_logits_of_the_position_before_it() -> None:
    logits_BLV = torch.zeros(1, 3, 4)
    logits_BLV[0, 0, 2] = 5.0  # after the first id, 2 is likely
    logits_BLV[0, 1, 3] = 5.0
    logp_BL = token_logprobs(logits_BLV, torch.tensor([[1, 2, 0]]))
    likely = 5.0 - torch.tensor([5.0, 0, 0, 0]).logsumexp(0)
    assert logp_BL[0, 0] == 0
    assert logp_BL[0, 1:].tolist() == pytest.approx([float(likely), float(likely) - 5.0], abs=1e-5)


def test_entropy_and_values_stand_where_the_id_was_drawn() -> None:
    logits_BLV = torch.zeros(1, 3, 4)
    logits_BLV[0, 1] = torch.tensor([100.0, 0, 0, 0])
    entropy_BL = token_entropies(logits_BLV)
    assert entropy_BL[0].tolist() == pytest.approx([0.0, torch.log(torch.tensor(4.0)).item(), 0.0], abs=1e-6)
    assert preceding(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[0.0, 1.0, 2.0]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 9))
def test_scoring_only_what_was_sampled_equals_scoring_everything(seed: int, rows: int, length: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden_BLD = torch.randn(rows, length, 6, generator=generator)
    head = torch.nn.Linear(6, 11)
    ids_BL = torch.randint(0, 11, (rows, length), generator=generator)
    mask_BL = torch.rand(rows, length, generator=generator) < 0.5
    mask_BL[:, 0] = False
    temperature_B = 0.5 + torch.rand(rows, generator=generator)
    read = sampled_logprobs(hidden_BLD, head, ids_BL, mask_BL, temperature_B, frozenset({"entropy", "greedy"}))
    logits_BLV = head(hidden_BLD) / temperature_B[:, None, None]
    torch.testing.assert_close(read.logp_BL, token_logprobs(logits_BLV, ids_BL) * mask_BL)
    torch.testing.assert_close(read.entropy_BL, token_entropies(logits_BLV) * mask_BL)
    likeliest_BL = torch.nn.functional.pad(logits_BLV[:, :-1].argmax(-1), (1, 0)) == ids_BL
    assert read.greedy_BL is not None
    assert read.greedy_BL.equal(likeliest_BL & mask_BL)

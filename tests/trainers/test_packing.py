"""Rows that lie side by side are read as if each were alone."""

from __future__ import annotations

import random
from pathlib import Path

import by_hand
import pytest
import torch
from test_learner import learner, nll

from trainers.algorithms.grpo import Grpo
from trainers.batch import Batch, Row, collate
from trainers.config import LoraConfig
from trainers.learn import learn_rows
from trainers.packing import Bins, pack
from trainers.rows import minibatches, packed
from trainers.segments import Segment

LENGTHS = [7, 2, 5, 3, 3]


def ids() -> torch.Tensor:
    """(5, 7): the tokens of a row are 10 times its number and their place in it."""
    ids_BL = torch.zeros(5, 7, dtype=torch.int64)
    for b, n in enumerate(LENGTHS):
        ids_BL[b, :n] = 10 * (b + 1) + torch.arange(n)
    return ids_BL


def mixed(*lengths: int) -> Batch:
    """Rows of random ids, of which two in three are sampled."""
    rng, rows = random.Random(0), []
    for number, n in enumerate(lengths):
        mask = [t > 3 and t % 3 > 0 for t in range(n)]
        found = [rng.randrange(5, 300) for _ in range(n)]
        segment = Segment(found, mask, [0.0] * n, [1.0 * m for m in mask], [0 if m else -1 for m in mask])
        rows.append(Row(segment, number, 0, 1.0, temperature=0.8))
    return collate(rows)


def test_rows_lie_where_they_first_fit_and_positions_begin_anew() -> None:
    found = pack(ids(), LENGTHS)
    assert found is not None
    assert found.ids_RK.tolist() == [
        [10, 11, 12, 13, 14, 15, 16],
        [30, 31, 32, 33, 34, 20, 21],
        [40, 41, 42, 50, 51, 52, 0],
    ]
    assert found.position_RK.tolist() == [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 0, 1], [0, 1, 2, 0, 1, 2, 6]]
    back_BL = found.unpacked(found.ids_RK[..., None]).squeeze(-1)
    assert all(back_BL[b, :n].tolist() == ids()[b, :n].tolist() for b, n in enumerate(LENGTHS))
    seen_KK = found.mask(torch.float32)[2, 0] == 0
    assert seen_KK.int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
    ]
    assert pack(ids(), [7, 7, 7, 7, 7]) is None


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
def test_log_probabilities_and_gradients_are_those_of_rows_that_are_padded(lora: LoraConfig | None) -> None:
    padded, beside = learner(lora, reference=True), learner(lora, reference=True, packing=True)
    whole = mixed(40, 12, 25, 9, 30)
    packed_in = pack(whole.ids_BL, whole.real_BL.sum(1).tolist())
    assert packed_in is not None
    assert len(packed_in.ids_RK) == 3
    for shown in (whole, mixed(20)):
        one, other = (each.forward(shown, frozenset({"entropy", "reference"})) for each in (padded, beside))
        for name in ("logp_BL", "entropy_BL", "reference_BL"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-5)
    assert nll(padded, whole) == pytest.approx(nll(beside, whole), abs=1e-5)
    for name, parameter in padded.parameters.items():
        torch.testing.assert_close(beside.parameters[name].grad, parameter.grad, rtol=1e-4, atol=1e-5)


def test_a_rows_neighbours_change_nothing() -> None:
    one, shown = learner(packing=True), mixed(40, 12, 25, 9, 30)
    before_BL = one.forward(shown).logp_BL
    shown.ids_BL[[1, 4]] = 7
    after_BL = one.forward(shown).logp_BL
    assert torch.equal(before_BL[[0, 2, 3]], after_BL[[0, 2, 3]])
    assert not torch.equal(before_BL[4], after_BL[4])


def test_long_rows_hold_at_most_what_a_batch_may() -> None:
    rng = random.Random(0)
    units = [[by_hand.row([1.0] * rng.randint(1, 30))] for _ in range(60)]
    runs = packed(units, 120, beside=True)
    assert sorted(map(id, (row for run in runs for row in run))) == sorted(id(unit[0]) for unit in units)
    for run in runs:
        bins = Bins(max(len(row.segment) for row in run))
        for row in run:
            bins.put(len(row.segment))
        assert len(bins) * bins.size <= 120
    assert len(runs) <= len(packed(units, 120))  # which are sorted by length, so that little is padding
    group = [by_hand.row([1.0] * n) for n in (30, 5, 5, 5, 5, 5, 5)]  # has to lie in one batch
    assert [len(packed([group] * 4, 120, beside=beside)) for beside in (False, True)] == [4, 2]


def test_long_rows_hold_at_most_what_a_batch_of_each_process_may() -> None:
    rng = random.Random(0)
    units = [[by_hand.row([1.0] * rng.randint(1, 30)) for _ in range(rng.randint(1, 3))] for _ in range(40)]
    runs = packed(units, 120, processes=2, beside=True)
    assert sum(map(len, runs)) == sum(map(len, units))
    for run in runs:
        longest_first = sorted((len(row.segment) for row in run), reverse=True)
        for own in (longest_first[number::2] for number in range(2) if longest_first[number:]):
            found = pack(torch.zeros(len(own), own[0], dtype=torch.int64), own)
            assert (len(own) * own[0] if found is None else found.ids_RK.numel()) <= 120
    assert len(runs) < len(packed(units, 120, beside=True))


class Taught(Grpo):
    """Grpo that a teacher reads for."""

    teacher = (Path("teacher"), "float32")


@pytest.mark.parametrize(
    ("kind", "critic", "padded"), [(Grpo, False, [240]), (Grpo, True, [60, 120]), (Taught, False, [60, 120])]
)
def test_rows_lie_side_by_side_only_where_nobody_reads_them_padded(
    kind: type[Grpo], critic: bool, padded: list[int]
) -> None:
    lengths = (40, 20, 20, 20, 10, 10)
    rows = [by_hand.row([None, *[1.0] * (n - 1)], episode=number) for number, n in enumerate(lengths)]
    one = learner(packing=True, critic=critic)
    batches, _ = learn_rows(by_hand.algorithm(kind, kl=0.0), one, rows, micro_tokens=120, rng=random.Random(0))
    assert sorted(batch.ids_BL.numel() for batch in batches) == padded


def test_a_minibatch_keeps_its_rows_and_its_scales() -> None:
    rows = [by_hand.row([None, *[1.0] * n], episode=n) for n in (9, 1, 2, 8, 3, 5)]
    algorithm = by_hand.algorithm(Grpo, kl=0.0)
    (part,) = minibatches(rows, algorithm, count=1, micro_tokens=20, rng=random.Random(0), beside=True)
    held: list[Batch] = part
    assert sum(len(one.episode_B) for one in held) == 6
    assert sum(one.scale for one in held) == pytest.approx(1)


def test_a_model_whose_attention_slides_is_refused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    from trainers.config import LearnerConfig
    from trainers.learner import Learner

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = MistralForCausalLM(MistralConfig(vocab_size=50, sliding_window=8, num_key_value_heads=1, **size))
    with pytest.raises(ValueError, match="attends to all"):
        Learner(model, LearnerConfig(packing=True))

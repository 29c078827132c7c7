"""Inputs of the second pass: never like the first pass's, and of the same meaning."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra [kernel]")

import torch

from envserver.envs._kernel.player import _twisted


def test_no_draw_of_an_unusual_input_looks_usual() -> None:
    for seed in range(300):
        torch.manual_seed(seed)
        for usual in (torch.randn(500), torch.rand(500), torch.rand(500) * 3):
            unusual = _twisted(usual)
            assert abs(float(unusual.std() / usual.std()) - 1) > 0.19
            assert abs(float(unusual.mean() - usual.mean())) > 0.05


def test_what_is_a_label_or_a_mask_stays_as_it_is() -> None:
    for one in (torch.arange(9), (torch.randn(64) > 0).float(), 3, torch.ones(2)):
        assert _twisted(one) is one


def test_what_cannot_be_negative_stays_so_and_shares_stay_shares() -> None:
    torch.manual_seed(0)
    assert float(_twisted(torch.rand(100)).max()) < 1
    assert float(_twisted(torch.rand(100) * 9).min()) >= 0

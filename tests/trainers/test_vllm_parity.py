"""Parity: what the trainer and a server say of the same ids."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from tiny import tiny_model

from trainers.engines._vllm.parity import Probe, widest_gap
from trainers.engines._vllm.wire import Answer
from trainers.models import load_model


def test_another_version_is_compared_beside_a_learner_that_reads_the_model() -> None:
    model, _ = load_model(tiny_model())
    other = {name: parameter.detach() + 0.1 for name, parameter in model.named_parameters()}
    ids = torch.arange(8)[None]
    asked, answers = [Probe([5, 6, 7], 1.0)] * 200, [Answer([8, 9], [-1.0, -1.0], "stop", ())] * 200
    with torch.no_grad(), ThreadPoolExecutor(1) as pool:
        before = model(input_ids=ids).logits
        comparing = pool.submit(widest_gap, model, other, asked, answers)
        while not comparing.done():
            assert model(input_ids=ids).logits.equal(before)
    assert comparing.result() != widest_gap(model, {}, asked[:1], answers[:1])

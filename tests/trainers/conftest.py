"""Real parts that several tests share."""

from __future__ import annotations

import asyncio

import pytest
import runs
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trainers.config import LearnerConfig
from trainers.learner import Learner
from trainers.loop import train
from trainers.run import Run

# Two threads that wait for each other on a busy machine lose a time slice at every operation.
torch.set_num_threads(1)


@pytest.fixture
def tiny_learner() -> Learner:
    """A Llama of a few thousand weights with a critic, and a reference that it has moved away from."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )
    learner = Learner(LlamaForCausalLM(config), LearnerConfig(), reference=True, critic=True)
    with torch.no_grad():
        for parameter in learner.parameters.values():
            parameter += 0.1 * torch.randn_like(parameter)
    return learner


@pytest.fixture(scope="session")
def tiny_run(gym_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of four steps after a few demonstrations; tests read it and change nothing."""
    config = runs.config(tmp_path_factory.mktemp("runs"), gym_url, "sft.demonstrations=6", "sft.lr=1e-3")
    return asyncio.run(train(config))

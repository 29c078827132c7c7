"""A learner that was saved goes on as if it had never stopped."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch
from test_learner import batch, learner, nll
from tiny import corpus

from trainers.config import LoraConfig, ScratchConfig
from trainers.learner import Learner
from trainers.models import build_model, load_model


def train(one: Learner, *seeds: int) -> None:
    for seed in seeds:
        shown = batch(seed=seed)
        nll(one, shown)
        if one.critic is not None:
            value_BL = one.forward(shown, frozenset({"value"})).value_BL
            assert value_BL is not None
            one.backward(((value_BL - 1) ** 2).mean())
        one.step()


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
def test_a_resumed_learner_takes_the_same_steps(tmp_path: Path, lora: LoraConfig | None) -> None:
    settings: dict[str, object] = {"reference": True, "critic": True, "warmup_steps": 6, "weight_decay": 0.1}
    straight = learner(lora, **settings)  # type: ignore[arg-type]
    train(straight, 0, 1)
    straight.save(tmp_path / "saved")
    drawn = torch.rand(3)
    train(straight, 2, 3)

    resumed = learner(lora, **settings)  # type: ignore[arg-type]
    resumed.load(tmp_path / "saved")
    assert torch.equal(torch.rand(3), drawn)
    assert resumed.version == 2
    train(resumed, 2, 3)
    for name, parameter in straight.parameters.items():
        assert torch.equal(parameter, resumed.parameters[name]), name
    wanted = frozenset({"reference", "value"})
    one, other = straight.forward(batch(seed=9), wanted), resumed.forward(batch(seed=9), wanted)
    assert torch.equal(one.reference_BL, other.reference_BL)  # type: ignore[arg-type]
    assert torch.equal(one.value_BL, other.value_BL)  # type: ignore[arg-type]


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    one = learner()
    train(one, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="state/ could not be written") as said:
            one.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(str(said.value).splitlines()) == 1


def test_the_policy_in_a_checkpoint_loads_like_any_model(tmp_path: Path) -> None:
    one = learner()
    train(one, 0)
    one.save(tmp_path)
    model, tokenizer = load_model(tmp_path / "model")
    ids_BL = torch.arange(5, 30)[None]
    assert torch.equal(model(ids_BL).logits, one.model(ids_BL).logits)
    assert tokenizer.eos_token == "<|end|>"


def test_a_checkpoint_of_another_model_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    size = ScratchConfig(hidden=32, layers=1, heads=2, kv_heads=1, ffn=64, context=512, vocab=600)
    other, _ = load_model(build_model(tmp_path / "other", corpus(), size, seed=0))
    Learner(other, learner().config).save(tmp_path / "saved")
    one = learner()
    before = {name: tensor.clone() for name, tensor in one.weights().items()}
    with pytest.raises(ValueError, match="belongs to another model"):
        one.load(tmp_path / "saved")
    adapted = learner(LoraConfig(r=4))
    with pytest.raises(ValueError, match="belongs to another model"):
        adapted.load(tmp_path / "saved")
    assert all(torch.equal(before[name], tensor) for name, tensor in one.weights().items())


def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    one = learner()
    with pytest.raises(ValueError, match="no whole checkpoint"):
        one.load(tmp_path)
    train(one, 0)
    one.save(tmp_path)
    (moments,) = (tmp_path / "state").glob("*.safetensors")
    moments.write_bytes(moments.read_bytes()[:1000])
    with pytest.raises(ValueError, match="no whole checkpoint"):
        one.load(tmp_path)


def test_a_checkpoint_without_what_the_run_needs_is_refused(tmp_path: Path) -> None:
    learner().save(tmp_path)
    with pytest.raises(ValueError, match="no reference policy"):
        learner(reference=True).load(tmp_path)
    with pytest.raises(ValueError, match="critic"):
        learner(critic=True).load(tmp_path)


def test_only_plain_files_are_written(tmp_path: Path) -> None:
    one = learner(critic=True, reference=True)
    train(one, 0)
    one.save(tmp_path)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds <= {".safetensors", ".json", ".jinja"}
    assert json.loads((tmp_path / "learner.json").read_text())["version"] == 1

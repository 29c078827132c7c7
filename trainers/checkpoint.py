"""A learner on disk: everything it needs to go on as if it had never stopped.

    model/                   the policy as a Hugging Face directory (or a peft adapter's), the tokenizer beside it
    optimizer.safetensors    AdamW's moments, by the parameter's name
    critic.safetensors       where there is a critic
    reference.safetensors    where a reference policy is kept
    rng.safetensors          torch's random states
    learner.json             version, steps skipped, and the shapes of what learns

Every file is flushed to the disk before `save` returns; the caller writes under another name and renames. A checkpoint
of another model is refused before anything is changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainers.disk import flush
from trainers.models import load_weights

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["load", "save"]


def save(learner: Learner, directory: Path) -> None:
    """Write the learner's files into `directory`, which is made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    learner.model.save_pretrained(directory / "model")  # type: ignore[operator]
    if learner.tokenizer is not None:
        learner.tokenizer.save_pretrained(directory / "model")
    moments = {
        f"{name}:{key}": value.detach().clone().contiguous()
        for name, parameter in learner.parameters.items()
        for key, value in learner.optimizer.state.get(parameter, {}).items()
    }
    save_file(moments, directory / "optimizer.safetensors")
    if learner.critic is not None:
        own = {name: p.detach().clone().contiguous() for name, p in learner.critic.named_parameters()}
        save_file(own, directory / "critic.safetensors")
    if learner.reference:
        own = {name: tensor.contiguous() for name, tensor in learner.reference.items()}
        save_file(own, directory / "reference.safetensors")
    rng = {"cpu": torch.get_rng_state()}
    if learner.device.type == "cuda":
        rng["cuda"] = torch.cuda.get_rng_state(learner.device)
    save_file(rng, directory / "rng.safetensors")
    state = {
        "version": learner.version,
        "skipped": learner.skipped,
        "phase_start": learner.phase_start,
        "shapes": _shapes(learner),
    }
    (directory / "learner.json").write_text(json.dumps(state))
    for path in [*directory.rglob("*"), directory]:
        flush(path)


def load(learner: Learner, directory: Path) -> None:
    """Put the learner into the state that was saved. Raises ValueError, in one sentence, where it does not fit."""
    try:
        state = json.loads((directory / "learner.json").read_text())
        moments = _read(directory / "optimizer.safetensors", learner)
        critic = _read(directory / "critic.safetensors", learner) if learner.critic is not None else {}
        kept = (directory / "reference.safetensors").is_file()
        reference = _read(directory / "reference.safetensors", learner) if kept and learner.reference else {}
        rng = load_file(directory / "rng.safetensors")
    except (OSError, json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(f"{directory} is no whole checkpoint of a learner: {error}") from error
    if learner.reference and not reference:
        raise ValueError(f"{directory} keeps no reference policy, but the algorithm needs one; begin a run of its own")
    _compare(state["shapes"], _shapes(learner), directory)
    load_weights(learner.model, directory / "model")
    if learner.critic is not None:
        with torch.no_grad():
            for name, parameter in learner.critic.named_parameters():
                parameter.copy_(critic[name])
    if reference:
        learner.restore_reference(reference)
    learner.version, learner.skipped = state["version"], state["skipped"]
    learner.phase_start = state["phase_start"]
    learner.optimizer = learner.fresh_optimizer()
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in moments.items():
        name, _, moment = key.rpartition(":")
        by_name.setdefault(name, {})[moment] = value
    for name, parameter in learner.parameters.items():
        if name in by_name:
            learner.optimizer.state[parameter] = by_name[name]
    torch.set_rng_state(rng["cpu"])
    if learner.device.type == "cuda" and "cuda" in rng:
        torch.cuda.set_rng_state(rng["cuda"], learner.device)


def _shapes(learner: Learner) -> dict[str, list[int]]:
    return {name: list(parameter.shape) for name, parameter in learner.parameters.items()}


def _compare(saved: dict[str, Any], own: dict[str, Any], directory: Path) -> None:
    different = sorted(name for name in saved.keys() | own.keys() if saved.get(name) != own.get(name))
    if different:
        name = different[0]
        raise ValueError(
            f"the checkpoint {directory} belongs to another model: {len(different)} weights differ, such as '{name}' "
            f"({saved.get(name, 'absent')} there, {own.get(name, 'absent')} here)"
        )


def _read(path: Path, learner: Learner) -> dict[str, Tensor]:
    return load_file(path, device=str(learner.device))

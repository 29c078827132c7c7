"""A learner on disk: everything it needs to go on as if it had never stopped, on as many processes as there are then.

    model/               the policy as a Hugging Face directory (or a peft adapter's), the tokenizer beside it
    state/*.safetensors  AdamW's moments, and the critic's weights and the reference policy's where they are kept, by
                         the parameter's name; of many processes each writes its shares (torch.distributed.checkpoint)
    rng.safetensors      torch's random states
    learner.json         version, steps skipped, and the shapes of what learns

Every file is flushed to the disk before `save` returns; the caller writes under another name and renames. A checkpoint
of another model is refused before anything is changed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from trainers import shards
from trainers.disk import flush
from trainers.models import saved_weights

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["check", "load", "save"]


def save(learner: Learner, directory: Path) -> None:
    """Write the learner's files into `directory`, which is made where it is missing."""
    first = shards.first(learner.mesh)
    directory.mkdir(parents=True, exist_ok=True)
    weights = shards.learned(learner.model, learner.mesh)
    (directory / "state").mkdir(exist_ok=True)
    if held := _state(learner, _moments(learner)):
        writer = HuggingFaceStorageWriter(str(directory / "state"), save_distributed=True)
        with _plainly():
            state_dict_saver.save(held, storage_writer=writer, no_dist=learner.mesh is None)
    if not first:
        return
    learner.model.save_pretrained(directory / "model", state_dict=weights)  # type: ignore[operator]
    if learner.tokenizer is not None:
        learner.tokenizer.save_pretrained(directory / "model")
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


def check(learner: Learner, directory: Path) -> tuple[dict[str, Any], dict[str, torch.Size]]:
    """What a checkpoint says of itself, and the shapes of what it holds. Raises ValueError where it does not fit."""
    try:
        state: dict[str, Any] = json.loads((directory / "learner.json").read_text())
        found = HuggingFaceStorageReader(str(directory / "state")).read_metadata().state_dict_metadata
        load_file(directory / "rng.safetensors")
    except (OSError, json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(f"{directory} is no whole checkpoint of a learner: {error}") from error
    _compare(state["shapes"], _shapes(learner), directory)
    held, wanted = {}, _sizes(learner)
    for name, value in found.items():
        assert isinstance(value, TensorStorageMetadata)
        held[name] = value.size
        parts = sum(chunk.sizes.numel() for chunk in value.chunks)
        if parts != value.size.numel() or value.size != wanted.get(name, value.size):
            raise ValueError(f"{directory} is no whole checkpoint of a learner: state/ lacks a part of '{name}'")
    if learner.reference and not any(name.startswith("reference/") for name in held):
        raise ValueError(f"{directory} keeps no reference policy, but the algorithm needs one; begin a run of its own")
    return state, held


def load(learner: Learner, directory: Path) -> None:
    """Put the learner into the state that was saved. Raises ValueError, in one sentence, where it does not fit."""
    state, held = check(learner, directory)
    learner.optimizer = learner.fresh_optimizer()
    moments = {
        name: torch.empty_like(parameter.detach()) if key != "step" else torch.empty(held[name], device=learner.device)
        for path, parameter in learner.parameters.items()
        for key in ("step", "exp_avg", "exp_avg_sq")
        if (name := f"moments/{path}:{key}") in held
    }
    if wanted := _state(learner, moments):
        reader = HuggingFaceStorageReader(str(directory / "state"))
        with _plainly():
            state_dict_loader.load(wanted, storage_reader=reader, no_dist=learner.mesh is None)
    own = {name: p.detach() for name, p in learner.model.named_parameters() if p.requires_grad}
    shards.spread(own, saved_weights(learner.model, directory / "model") if shards.first(learner.mesh) else None)
    learner.version, learner.skipped = state["version"], state["skipped"]
    learner.phase_start = state["phase_start"]
    for name, parameter in learner.parameters.items():
        found = {
            key.rpartition(":")[2]: value
            for key, value in moments.items()
            if key.removeprefix("moments/").rpartition(":")[0] == name
        }
        if found:
            learner.optimizer.state[parameter] = found
    rng = load_file(directory / "rng.safetensors")
    torch.set_rng_state(rng["cpu"])
    if learner.device.type == "cuda" and "cuda" in rng:
        torch.cuda.set_rng_state(rng["cuda"], learner.device)


@contextmanager
def _plainly() -> Iterator[None]:
    """One process is no mistake, whatever torch says of it; and what fails is an OSError of one sentence."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        try:
            yield
        except CheckpointException as error:
            # It is no Exception, and holds a traceback a process.
            cause, _ = next(iter(error.failures.values()))
            raise OSError(f"a checkpoint's state/ could not be written or read: {cause}") from error


def _moments(learner: Learner) -> dict[str, Tensor]:
    return {
        f"moments/{name}:{key}": value.detach()
        for name, parameter in learner.parameters.items()
        for key, value in learner.optimizer.state.get(parameter, {}).items()
    }


def _state(learner: Learner, moments: dict[str, Tensor]) -> dict[str, Any]:
    """What lies in state/; the learner's own tensors."""
    critic = learner.critic.named_parameters() if learner.critic is not None else ()
    return (
        moments
        | {f"critic/{name}": p.detach() for name, p in critic}
        | {f"reference/{name}": tensor for name, tensor in learner.reference.items()}
    )


def _sizes(learner: Learner) -> dict[str, torch.Size]:
    """Of what is in state/, but for counts of steps."""
    own = learner.parameters
    moments = {f"moments/{name}:{key}": p.shape for name, p in own.items() for key in ("exp_avg", "exp_avg_sq")}
    return moments | {name: tensor.shape for name, tensor in _state(learner, {}).items()}


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

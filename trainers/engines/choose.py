"""The engine that a run names."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn
from transformers import AutoConfig

from agents.chat import Chat
from trainers.config import RunConfig
from trainers.engines.base import Engine
from trainers.engines.local import Local
from trainers.models import causal_lm, context_tokens
from trainers.plugged import BadConfig

__all__ = ["engine_for", "served_model", "whole_context"]


def engine_for(config: RunConfig, model: nn.Module, chat: Chat) -> Engine:
    """The engine of a run, on the learner's own module or beside it; `load` has to be called before anybody samples.

    Raises BadConfig where it cannot sample from this model here.
    """
    settings = config.engine
    if settings.name == "local":
        return Local(
            model,
            stop_ids=chat.stop_ids,
            max_sessions=settings.max_sessions,
            context_tokens=settings.context_tokens,
            prefill_tokens=settings.prefill_tokens,
            threads=settings.threads,
            apart=config.sampling.staleness > 0,
        )
    from trainers.engines._vllm.keeper import Keeper
    from trainers.engines._vllm.wire import ServerError
    from trainers.engines.vllm import Vllm

    token, keeper = settings.vllm.token or os.environ.get("VLLM_API_KEY"), None
    if not settings.vllm.urls:
        keeper = Keeper.of(
            config,
            served_model(config, model),
            log=config.directory / "vllm.log",
            context_tokens=min(settings.context_tokens or context_tokens(model), context_tokens(model)),
            token=token,
        )
    try:
        return Vllm(model, settings, stop_ids=chat.stop_ids, tokenizer=chat.tokenizer, token=token, keeper=keeper)
    except ServerError as error:
        raise BadConfig(str(error)) from error


def whole_context(config: RunConfig, model: Path) -> int:
    """Longest sequence of a run on the model in this directory."""
    limit = int(AutoConfig.from_pretrained(model, local_files_only=True).get_text_config().max_position_embeddings)
    return min(config.engine.context_tokens or limit, limit)


def served_model(config: RunConfig, model: nn.Module | None = None) -> Path:
    """The directory a server of this run begins with, which stays where it is while the run learns.

    Its weights do not matter but for adapters: the run's own are loaded before anything is sampled. Raises BadConfig
    where there is none.
    """
    found = [config.directory / "model"]
    if config.model.path is not None and not (config.model.path / "adapter_config.json").exists():
        found.append(config.model.path)
    if model is not None:
        found.append(Path(causal_lm(model).config._name_or_path))  # what a GGUF file or an adapter's base became
    for path in found:
        if (path / "config.json").is_file():
            return path
    raise BadConfig(
        f"the run '{config.name}' has no model to serve yet; set model.path, or build one: trainer sft FILE"
    )

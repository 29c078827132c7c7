"""What the sampler of a run can be told: pydantic classes, frozen, unknown keys refused, no import of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["EngineConfig", "VllmConfig"]

DISTORTING = (
    "allowed_token_ids",
    "bad_words",
    "frequency_penalty",
    "logit_bias",
    "min_p",
    "min_tokens",
    "presence_penalty",
    "repetition_penalty",
    "structured_outputs",
    "top_k",
    "top_p",
)
"""Sampling options after which an answer is drawn from another distribution than the one that is learned."""
OURS = (
    "--api-key",
    "--dtype",
    "--enable-lora",
    "--enable-scale-out",
    "--generation-config",
    "--host",
    "--logits-processors",
    "--logprobs-mode",
    "--max-lora-rank",
    "--max-num-seqs",
    "--model",
    "--override-generation-config",
    "--port",
    "--quantization",
    "--served-model-name",
    "--weight-transfer-config",
)
"""Arguments of a server that the run decides, or that would change what is sampled from."""


class _Section(BaseModel):
    """What every section of a run's config keeps to."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class VllmConfig(_Section):
    """vLLM's servers, where `engine.name` is vllm."""

    urls: list[str] = []
    """Addresses of servers, all of one model; none: one is started here and ends with the run."""
    token: str | None = Field(None, exclude=True)
    """The servers' API key, better given as VLLM_API_KEY; it is written nowhere."""
    python: Path | None = None
    """The Python that has vLLM, for a server that is started here; none: $VLLM_PYTHON, else the trainer's own."""
    arguments: list[str] = []
    """Further arguments of a server that is started here, such as --tensor-parallel-size=2."""
    kv_cache_gib: int = Field(1, ge=1)
    """GiB of the KV cache of a server that is started here on a CPU; on a GPU vLLM takes its own share."""
    transfer: Literal["auto", "file", "nccl", "ipc", "lora"] = "auto"
    """How new weights reach a server. auto: `lora` where only an adapter is trained, else `file`."""
    directory: Path = Path("/dev/shm")
    """Where `file` and `lora` lay down weights; trainer and servers see it under the same path."""
    master: str = "127.0.0.1"
    """The trainer's address as servers reach it; `nccl` meets there."""
    in_flight: Literal["wait", "abort"] = "wait"
    """Of answers under way when weights change: wait for their end, or drop them and ask again under new weights."""
    parity_nats: float | None = Field(None, gt=0)
    """Most a server's log-probability of a probe may differ from the trainer's after a sync; none: 1e-4 in float32,
    0.25 in bfloat16, whose rounding hides small steps. Ours."""
    start_s: float = Field(600.0, gt=0)
    """Longest wait for a server to come up, or to come back."""
    sync_s: float = Field(300.0, gt=0)
    """Longest time a server may take for new weights."""
    answer_s: float = Field(600.0, gt=0)
    """Longest time a server may be silent about an answer before it counts as dead."""

    @model_validator(mode="before")
    @classmethod
    def _keeps_the_distribution(cls, found: Any) -> Any:
        for name in DISTORTING if isinstance(found, dict) else ():
            if name in found:
                raise ValueError(
                    f"{name} changes the distribution that answers are drawn from, and training would not know it; "
                    "player.temperature is all that may"
                )
        return found

    @field_validator("urls", mode="after")
    @classmethod
    def _are_addresses(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            if parts.password is not None:
                # Not the address itself: this sentence may be logged.
                raise ValueError("an address holds a password, which would be kept in config.json; use VLLM_API_KEY")
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"'{url}' is no address of a server; give one such as http://127.0.0.1:8000")
        if len({url.rstrip("/") for url in urls}) < len(urls):
            raise ValueError("an address stands twice in urls; name every server once")
        return [url.rstrip("/") for url in urls]

    @field_validator("arguments", mode="after")
    @classmethod
    def _leave_ours_alone(cls, arguments: list[str]) -> list[str]:
        for argument in arguments:
            if argument.partition("=")[0].replace("_", "-") in OURS:
                raise ValueError(
                    f"{argument} is decided by the run, or would change what is sampled from; leave it out"
                )
        return arguments


class EngineConfig(_Section):
    """What the sampler may use."""

    name: Literal["local", "vllm"] = "local"
    """The engine's registry name: in this process, or vLLM's servers."""
    max_sessions: int = Field(64, ge=1)
    """As many sequences decode at once; `local` remembers as many between turns. Of vLLM: of each server."""
    context_tokens: int | None = Field(None, ge=8)
    """Longest prompt and answer together; none: the model's own limit."""
    prefill_tokens: int = Field(4096, ge=16)
    """At most so many prompt tokens, padding included, are read in one forward pass."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of torch, for sampling and learning alike; none: torch decides. More than free cores is slower."""
    deterministic: bool = False
    """Sample a turn of all episodes at once, when every one has come to it: the same run twice is the same to the last
    bit, on the same machine with the same threads. Slow worlds then keep the sampler waiting. Of `local` alone."""
    vllm: VllmConfig = VllmConfig()
    """vLLM's servers."""

    @model_validator(mode="after")
    def _promises_what_it_keeps(self) -> EngineConfig:
        if self.deterministic and self.name == "vllm":
            raise ValueError("engine.deterministic is the engine local's; vLLM batches as requests come")
        return self

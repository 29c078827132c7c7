"""What runs in a stage: it makes a model of a source, calls it on what lies in the shared region, hands its output
over.

The same loop runs the reference and the candidate, each in a stage of its own. It keeps no clock, knows no expected
output and no tolerance, and nothing it says is believed but the bytes in the region: those are compared.

Messages are JSON, but for `g` and slots' numbers: one call for each slot, answered with `d` at once.
"""

from __future__ import annotations

import ast
import contextlib
import json
import mmap
import os
import socket
import statistics
import sys
import traceback
import types
from typing import Any, NoReturn

import torch

from envserver.envs._kernel.libraries import METER, offer, take_out
from envserver.envs._kernel.watching import Watching

__all__ = ["FILE", "play"]

FILE = "kernel.py"
MESSAGE_BYTES = 1 << 18
METERED = 5
"""Calls whose medians the share of kernels is taken from, so that one that was disturbed does not count."""


class Wrong(Exception):
    """Raised where an output cannot be taken: a kind of error, and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def play(link: socket.socket) -> NoReturn:
    """Do what the referee says until it is gone."""
    player = Player(link)
    while True:
        data, descriptors, _, _ = socket.recv_fds(link, MESSAGE_BYTES, 4)
        if not data:
            os._exit(0)
        if data[0] == 103:  # g
            player.go(data[1:])
            continue
        asked = json.loads(data)
        try:
            answer = getattr(player, f"do_{asked.pop('do')}")(*([descriptors] if descriptors else []), **asked)
        except Wrong as error:
            answer = {"kind": error.kind, "message": str(error)}
        except BaseException as error:
            answer = {"kind": "raised", "error": type(error).__name__, "message": _told(error)}
        link.send(json.dumps(answer or {}).encode())


class Player:
    """One model and the tensors it is called on."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.device = torch.device("cpu")
        self.module = types.ModuleType("kernel")
        self.model: Any = None
        self.region: torch.Tensor | None = None
        self.slots: list[Slot] = []
        self.results: dict[int, Any] = {}

    def do_read(
        self, descriptors: list[int] | None = None, *, source: str, device: str, libraries: list[Any], stub: bool
    ) -> dict[str, Any]:
        """Execute a source."""
        self.device = torch.device(device)
        if stub:
            take_out()
        offer(self.module, libraries, descriptors or [], stub)
        # Triton reads a kernel's source from its file.
        path = os.path.abspath(FILE)
        with open(path, "w") as file:
            file.write(source)
        self.module.__file__ = path
        sys.modules["kernel"] = self.module
        exec(compile(source, path, "exec"), self.module.__dict__)
        return {}

    def do_build(self, *, name: str, seed: int, arguments: str | None) -> dict[str, Any]:
        """Make the model; without `arguments` the source's own `get_init_inputs()` says them, and they are told."""
        made = ast.literal_eval(arguments) if arguments is not None else self.module.__dict__["get_init_inputs"]()
        kind = self.module.__dict__.get(name)
        if not isinstance(kind, type):
            raise Wrong("no_model", f"{name} is not a class")
        torch.manual_seed(seed)
        words = made if isinstance(made, dict) else {}
        model = kind(*([] if words else made), **words)
        if not isinstance(model, torch.nn.Module):
            raise Wrong("no_model", f"{name} is no torch.nn.Module")
        self.model = model.to(self.device)
        return {"arguments": repr(made)}

    def do_weigh(self) -> dict[str, Any]:
        """How many elements the inputs have, without making them."""
        with torch.device("meta"):
            made = self.module.__dict__["get_inputs"]()
        return {"elements": sum(one.numel() for one in made if isinstance(one, torch.Tensor))}

    def do_probe(self, *, seed: int) -> dict[str, Any]:
        """What inputs and outputs of the reference look like."""
        inputs = self._inputs(seed, False)
        with torch.no_grad():
            result = self.model(*[one.to(self.device) if isinstance(one, torch.Tensor) else one for one in inputs])
        outputs = _tensors(result)
        places = {one.untyped_storage().data_ptr() for one in inputs if isinstance(one, torch.Tensor)}
        return {
            "aliased": any(one.untyped_storage().data_ptr() in places for one in outputs),
            "inputs": [_spec(one) if isinstance(one, torch.Tensor) else {"value": repr(one)} for one in inputs],
            "outputs": [_spec(one) for one in outputs],
        }

    def do_map(self, descriptors: list[int], *, size_bytes: int, slots: list[dict[str, Any]]) -> None:
        """Lay inputs and outputs into the region."""
        region = torch.frombuffer(mmap.mmap(descriptors[0], size_bytes), dtype=torch.uint8)
        os.close(descriptors[0])
        self.region = region
        self.slots = [Slot(region, one, self.device) for one in slots]

    def do_make(self, *, seeds: list[int], twist: bool) -> None:
        """Write fresh inputs into the first slots."""
        for slot, seed in zip(self.slots, seeds, strict=False):
            for target, one in zip(slot.host, self._inputs(seed, twist), strict=True):
                if isinstance(target, torch.Tensor):
                    target.copy_(one)

    def do_upload(self) -> None:
        """On a GPU: bring what lies in the region onto it."""
        for slot in self.slots:
            slot.upload()
        self._wait()

    def do_call(self, *, slot: int) -> None:
        """One call that is not timed, with what it raises told."""
        with torch.no_grad():
            self.results[slot] = self.model(*self.slots[slot].inputs)
        self._wait()

    def go(self, slots: bytes) -> None:
        """One call for each slot."""
        try:
            with torch.no_grad():
                for slot in slots:
                    self.results[slot] = self.model(*self.slots[slot].inputs)
            self._wait()
            self.link.send(b"d")
        except BaseException as error:
            told = {"kind": "raised", "error": type(error).__name__, "message": _told(error)}
            self.link.send(json.dumps(told).encode())

    def do_hand(self, *, slots: list[int]) -> None:
        """Copy outputs into the region."""
        for slot in slots:
            self.slots[slot].take(self.results.pop(slot), self.device)

    def do_operators(self, *, slot: int) -> dict[str, Any]:
        """Which operators of torch a call runs, in order."""
        watching = Watching()
        with torch.no_grad(), watching:
            self.model(*self.slots[slot].inputs)
        return {"operators": watching.names}

    def do_share(self, *, slot: int) -> dict[str, Any]:
        """The share of a call's time that is spent in kernels, less what torch's operators do inside of them."""
        METER.begin(self.device.type == "cuda")
        watching = Watching()
        try:
            with torch.no_grad():
                own_s, whole_s = [], []
                for _ in range(METERED):
                    inside_s, began = METER.inside_s, METER.time()
                    self.model(*self.slots[slot].inputs)
                    whole_s.append(METER.time() - began)
                    own_s.append(METER.inside_s - inside_s)
                with watching:
                    self.model(*self.slots[slot].inputs)
        finally:
            METER.end()
        kernels_s = max(0.0, statistics.median(own_s) - watching.inside_s)
        return {"share": min(1.0, kernels_s / max(1e-9, statistics.median(whole_s)))}

    def do_without(self, *, slot: int, numel: int) -> dict[str, Any]:
        """A call whose kernels do nothing: how many results of torch's operators may be looked at, and how it ended."""
        watching, raised = Watching(numel), ""
        try:
            with torch.no_grad(), watching:
                self.results[slot] = self.model(*self.slots[slot].inputs)
        except Exception as error:
            raised = _told(error)
        self.kept = watching.kept
        return {"results": len(watching.kept), "raised": raised}

    def do_show(self, *, slot: int, index: int) -> dict[str, Any]:
        """Copy a result of `without` into the place of the first output that it fits."""
        one = self.kept[index]
        for at, place in enumerate(self.slots[slot].outputs):
            if place.numel() == one.numel():
                place.copy_(one.reshape(place.shape).to(place.dtype))
                return {"output": at}
        return {"output": None}

    def _inputs(self, seed: int, twist: bool) -> list[Any]:
        torch.manual_seed(seed)
        made = list(self.module.__dict__["get_inputs"]())
        return [_twisted(one) for one in made] if twist else made

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class Slot:
    """Where one call's inputs and outputs lie."""

    def __init__(self, region: torch.Tensor, told: dict[str, Any], device: torch.device) -> None:
        self.host = [
            _view(region, one) if "value" not in one else ast.literal_eval(one["value"]) for one in told["inputs"]
        ]
        self.outputs = [_view(region, one) for one in told["outputs"]]
        self.single = told["single"]
        self.aliased = told["aliased"]
        start = region.data_ptr()
        self.range = start, start + region.numel()
        self.inputs = [one.to(device) if isinstance(one, torch.Tensor) else one for one in self.host]

    def upload(self) -> None:
        for host, there in zip(self.host, self.inputs, strict=True):
            if isinstance(host, torch.Tensor) and there is not host:
                there.copy_(host)

    def take(self, result: Any, device: torch.device) -> None:
        """Copy an output into its place. Raises Wrong."""
        given = _tensors(result)
        if len(given) != len(self.outputs):
            raise Wrong("output_type", f"it returns {len(given)} tensors; the reference returns {len(self.outputs)}")
        for number, (one, place) in enumerate(zip(given, self.outputs, strict=True)):
            name = "the output" if len(given) == 1 else f"output {number}"
            if type(one) not in (torch.Tensor, torch.nn.Parameter):
                raise Wrong("output_type", f"{name} is a {type(one).__name__}; return a plain torch.Tensor")
            if one.layout != torch.strided or one.is_quantized or one.is_conj() or one.is_neg():
                raise Wrong("output_type", f"{name} is not a plain dense tensor")
            if one.device.type != device.type:
                raise Wrong("output_device", f"{name} is on {one.device}; the inputs are on {device}")
            if one.shape != place.shape:
                raise Wrong("output_shape", f"{name} has shape {_shape(one)}; the reference's has {_shape(place)}")
            if one.dtype != place.dtype:
                raise Wrong("output_dtype", f"{name} is {one.dtype}; the reference's is {place.dtype}")
            if not torch.ops.aten.is_non_overlapping_and_dense(one):
                raise Wrong(
                    "output_strides",
                    f"{name} has strides {tuple(one.stride())} for shape {_shape(one)}: its elements do not each have "
                    f"a place of their own without gaps; return a contiguous tensor",
                )
            low, high = self.range
            if device.type == "cpu" and not self.aliased and low <= one.data_ptr() < high:
                raise Wrong("output_aliased", f"{name} lies in an input's memory; return a tensor of its own")
            place.copy_(one)


def _twisted(one: Any) -> Any:
    """An input of another distribution, as far as its meaning allows: labels, indices and masks stay as they are.

    Its scale is at least a fifth off, and what may be negative is moved by a fifth too, so no draw looks usual.
    """
    if not isinstance(one, torch.Tensor) or not one.is_floating_point() or one.numel() < 5:
        return one
    if len(torch.unique(one.flatten()[:1024])) <= 4:
        return one
    low, high = one.min(), one.max()
    smaller, step, larger, sign = torch.rand(4).tolist()
    if low >= 0 and high <= 1:
        return one * (0.35 + 0.45 * smaller)
    scale = 0.6 + 0.2 * smaller if larger < 0.5 else 1.0 + 0.4 * larger
    if low >= 0:
        return one * scale
    return one * scale + (0.2 + 0.3 * step) * (1 if sign < 0.5 else -1)


def _tensors(result: Any) -> list[Any]:
    found = list(result) if isinstance(result, (tuple, list)) else [result]
    for one in found:
        if not isinstance(one, torch.Tensor):
            raise Wrong("output_type", f"it returns a {type(one).__name__}; return a tensor, or a tuple of tensors")
    return found


def _spec(one: torch.Tensor) -> dict[str, Any]:
    return {
        "dtype": str(one.dtype).removeprefix("torch."),
        "shape": list(one.shape),
        "size_bytes": one.numel() * one.element_size(),
    }


def _view(region: torch.Tensor, told: dict[str, Any]) -> torch.Tensor:
    flat = region[told["at"] : told["at"] + told["size_bytes"]].view(getattr(torch, told["dtype"]))
    return flat.view(told["shape"])


def _shape(one: torch.Tensor) -> str:
    return f"({', '.join(map(str, one.shape))})"


def _told(error: BaseException) -> str:
    """What was raised, and in which line of the submission."""
    text = f"{type(error).__name__}: {error}"
    with contextlib.suppress(Exception):
        lines = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == os.path.abspath(FILE)
        ]
        if lines:
            text = f"line {lines[-1].lineno}, in {lines[-1].name}: {lines[-1].line}\n{text}"
    return text[:2000]

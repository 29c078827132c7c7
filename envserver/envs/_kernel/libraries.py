"""How a submission calls its compiled code: `kernels.NAME(tensors and numbers)`, or what `load_inline` returned.

A library comes as a descriptor of an anonymous file; it is opened where the submission is, and nowhere else. Taken out,
`kernels` has the same functions and each does nothing.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import sys
import time
import types
from typing import Any

import torch

__all__ = ["CONTENTS", "METER", "NUMBERS", "Kernels", "Meter", "offer", "take_out"]

NUMBERS: dict[str, Any] = {
    "float": ctypes.c_float, "double": ctypes.c_double, "bool": ctypes.c_bool,
    "int8": ctypes.c_int8, "int16": ctypes.c_int16, "int32": ctypes.c_int32, "int64": ctypes.c_int64,
    "uint8": ctypes.c_uint8, "uint16": ctypes.c_uint16, "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64,
}  # fmt: skip
"""Type of an argument -> how it is passed."""
CONTENTS: dict[str, tuple[torch.dtype, ...]] = {
    "float": (torch.float32,), "double": (torch.float64,), "bool": (torch.bool,),
    "int8": (torch.int8,), "int16": (torch.int16,), "int32": (torch.int32,), "int64": (torch.int64,),
    "uint8": (torch.uint8, torch.bool), "uint16": (torch.float16, torch.bfloat16, torch.int16, torch.uint16),
    "uint32": (torch.int32, torch.uint32), "uint64": (torch.int64, torch.uint64),
    "half": (torch.float16,), "bfloat16": (torch.bfloat16,), "void": (),
}  # fmt: skip
"""Type behind a pointer -> tensors that may lie there; `void`: any."""


class Meter:
    """The time inside of compiled functions: CPU time of all threads; on a GPU wall time between synchronisations."""

    def __init__(self) -> None:
        self.on = self.inside = self.gpu = False
        self.inside_s = 0.0

    def begin(self, gpu: bool) -> None:
        self.on, self.gpu, self.inside_s = True, gpu, 0.0

    def end(self) -> None:
        self.on = False

    def time(self) -> float:
        if self.gpu:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def through(self, function: Any, *given: Any, **words: Any) -> Any:
        """Call a compiled function."""
        if not self.on:
            return function(*given, **words)
        self.inside, began = True, self.time()
        try:
            return function(*given, **words)
        finally:
            self.inside_s += self.time() - began
            self.inside = False


METER = Meter()


class Kernels:
    """The functions of a library, by their names."""


def _function(name: str, arguments: list[str], result: str, foreign: Any) -> Any:
    """A function that takes tensors for pointers. `foreign` does the work; None: nothing does."""
    pointers = [one[:-1] if one.endswith("*") else None for one in arguments]
    if foreign is not None:
        foreign.argtypes = [NUMBERS.get(one, ctypes.c_void_p) for one in arguments]
        foreign.restype = NUMBERS.get(result)

    def call(*given: Any) -> Any:
        if len(given) != len(pointers):
            raise TypeError(f"{name} takes {len(pointers)} arguments, not {len(given)}: {', '.join(arguments)}")
        passed = []
        for number, (one, kind) in enumerate(zip(given, pointers, strict=True)):
            if kind is None:
                if isinstance(one, torch.Tensor):
                    raise TypeError(f"argument {number} of {name} is a number ({arguments[number]}), not a tensor")
                passed.append(one)
                continue
            if not isinstance(one, torch.Tensor):
                raise TypeError(
                    f"argument {number} of {name} is a tensor ({arguments[number]}), not {type(one).__name__}"
                )
            if CONTENTS[kind] and one.dtype not in CONTENTS[kind]:
                raise TypeError(f"argument {number} of {name} is {arguments[number]}, and the tensor is {one.dtype}")
            if not one.is_contiguous():
                raise ValueError(f"argument {number} of {name} is not contiguous; call .contiguous() before")
            passed.append(one.data_ptr())
        return METER.through(foreign, *passed) if foreign is not None else None

    call.__name__ = name
    return call


def offer(module: types.ModuleType, libraries: list[dict[str, Any]], descriptors: list[int], stub: bool) -> None:
    """Put what was compiled where the submission looks for it."""
    kernels, inline = Kernels(), {}
    for told, descriptor in zip(libraries, descriptors, strict=True):
        path = f"/proc/self/fd/{descriptor}"
        if told["kind"] == "inline":
            inline[told["name"]] = _inline(told, path, stub)
            continue
        opened = None if stub else ctypes.CDLL(path)
        for one in told["functions"]:
            foreign = getattr(opened, one["name"]) if opened else None
            setattr(kernels, one["name"], _function(one["name"], one["arguments"], one["result"], foreign))
    if any(told["kind"] == "plain" for told in libraries):
        module.__dict__["kernels"] = kernels
    if inline:
        shown = types.ModuleType("torch.utils.cpp_extension")
        shown.load_inline = lambda name, *rest, **words: inline[name]  # type: ignore[attr-defined]
        sys.modules[shown.__name__] = shown
        setattr(torch.utils, "cpp_extension", shown)  # noqa: B010


def _inline(told: dict[str, Any], path: str, stub: bool) -> Any:
    if stub:
        found = types.SimpleNamespace()
        for name in told["functions"]:
            setattr(found, name, lambda *rest, **words: None)
        return found
    loader = importlib.machinery.ExtensionFileLoader(told["name"], path)
    spec = importlib.util.spec_from_file_location(told["name"], path, loader=loader)
    assert spec is not None
    built, found = importlib.util.module_from_spec(spec), types.SimpleNamespace()
    loader.exec_module(built)
    for name in told["functions"]:
        setattr(found, name, functools.partial(METER.through, getattr(built, name)))
    return found


def take_out() -> None:
    """Have Triton's and Numba's kernels do nothing, before a submission defines them."""
    triton = sys.modules.get("triton")
    if triton is not None:
        triton.jit = _nothing  # type: ignore[attr-defined]
        triton.autotune = triton.heuristics = lambda *rest, **words: lambda kernel: kernel  # type: ignore[attr-defined]
    numba = sys.modules.get("numba")
    if numba is not None:
        for name in ("jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc"):
            setattr(numba, name, _nothing)


class _Nothing:
    """A kernel that does nothing, called as Numba's or launched as Triton's."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *rest: Any, **words: Any) -> None:
        return None

    def __getitem__(self, grid: Any) -> Any:
        return self


def _nothing(*rest: Any, **words: Any) -> Any:
    """`@jit` and `@jit(...)`."""
    if len(rest) == 1 and callable(rest[0]) and not words:
        return _Nothing(rest[0])
    return _Nothing

"""How far an output may be from the expected one, by dtype. Ours; KernelGYM allows 1e-2 for all."""

from __future__ import annotations

__all__ = ["TOLERANCES"]

TOLERANCES = {"float64": 1e-7, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}

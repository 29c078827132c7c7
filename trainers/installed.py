"""What has to be installed before anything is learned."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["needs_training"]


def needs_training() -> None:
    """Raise a sentence where the extra that brings torch is missing."""
    for module in ("torch", "transformers", "safetensors", "tensorboard", "matplotlib"):
        if find_spec(module) is None:
            raise RuntimeError(f"this needs '{module}': pip install 'turnhalle[train]'")

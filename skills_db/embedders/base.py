"""What an embedder is.

Vectors of two embedders are never compared: `name` is kept beside each vector, and another name where the same text
would get another vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

__all__ = ["Embedder", "EmbedderConfig"]


class EmbedderConfig(BaseModel):
    """Base of every embedder's options."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Embedder(ABC):
    """Turns text into vectors."""

    Config: ClassVar[type[EmbedderConfig]] = EmbedderConfig

    name: str
    """Names the space."""
    dimensions: int

    @abstractmethod
    def __init__(self, config: EmbedderConfig) -> None:
        """Load what it needs. Raises EmbedderMissing."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows."""

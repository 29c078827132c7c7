"""Any sentence-transformers model in a local directory; nothing is downloaded.

The name of the space is that of the directory and a digest of its configuration and weights' sizes, so that two models
in directories of one name are told apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from skills_db.embedders.base import Embedder, EmbedderConfig
from skills_db.errors import EmbedderMissing

__all__ = ["SentenceTransformers", "SentenceTransformersConfig"]


class SentenceTransformersConfig(EmbedderConfig):
    """Options of the embedder."""

    directory: Path
    """Directory of the model, as `SentenceTransformer.save` writes it."""
    batch: int = 64
    """Texts a forward pass."""


class SentenceTransformers(Embedder):
    """A sentence-transformers model on the CPU."""

    Config = SentenceTransformersConfig

    def __init__(self, config: EmbedderConfig) -> None:
        assert isinstance(config, SentenceTransformersConfig)
        directory = config.directory.expanduser()
        if not (directory / "modules.json").is_file():
            raise EmbedderMissing(
                f"{directory} holds no sentence-transformers model: name a directory with modules.json"
            )
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise EmbedderMissing("embedding by a model needs its extra: pip install 'turnhalle[embed]'") from error
        self._model = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
        self._batch = config.batch
        self.dimensions = int(self._model.encode([""], show_progress_bar=False).shape[1])
        self.name = f"{directory.name}-{_digest(directory)}"

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows."""
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        rows_ND = self._model.encode(
            clean, batch_size=self._batch, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(rows_ND, np.float32)


def _digest(directory: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(directory)} {path.stat().st_size}\n".encode())
            if path.suffix == ".json":
                whole.update(path.read_bytes())
    return whole.hexdigest()[:8]

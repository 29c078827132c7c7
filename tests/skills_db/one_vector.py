"""A sentence-transformers that is none: every text has the same vector."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest


class FakeModel:
    def __init__(self, directory: str, **options: object) -> None:
        assert options == {"device": "cpu", "local_files_only": True}

    def encode(self, texts: list[str], **options: object) -> np.ndarray:
        for text in texts:
            text.encode("utf-8")
        return np.array([[1.0, 0.0, 0.0]] * len(texts))


def fake_model(parent: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a model for it, in `parent`."""
    library = types.ModuleType("sentence_transformers")
    library.SentenceTransformer = FakeModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    home = parent / "model"
    home.mkdir(parents=True)
    (home / "modules.json").write_text("[]")
    return home

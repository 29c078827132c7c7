"""Which embedder a name means: a file of `skills_db.embedders`, or a directory with a sentence-transformers model."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from skills_db import embedders
from skills_db.embedders.base import Embedder
from skills_db.embedders.hashing import Hashing
from skills_db.errors import EmbedderMissing

__all__ = ["Embedder", "Hashing", "load_embedder", "names"]


def names() -> list[str]:
    """Names on the shelf, without importing any of them."""
    return sorted(module.name for module in pkgutil.iter_modules(embedders.__path__) if module.name != "base")


def load_embedder(name: str = "hashing", **options: Any) -> Embedder:
    """The embedder of this name with these options; a path is a model's directory. Raises EmbedderMissing."""
    if "/" in name:
        name, options = "sentence_transformers", {"directory": Path(name), **options}
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names())}, or a model's directory"
        raise EmbedderMissing(f"no embedder is named '{name}'; {hint}")
    module = importlib.import_module(f"skills_db.embedders.{name}")
    kind: type[Embedder] = next(
        item for public in module.__all__ if issubclass(item := getattr(module, public), Embedder)
    )
    try:
        return kind(kind.Config(**options))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EmbedderMissing(f"the embedder {name} cannot have {place} so: {first['msg']}") from error

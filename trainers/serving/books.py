"""What a served policy must know again after it was killed, beside its checkpoint: which data may not train.

Rule: it is on disk before an evolver is asked, so that whatever happens meanwhile, the episodes it reads count as what
taught the skills that may be in the store by then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agents.types import Episode
from trainers.query import QueryData
from trainers.run import rewrite

__all__ = ["Books"]


class Books:
    """One file."""

    def __init__(self, path: Path, data: QueryData) -> None:
        self._path = path
        self._data = data

    def read(self) -> None:
        """Go on from what an earlier process left."""
        if not self._path.exists():
            return
        found = json.loads(self._path.read_text())
        skills = found["skills"]
        if found["teaching"]:
            support = sorted({*skills["support"], *found["teaching"]})
            skills = {"generation": skills["generation"] + 1, "support": support}
        self._data.load_state_dict(skills)
        self.write()

    def write(self, teaching: Sequence[Episode] = ()) -> None:
        """Keep the state as it is, and who is about to teach."""
        ids = [episode.id for episode in teaching]
        rewrite(self._path, json.dumps({"skills": self._data.state_dict(), "teaching": ids}) + "\n")

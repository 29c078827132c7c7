"""Which task is asked for, in the words that clients and data sets of the field have."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from envserver.errors import UnknownTask
from envserver.schema import Task

__all__ = ["Choice", "Page"]

Page = Callable[[str, int], Awaitable[tuple[list[str], int]]]
"""(split, offset) -> the key at that place, in a list that is empty past the split's end, and the split's size."""


class Choice(BaseModel):
    """Which task is asked for; keys that are not here are the client's business."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    key: Annotated[str, Field(max_length=512)] | None = None
    """Names the task itself."""
    split: Annotated[str, Field(max_length=128)] | None = None
    """Where the task is taken from; the environment's first split unless said."""
    index: Annotated[int, Field(ge=0, lt=1 << 53, strict=True)] | None = None
    """Its place in the split; without it the seed decides, modulo the split's size."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63, strict=True)] | None = None
    """The same seed, the same episode; without it, and without `index`, any task of the split."""
    options: dict[str, JsonValue] = {}
    """Options of the environment, as in `Task.options`."""

    async def task(self, env: str, first_split: str, page: Page) -> Task:
        """The task. Raises UnknownTask where the split ends before it, and what `page` does."""
        key = self.key
        if key is None:
            split = first_split if self.split is None else self.split
            place = self.index
            if place is None:
                _, total = await page(split, 0)
                if not total:
                    raise UnknownTask(f"'{env}' has no tasks in '{split}'; name a split that has some")
                place = random.randrange(total) if self.seed is None else self.seed % total
            keys, total = await page(split, place)
            if not keys:
                last = f"the last index is {total - 1}" if total else "name a split that has some"
                raise UnknownTask(f"'{env}' has {total} tasks in '{split}'; {last}")
            key = keys[0]
        return Task(env=env, key=key, seed=self.seed or 0, options=self.options)

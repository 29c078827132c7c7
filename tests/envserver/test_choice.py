"""Which task an episode plays, where a client says less than its key."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from envserver.choice import Choice
from envserver.errors import UnknownTask


async def of_three(split: str, offset: int) -> tuple[list[str], int]:
    keys = ["a", "b", "c"] if split == "train" else []
    return keys[offset:], len(keys)


@pytest.mark.parametrize(("asked", "key"), [({"index": 1}, "b"), ({"seed": 5}, "c"), ({"key": "other"}, "other")])
async def test_a_place_or_a_seed_or_a_key_names_the_task(asked: dict[str, JsonValue], key: str) -> None:
    assert (await Choice.model_validate(asked).task("env", "train", of_three)).key == key


@pytest.mark.parametrize("asked", [{}, {"seed": 5}, {"index": 0}])
async def test_a_split_without_tasks_is_said(asked: dict[str, JsonValue]) -> None:
    choice = Choice.model_validate({"split": "valid", **asked})
    with pytest.raises(UnknownTask, match=r"'env' has (no|0) tasks in 'valid'; name a split that has some"):
        await choice.task("env", "train", of_three)

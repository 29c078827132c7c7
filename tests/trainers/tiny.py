"""A model so small that a test can afford it: two layers of width 64, and the text its tokenizer is trained on."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, StepResult, Task
from trainers.config import ScratchConfig
from trainers.models import build_model

SIZE = ScratchConfig(hidden=64, layers=2, heads=4, kv_heads=2, ffn=128, context=512, vocab=600)
KEEP: list[tempfile.TemporaryDirectory[str]] = []


def corpus(seed: int = 0) -> Iterator[str]:
    """Something like a text game."""
    rng = random.Random(seed)
    rooms = ["kitchen", "pantry", "garden", "attic", "cellar", "bedroom", "corridor", "office", "shed", "bathroom"]
    things = ["apple", "key", "lamp", "book", "knife", "carrot", "chest", "door", "fridge", "table", "stove"]
    for _ in range(200):
        room, one, other = rng.choice(rooms), rng.choice(things), rng.choice(things)
        yield f"-= {room.title()} =-\nYou are in a {room}. You see a {one} and a {other}. Score {rng.randrange(100)}."


@functools.cache
def tiny_model() -> Path:
    """Directory of the model, made once a test process."""
    KEEP.append(tempfile.TemporaryDirectory())
    return build_model(Path(KEEP[0].name) / "model", corpus(), SIZE, seed=0)


def spoken(turns: list[tuple[list[int], list[int]]]) -> Episode:
    """An episode whose turns have these prompt ids and sampled ids."""
    made = []
    for prompt_ids, ids in turns:
        sample = Sample(ids=ids, logprobs=[0.0] * len(ids), stop="stop", temperature=1.0, version=0)
        result = StepResult(observation=Observation(text="."))
        made.append(Turn(Prompt([]), Move(prompt_ids, sample, ""), Reply(Action(text="go")), result))
    return Episode(Task(env="keydoor", key="doors-2/train/0000"), made, StopReason.DONE)

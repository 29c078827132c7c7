"""Demonstrations told again with thoughts: the same turns, each answer with a tag and its words.

Rule: what was played stays: actions, results and their order. Prompts and ids are made again, as they follow from the
answers; an annotation that the format does not read as the same actions is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from agents.chat import Chat
from agents.contexts.base import Context
from agents.formats.rlvmr import Rlvmr
from agents.policies.base import shown_move
from agents.types import Episode, History, Turn
from trainers.annotators.base import Annotator, Notes
from trainers.display import Display

__all__ = ["annotated", "retold"]


async def annotated(
    episodes: Sequence[Episode],
    annotator: Annotator,
    format: Rlvmr,
    context: Context,
    *,
    chat: Chat | None,
    display: Display,
) -> list[tuple[Episode, Notes]]:
    """The episodes told again, with their notes; those without an annotation are left out, and counted aloud.

    Raises ValueError where that leaves none.
    """
    with display.bar("annotating", len(episodes)) as bar:
        notes = await annotator.notes(episodes, bar.advance)
    found = [(episode, note) for episode, note in zip(episodes, notes, strict=True) if note is not None]
    if left_out := len(episodes) - len(found):
        display.say(f"{left_out} of {len(episodes)} demonstrations were left out: no annotation has their actions")
    if episodes and not found:
        raise ValueError(
            f"none of {len(episodes)} demonstrations could be annotated; try another sft.annotator, such as 'rules'"
        )
    told: list[tuple[Episode, Notes]] = []
    with display.bar("tokenising", len(found)) as bar:
        for episode, note in found:
            told.append((await retold(episode, note, format, context, chat=chat), note))
            bar.advance()
            await asyncio.sleep(0)  # the connection to the worlds wants its pings answered meanwhile
    return told


async def retold(episode: Episode, notes: Notes, format: Rlvmr, context: Context, *, chat: Chat | None) -> Episode:
    """The same episode with these thoughts. Raises ValueError where they would change what was played."""
    if episode.opened is None or len(notes) != len(episode.turns):
        raise ValueError(f"{len(notes)} notes for {len(episode.turns)} turns")
    history = History(episode.task, episode.opened)
    for turn, note in zip(episode.turns, notes, strict=True):
        action = turn.reply.action
        prompt = await context.prompt(history)
        if "summary" in (prompt.kind, turn.prompt.kind):
            raise ValueError("thoughts move the places of summaries; take another format, or another context")
        text = turn.move.text if action is None else format.tell(note.tag, note.words, action, history)
        reply = format.parse(text, history)
        if reply.action != action:
            raise ValueError(f"the thought {note.words[:80]!r} changes what is played")
        history.turns.append(Turn(prompt, shown_move(text, prompt, history.before(prompt), chat), reply, turn.result))
    return replace(episode, turns=history.turns)

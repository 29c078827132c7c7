"""One episode of a run, read back from memory as a transcript."""

from __future__ import annotations

from pathlib import Path

from agents.chat import Chat
from agents.transcript import transcript
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode
from trainers.plugged import BadConfig
from trainers.remember import recalled
from trainers.run import Run, find_checkpoint

__all__ = ["replay"]


def replay(directory: Path, episode: str | None, *, tokens: bool) -> str:
    """The transcript of an episode: by id, by number in the order of play (0 is the first, -1 the last), None the last.

    `tokens` adds each sampled id with its piece, log-probability and advantage. Raises BadConfig, StoreError.
    """
    run = Run(directory)
    config = run.config()
    if not run.memory_run.exists():
        raise BadConfig(f"the run '{directory}' has not played yet")
    with open_store(config.store.url, create=False, readonly=True) as store:
        kept = _find(store, run.memory_run.read_text(), episode)
    chat = _chat(directory) if tokens else None
    found, advantages = recalled(kept, stop_ids=chat.stop_ids if chat else ())
    return transcript(found, tokens=tokens, chat=chat, advantages=advantages)


def _find(store: Store, run: str, episode: str | None) -> NewEpisode:
    number = -1 if episode is None else _number(episode)
    if number is None:
        assert episode is not None
        return store.episode(episode)
    newest = number < 0
    found = store.episodes(run=run, limit=1, offset=-number - 1 if newest else number, newest=newest)
    if not found:
        raise BadConfig(f"the run has no episode number {number}; 0 is the first, -1 the last")
    return store.episode(found[0].id)


def _number(episode: str) -> int | None:
    try:
        return int(episode) if len(episode) < 10 else None
    except ValueError:
        return None


def _chat(directory: Path) -> Chat:
    """The run's tokenizer, for the pieces."""
    from transformers import AutoTokenizer

    return Chat(AutoTokenizer.from_pretrained(find_checkpoint(directory).model))

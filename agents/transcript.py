"""An episode as plain text, for people: commands, logs, docs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.chat import Chat
from agents.formats.base import spoken
from agents.types import Episode, Turn

__all__ = ["printable", "transcript"]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def transcript(
    episode: Episode,
    *,
    tokens: bool = False,
    chat: Chat | None = None,
    advantages: Sequence[float] | None = None,
) -> str:
    """What was shown, said and played, turn by turn, and how it ended.

    `tokens` adds a row for each sampled token: id, piece (with a `chat`), log-probability in nats, and the turn's
    advantage. `advantages` is (T,). Raises ValueError where its length is not the number of turns.
    """
    if advantages is not None and len(advantages) != len(episode.turns):
        raise ValueError(f"{len(advantages)} advantages for {len(episode.turns)} turns")
    lines = [f"{episode.task.env} {episode.task.key} (seed {episode.task.seed})  episode {episode.id or '-'}"]
    if episode.opened is not None:
        lines += ["", episode.opened.result.observation.text.rstrip()]
    for index, turn in enumerate(episode.turns):
        advantage = None if advantages is None else advantages[index]
        lines += ["", f"--- turn {index}{_credit(turn, advantage)}"]
        lines += _said(turn)
        if tokens:
            lines += _tokens(turn, chat, advantage)
        if turn.result is not None:
            lines += ["", turn.result.observation.text.rstrip()]
    lines += ["", _end(episode)]
    return printable("\n".join(lines))


def printable(text: str) -> str:
    """The text with control characters spelt out, so that no world can write to a terminal beyond its lines."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _credit(turn: Turn, advantage: float | None) -> str:
    reward = f"  reward {turn.result.reward:g}" if turn.result is not None else ""
    return reward + ("" if advantage is None else f"  advantage {advantage:+.3f}")


def _said(turn: Turn) -> list[str]:
    text = turn.move.text.strip()
    lines = [f"> {line}" for line in text.split("\n")]
    if turn.prompt.kind == "summary":
        lines.append("(a summary)")
    elif turn.reply.action is None:
        lines.append(f"! {turn.reply.complaint or 'no action'}")
    elif spoken(turn.reply.action) != text:
        lines.append(f"= {spoken(turn.reply.action)}")
    return lines


def _tokens(turn: Turn, chat: Chat | None, advantage: float | None) -> list[str]:
    sample = turn.move.sample
    if not sample.ids:
        return ["  (no tokens: this policy is no language model)"]
    lines = [f"  {'id':>7}  {'logprob':>9}  {'advantage':>9}  piece"]
    for token, logprob in zip(sample.ids, sample.logprobs, strict=True):
        piece = "" if chat is None else repr(chat.decode([token]))
        credit = "" if advantage is None else f"{advantage:+.3f}"
        lines.append(f"  {token:>7}  {logprob:>9.4f}  {credit:>9}  {piece}".rstrip())
    lines.append(f"  {sample.stop} at temperature {sample.temperature:g}, weights of version {sample.version}")
    return lines


def _end(episode: Episode) -> str:
    line = f"{episode.stop.value} after {len(episode.turns)} turns"
    if episode.reward is None:
        return f"{line}, reward null: {episode.error}"
    return f"{line}, reward {episode.reward:g}, {'solved' if episode.success else 'not solved'}"

"""What `trainer serve-and-learn` can be told beside what a run can; no import of torch."""

from __future__ import annotations

import re
from datetime import time

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainers.completions import CompletionsConfig

__all__ = ["JudgeConfig", "ServingConfig", "WindowConfig"]

_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class WindowConfig(BaseModel):
    """When the policy may learn: in quiet hours, or while nobody asks. Most defaults are MetaClaw's."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    quiet_hours: str = "23:00-07:00"
    """Local time in which a window is open; it may wrap midnight. Empty: there are none."""
    idle_minutes: float | None = Field(30.0, ge=0)
    """So long without a request opens a window; none: only quiet hours do."""
    min_window_minutes: float = Field(15.0, ge=0)
    """Quiet hours that end sooner open no window."""
    settle_s: float = Field(60.0, ge=0)
    """In quiet hours, so long after the last request a window opens."""
    tick_s: float = Field(1.0, gt=0)
    """Between two looks at the clock; a request is seen at once."""

    @field_validator("quiet_hours", mode="after")
    @classmethod
    def _is_a_span(cls, text: str) -> str:
        found = _QUIET.fullmatch(text)
        if text and (found is None or found.group(1, 2) == found.group(3, 4)):
            raise ValueError(f"{text!r} is no span of hours: say one such as 23:00-07:00, or nothing")
        return text

    @model_validator(mode="after")
    def _opens(self) -> WindowConfig:
        if not self.quiet_hours and self.idle_minutes is None:
            raise ValueError("a window would never open: give quiet_hours or idle_minutes")
        return self

    @property
    def quiet(self) -> tuple[time, time] | None:
        """Begin and end of the quiet hours."""
        if not self.quiet_hours:
            return None
        begin, _, end = self.quiet_hours.partition("-")
        return time.fromisoformat(begin), time.fromisoformat(end)


class JudgeConfig(CompletionsConfig):
    """A process reward model behind an OpenAI-compatible endpoint."""

    url: str = ""
    """Address of the API; empty: nobody judges, and only feedback is a reward."""
    temperature: float = Field(0.6, ge=0)
    """Of each vote."""
    votes: int = Field(3, ge=1)
    """Votes on a turn, of which the majority counts."""


class ServingConfig(BaseModel):
    """How the policy is served, and what becomes of its conversations."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    token: str | None = Field(None, exclude=True)
    """Bearer token that guards everything but /health, better given as TRAINER_TOKEN; it is written nowhere."""
    max_tokens: int = Field(256, ge=1)
    """Tokens of an answer at most, where the request does not say."""
    body_limit_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    """Largest body of a request."""
    max_turns: int = Field(64, ge=1)
    """Turns of a session at most; the next request begins another."""
    silence_minutes: float = Field(30.0, ge=0)
    """A session in which nothing was asked for so long is over."""
    batch_turns: int = Field(4, ge=2)
    """Turns with a reward that make a batch; MetaClaw's is 4."""
    judge: JudgeConfig = JudgeConfig()
    window: WindowConfig = WindowConfig()

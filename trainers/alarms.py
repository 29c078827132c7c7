"""Alarms for what silently ruins runs: a number, and what to do about it.

Rule: an alarm is raised once, when its number has been on the bad side for `patience` steps in a row, and may be raised
again only after as many steps on the good side. A number that a step does not have says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainers.config import AlarmsConfig
from trainers.metrics import declare

__all__ = ["ALARMS", "Alarm", "Alarms"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to watch."""

    name: str
    metric: str
    threshold: str
    """Field of AlarmsConfig that holds the limit; empty where any value above 0 is bad."""
    below: bool
    """Whether small values are the bad ones."""
    advice: str
    """A sentence with `{value}`."""
    patient: bool = True
    """False: raised at the first bad step."""


ALARMS = (
    Alarm(
        "mismatch",
        "policy/mismatch_mean_nats",
        "mismatch_nats",
        below=False,
        advice="trainer and sampler disagree by {value:.3g} nats a token, so every importance ratio is wrong: look for "
        "another dtype, a stale engine, a chat template that re-tokenises, or a temperature applied only once",
        patient=False,
    ),
    Alarm(
        "entropy",
        "policy/entropy_nats",
        "entropy_nats",
        below=True,
        advice="entropy fell to {value:.3g} nats, the policy no longer explores: lower learner.lr, raise "
        "algorithm.clip_high or algorithm.entropy, or add algorithm.kl",
    ),
    Alarm(
        "zero_variance",
        "group/zero_variance_share",
        "zero_variance_share",
        below=False,
        advice="{value:.0%} of the groups have equal returns and teach nothing: choose easier or harder tasks, denser "
        "rewards, a larger sampling.group_size, or algorithm dapo, which draws again",
    ),
    Alarm(
        "truncation",
        "sample/truncated_share",
        "truncation_share",
        below=False,
        advice="{value:.0%} of the turns are cut by player.max_tokens: raise it, or ask for shorter answers",
    ),
    Alarm(
        "complaints",
        "format/complaint_share",
        "complaint_share",
        below=False,
        advice="{value:.0%} of the answers could not be parsed: warm up with sft.demonstrations, or choose another "
        "format",
    ),
    Alarm(
        "invalid",
        "episode/invalid_share",
        "invalid_share",
        below=False,
        advice="{value:.0%} of the episodes broke in the world or on the wire and are left out: read one of them with "
        "`trainer replay`, and the server's log",
        patient=False,
    ),
    Alarm(
        "no_success",
        "episode/failure_share",
        "failure_share",
        below=False,
        advice="{value:.0%} of the episodes fail: without a success there is nothing to reinforce; warm up with "
        "sft.demonstrations, or begin with easier tasks",
    ),
    Alarm(
        "skipped",
        "learner/skipped",
        "",
        below=False,
        advice="the gradient was not finite and {value:.0f} optimizer steps were skipped: lower learner.lr, or compute "
        "in float32",
        patient=False,
    ),
)
"""Everything that is watched."""

for _alarm in ALARMS:
    declare(f"alarm/{_alarm.name}", "flag", f"1 while `{_alarm.metric}` is on the bad side, else 0")


class Alarms:
    """Watches the metrics of a run, step by step."""

    def __init__(self, config: AlarmsConfig) -> None:
        self.config = config
        self._on: dict[str, bool] = {}
        self._streak: dict[str, int] = {}
        """Steps in a row that speak against the alarm's present state."""

    def watch(self, metrics: Mapping[str, float]) -> tuple[list[str], dict[str, float]]:
        """The sentences of the alarms that begin with this step, and `alarm/...` metrics of all that have a number."""
        begun: list[str] = []
        flags: dict[str, float] = {}
        for alarm in ALARMS:
            value = metrics.get(alarm.metric)
            if value is None:
                continue
            limit = getattr(self.config, alarm.threshold) if alarm.threshold else 0.0
            # Not `value > limit`: NaN must count as bad.
            bad = not value >= limit if alarm.below else not value <= limit
            on = self._on.get(alarm.name, False)
            streak = self._streak.get(alarm.name, 0) + 1 if bad != on else 0
            needed = 1 if bad and not alarm.patient else self.config.patience
            if streak >= needed:
                on, streak = bad, 0
                if on:
                    begun.append(f"{alarm.name}: {alarm.advice.format(value=value)}")
            self._on[alarm.name], self._streak[alarm.name] = on, streak
            flags[f"alarm/{alarm.name}"] = float(on)
        return begun, flags

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, as plain JSON."""
        return {"on": dict(self._on), "streak": dict(self._streak)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._on, self._streak = dict(state["on"]), dict(state["streak"])

"""What a step's play amounts to, in numbers."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.types import Episode, StopReason
from trainers.algorithms.base import Group, Metrics
from trainers.compaction import compaction
from trainers.conduct import conduct
from trainers.kernels import kernels

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Counts groups as they come in."""

    episodes: list[Episode] = field(default_factory=list)
    """Every episode that was played."""
    shaped: list[list[float]] = field(default_factory=list)
    """Shaped returns of the groups that were not lost, admitted or refused."""
    admitted: int = 0
    lost: int = 0
    refused: int = 0
    replaced: int = 0
    """Groups played in the place of others."""

    def lose(self, episodes: Sequence[Episode]) -> None:
        """A group of which more than half is invalid."""
        self.episodes += episodes
        self.lost += 1

    def see(self, episodes: Sequence[Episode], group: Group, *, admitted: bool) -> None:
        """A group that the algorithm was asked about."""
        self.episodes += episodes
        self.shaped.append(group.returns)
        self.admitted += admitted
        self.refused += not admitted

    def metrics(self, rollout_s: float) -> Metrics:
        """As a run logs them."""
        valid = [episode for episode in self.episodes if episode.valid]
        turns = [turn for episode in valid for turn in episode.turns]
        sampled = sum(len(turn.move.sample.ids) for turn in turns)
        found: Metrics = {
            "episode/count": len(self.episodes),
            "episode/invalid": len(self.episodes) - len(valid),
            "episode/invalid_share": _share(len(self.episodes) - len(valid), len(self.episodes)),
            "group/count": self.admitted,
            "group/lost": self.lost,
            "group/refused": self.refused,
            "group/replaced": self.replaced,
            "tokens/sampled": sampled,
            "tokens/prompt": sum(len(episode.turns[-1].move.prompt_ids) for episode in valid if episode.turns),
            "tokens/per_s": sampled / max(rollout_s, 1e-9),
            "time/rollout_s": rollout_s,
        }
        stops = Counter(episode.stop for episode in self.episodes)
        found |= {f"episode/stop/{stop.value}": _share(stops[stop], len(self.episodes)) for stop in StopReason}
        if valid:
            returns = [sum(episode.rewards) for episode in valid]
            success = _share(sum(episode.success for episode in valid), len(valid))
            found |= {
                "reward/mean": statistics.fmean(returns),
                "reward/std": statistics.pstdev(returns),
                "episode/success": success,
                "episode/failure_share": 1 - success,
                "episode/turns": len(turns) / len(valid),
            }
        found |= conduct(valid) | compaction(valid) | kernels(valid)
        if turns:
            acts = [turn for turn in turns if turn.prompt.kind == "act"]
            found["format/complaint_share"] = _share(sum(turn.reply.action is None for turn in acts), len(acts))
            found["sample/truncated_share"] = _share(
                sum(turn.move.sample.stop == "length" for turn in turns), len(turns)
            )
        if self.shaped:
            flat = sum(max(returns) - min(returns) < 1e-9 for returns in self.shaped)
            found["group/zero_variance_share"] = flat / len(self.shaped)
            found["reward/shaped_mean"] = statistics.fmean(value for returns in self.shaped for value in returns)
        return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

"""What the server counts: plain integers on the hot path, Prometheus text when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from envserver.schema import Outcome

if TYPE_CHECKING:
    from envserver.sessions import Sessions
    from envserver.workers.process import Processes

__all__ = ["Counts", "render"]

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Counts:
    """What happened to sessions since the server started."""

    __slots__ = (
        "buckets",
        "forked",
        "opened",
        "outcomes",
        "reaped",
        "rebuilt",
        "recalled",
        "refused",
        "repeated",
        "steps",
        "waited_s",
    )

    def __init__(self) -> None:
        self.opened = self.forked = self.steps = self.repeated = self.reaped = self.refused = 0
        self.rebuilt = self.recalled = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.waited_s = 0.0

    def ended(self, env: str, outcome: Outcome) -> None:
        """Count the end of an episode."""
        self.outcomes[env, outcome] += 1

    def waited(self, wait_s: float) -> None:
        """Count a worker's step that took `wait_s`, queueing and rebuilding included."""
        self.buckets[bisect_left(BUCKETS_S, wait_s)] += 1
        self.waited_s += wait_s


class _Snapshot(Collector):
    def __init__(self, sessions: Sessions, processes: Processes) -> None:
        self.sessions = sessions
        self.processes = processes

    def collect(self) -> Iterator[Metric]:
        counts, pool, ledger = self.sessions.counts, self.processes, self.sessions.ledger
        for name, about, count in (
            ("sessions_opened", "Sessions opened.", counts.opened),
            ("sessions_forked", "Sessions forked.", counts.forked),
            ("sessions_reaped", "Sessions whose lease ran out.", counts.reaped),
            ("sessions_refused", "Sessions refused because the gym was full.", counts.refused),
            ("sessions_recalled", "Sessions taken up from a server that ended.", counts.recalled),
            ("sessions_unkept", "Sessions that could not be written down any longer.", ledger.unkept if ledger else 0),
            ("worlds_rebuilt", "Worlds rebuilt by replay.", counts.rebuilt),
            ("steps", "Steps played.", counts.steps),
            ("steps_repeated", "Retried steps answered from the log.", counts.repeated),
            ("workers_recycled", "Workers recycled for memory or age.", pool.recycled),
            ("workers_killed", "Workers killed for a call that hung.", pool.killed),
            ("workers_died", "Workers that died unasked.", pool.died),
        ):
            yield CounterMetricFamily(f"envserver_{name}", about, value=count)
        yield GaugeMetricFamily("envserver_sessions", "Sessions held.", value=len(self.sessions))
        yield GaugeMetricFamily("envserver_workers", "Worker processes.", value=len(pool.workers))
        memory = GaugeMetricFamily("envserver_worker_memory_bytes", "Resident memory of a worker.", labels=["pid"])
        for worker in pool.workers:
            memory.add_metric([str(worker.pid)], worker.memory_bytes)
        yield memory
        episodes = CounterMetricFamily("envserver_episodes", "Episodes by how they ended.", labels=["env", "outcome"])
        for (env, outcome), count in counts.outcomes.items():
            episodes.add_metric([env, outcome], count)
        yield episodes
        total, buckets = 0, []
        for edge, count in zip([*map(str, BUCKETS_S), "+Inf"], counts.buckets, strict=True):
            total += count
            buckets.append((edge, total))
        about = "Seconds a worker's step took, queueing and rebuilding included."
        yield HistogramMetricFamily("envserver_step_seconds", about, buckets=buckets, sum_value=counts.waited_s)


def render(sessions: Sessions, processes: Processes) -> bytes:
    """Everything, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(sessions, processes))
    return generate_latest(registry)

"""What the service exports to Prometheus: the figures of its jobs, read when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crep.replay.service.jobs import JobStore
from crep.replay.service.states import WITH_PROCESS, State

MOST_JOBS = 100
"""The latest ones have series of their own; all are counted by state."""

_COUNTED = ("selected", "acknowledged", "rejected", "removed", "maybe_doubled", "received", "stored", "doubled")


class JobCollector(Collector):
    """One look at the store."""

    def __init__(self, store: JobStore, most: int) -> None:
        self._store, self._most = store, most

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        jobs = self._store.all()
        states = GaugeMetricFamily("crep_replay_jobs", "Jobs by kind and state", labels=["kind", "state"])
        by_state = Counter((job.kind, job.state) for job in jobs)
        for kind in ("capture", "replay"):
            for state in State:
                states.add_metric([kind, state.value], by_state[kind, state])
        messages = CounterMetricFamily(
            "crep_replay_messages",
            "Messages of a job by what became of them: selected, acknowledged, rejected, removed, maybe_doubled "
            "(replay); stored since the job began, received and doubled since its process began (capture)",
            labels=["job", "kind", "outcome"],
        )
        rate = GaugeMetricFamily(
            "crep_replay_messages_per_second",
            "Messages acknowledged (replay) or stored (capture), over the latest seconds",
            labels=["job", "kind"],
        )
        for job in jobs[:MOST_JOBS]:
            for outcome in _COUNTED:
                if outcome in job.progress:
                    messages.add_metric([job.id, job.kind, outcome], job.progress[outcome])
            if job.state in WITH_PROCESS:
                rate.add_metric([job.id, job.kind], job.progress.get("rate_per_s", 0.0))
        limit = GaugeMetricFamily("crep_replay_jobs_limit", "Jobs that may run at the same time", value=self._most)
        yield from (states, messages, rate, limit)

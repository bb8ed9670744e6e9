"""One channel of one run as the checks look at it: built once from the recorded history and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import ChannelSpec, Outcome
from crep.harness.checks.history import (
    NEVER,
    ChannelHistory,
    PublisherHistory,
    ReaderHistory,
    Receipts,
    Sends,
    collect_receipts,
    collect_sends,
    selected_sends,
)
from crep.harness.checks.outage import Silences, silences
from crep.harness.metrics.history import SENT, Records, joined
from crep.harness.scenario.plan import Plan
from crep.harness.scenario.publisher_plan import PublisherPlan

Times = NDArray[np.int64]
Side = Literal["intended", "sent", "acknowledged"]


class Recorded(Protocol):
    """Where the history comes from; a run folder that was read is one (``runs.read.Run``)."""

    @property
    def t0_ns(self) -> int | None:
        """Intended time of the first measured message, CLOCK_MONOTONIC; None in a run that never came so far."""

    def sent(self, publisher: int) -> Records:
        """Layout ``SENT``."""

    def outcomes(self, publisher: int) -> Records:
        """Layout ``OUTCOME``."""

    def receipts(self, channel: str, reader: str, member: int) -> Records:
        """Layout ``RECEIVED``."""


@dataclass(frozen=True)
class ReaderRun:
    """One logical reader: what it was to get (rows of ``Sends``), and what it got."""

    name: str  # channel.reader
    history: ReaderHistory
    selected: NDArray[np.bool_]
    receipts: Receipts


class ChannelRun:
    """A channel's sends, receipts and intended times. Times are nanoseconds relative to t0 unless a name says else."""

    def __init__(self, run: Recorded, plan: Plan, spec: ChannelSpec) -> None:
        self.name, self.measured_s, self.warm_up_s = spec.name, plan.measured_s, plan.warm_up_s
        self.t0_ns = run.t0_ns or 0
        self.history = ChannelHistory(
            spec.name,
            tuple(_publisher(run, each, self.t0_ns) for each in plan.feeders_of(spec.name)),
            tuple(
                ReaderHistory(
                    reader,
                    plan.selected(spec, reader),
                    tuple(run.receipts(spec.name, reader.name, member) for member in range(reader.members)),
                )
                for reader in spec.readers
            ),
        )
        self.sends: Sends = collect_sends(self.history.publishers)
        self.readers = tuple(self._reader(reader) for reader in self.history.readers)

    def _reader(self, reader: ReaderHistory) -> ReaderRun:
        receipts = collect_receipts(self.sends, reader)
        return ReaderRun(f"{self.name}.{reader.spec.name}", reader, selected_sends(self.sends, reader), receipts)

    @cached_property
    def unscheduled(self) -> Records:
        """What was intended and never handed over, all publishers (layout ``SENT``)."""
        return joined([publisher.unscheduled for publisher in self.history.publishers], SENT)

    @cached_property
    def accepted_ns(self) -> Times:
        """Per row of ``Sends``: when it was acknowledged, or handed over where no acknowledgement is offered."""
        return np.where(self.sends.outcome == Outcome.SENT, self.sends.sent_ns, self.sends.acknowledged_ns)

    def moments(self, side: Side) -> Times:
        """When each message was intended (handed over or not), sent, or acknowledged."""
        absolute = self.sends.sent_ns
        if side == "intended":
            absolute = np.concatenate([self.sends.intended_ns, self.unscheduled["intended_ns"]])
        elif side == "acknowledged":
            absolute = self.sends.acknowledged_ns[self.sends.acknowledged_ns != NEVER]
        return absolute - self.t0_ns

    def receipt_moments(self, reader: ReaderRun) -> Times:
        """When each located receipt of a reader came, repeated ones included."""
        records = reader.receipts.records[reader.receipts.row >= 0]
        return np.asarray(records["received_ns"] - self.t0_ns, np.int64)

    @cached_property
    def publish_silences(self) -> Silences:
        """Silences of acknowledgements over the measured phase."""
        alive = self.accepted_ns != NEVER
        return self._silences(None, self.sends.key[alive], self.accepted_ns[alive])

    def receive_silences(self, reader: ReaderRun) -> Silences:
        """Silences of a reader's receipts over the measured phase."""
        located = reader.receipts.row >= 0
        records = reader.receipts.records[located]
        return self._silences(reader, np.ascontiguousarray(records["key"]), records["received_ns"])

    def _silences(self, reader: ReaderRun | None, alive_key: NDArray[np.uint32], alive_ns: Times) -> Silences:
        key, intended = self.sends.key, self.sends.intended_ns
        waiting = self.unscheduled
        if reader is not None:
            key, intended = key[reader.selected], intended[reader.selected]
            waiting = waiting[reader.history.selected[waiting["topic"]]]
        key = np.concatenate([key, waiting["key"]])
        relative = np.concatenate([intended, waiting["intended_ns"]]) - self.t0_ns
        measured = relative >= 0
        return silences(
            key[measured], relative[measured], alive_key, alive_ns - self.t0_ns, until_ns=round(self.measured_s * 1e9)
        )


def _publisher(run: Recorded, plan: PublisherPlan, t0_ns: int) -> PublisherHistory:
    sent = run.sent(plan.publisher)
    left = np.setdiff1d(np.arange(plan.count, dtype=np.uint64), sent["sequence"], assume_unique=False)
    unscheduled = np.zeros(len(left), SENT)
    if len(left):
        unscheduled["sequence"], unscheduled["intended_ns"] = left, plan.intended_ns(left) + t0_ns
        unscheduled["key"], unscheduled["key_sequence"] = plan.assignment.of(left)
        unscheduled["topic"] = plan.assignment.topic_of(unscheduled["key"])
        unscheduled["size"] = plan.size_of(left)
    return PublisherHistory(plan.publisher, plan.guaranteed, sent, run.outcomes(plan.publisher), unscheduled)


def channel_runs(run: Recorded, plan: Plan) -> dict[str, ChannelRun]:
    """Every channel of the plan, by name."""
    return {spec.name: ChannelRun(run, plan, spec) for specs in plan.channels.values() for spec in specs}


def count_in(moments_ns: Times, seconds: Sequence[int]) -> int:
    """How many moments (relative to t0) fall into the given whole seconds."""
    return int(np.count_nonzero(np.isin(moments_ns // 1_000_000_000, np.asarray(seconds, np.int64))))

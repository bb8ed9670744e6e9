"""The engine of one publisher: follow the schedule, hand over, count outcomes.

::

    schedule ─due─► block (rendered ahead) ─cut─► batch ─send_batch─► client library ─poll─► outcomes
                                                   ▲ what was not taken is offered again │
                                                   └─────────────────────────────────────┘

A pass of its loop sends what is due, reads outcomes, and does one *chore* where the schedule leaves time: a step of
rendering, settling what became of hundreds of sends, a part of the pulse. None takes long, so none makes many messages
late.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import BulkPublisher
from crep.harness.load.accounts import Accounts
from crep.harness.load.background import HistoryWriter
from crep.harness.load.blocks import Blocks
from crep.harness.load.meter import Meter
from crep.harness.load.pacing import Schedule, handover_times, look_ahead, wait_until, wake_at
from crep.harness.load.protocol import PublisherTask
from crep.harness.load.pulse import Pulse, Tell
from crep.harness.load.stamp import Renderer
from crep.harness.metrics.history import sent_file
from crep.harness.scenario.publisher_plan import PublisherPlan

SETTLE_BEYOND_RECONNECT_S = 10.0
"""After its reconnect budget a client gets this long to hand over and settle what is left."""
STOPPED_SETTLE_S = 3.0
"""The same after an early end."""

_BLOCK_NS = 10_000_000  # what is due within this time is rendered together
_NAP_NS = 500_000  # outcomes are read (and, where the library calls back in ``poll``, stamped) at least this often
_CHORE_NS = 300_000  # as long as a chore may take
_BEAT_WAITS_NS = 50_000_000  # at most, for its chores
_IDLE_NS = 20_000_000  # nothing is outstanding
_BLOCKED_S = 0.001  # the library is full: wait for outcomes, then offer again
_DRAIN_SLICE_S = 0.25
_LATE_NS = 100_000_000
_ENOUGH_UNDER_WAY = 10_000
"""What is late by ``_LATE_NS`` waits in the engine rather than behind so many messages without an outcome: a library's
queue that is longer than the processor's cache costs half as much again for each message, and makes none any earlier.
What is in time is handed over, however many are under way."""


def prepare(renderer: Renderer, plan: PublisherPlan) -> None:
    """Render a message of each size, whose filler and check sum are kept: tens of MB in the loop would be lateness."""
    sizes = np.array(plan.payload_sizes, np.uint32)
    nothing = np.zeros(len(sizes), np.uint32)
    renderer.render(nothing.astype(np.uint64), nothing.astype(np.int64), nothing, nothing, sizes)


class PublisherEngine:
    """One run of one publisher. The client is open already, and is closed by the caller.

    One that was killed and starts again goes on behind the last message that it may have handed over. It never sends
    one again: what has no outcome in its records is *unknown*. What was due meanwhile is sent late, as after any stall.

    Args:
        task: plan and spec.
        client: the adapter's client.
        renderer: makes the payloads.
        t0_ns: CLOCK_MONOTONIC time of the first measured message.
        history: has the files ``sent_file`` and ``outcomes_file`` of this publisher.
        tell: says a line to the parent.
        clock_ahead_ns: what this clock shows more than the one whose time the stamps carry.
        before: what its earlier lives came to (``earlier``).
    """

    def __init__(
        self,
        task: PublisherTask,
        client: BulkPublisher,
        renderer: Renderer,
        *,
        t0_ns: int,
        history: HistoryWriter,
        tell: Tell,
        clock_ahead_ns: int = 0,
        before: Counter[str] | None = None,
    ) -> None:
        self._plan, self._client, self._t0_ns = task.plan, client, t0_ns
        self._ahead = history if history.writes_ahead else None
        first = history.held(sent_file(task.plan.publisher))
        self._patience_ns = round((task.spec.reconnect_for_s + SETTLE_BEYOND_RECONNECT_S) * 1e9)
        ahead = look_ahead(task.plan.of)
        self._schedule = Schedule(self._intended_ns, task.plan.count, ahead, first)
        # Passes without regard to what is handed over.
        self._clock_hand = Schedule(self._intended_ns, task.plan.count, ahead, first)
        self._meter = Meter(t0_ns)
        self._accounts = Accounts(task.plan.publisher, meter=self._meter, history=history, tell=tell, before=before)
        self._pulse = Pulse(self._meter, history, tell, client.events, before=self._bring_up_to_date)
        self._blocks = Blocks(task.plan, renderer, t0_ns=t0_ns, clock_ahead_ns=clock_ahead_ns, most=ahead, first=first)
        self._block = self._blocks.take(self._soon())
        self._at = 0  # position in the block

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Publish until the schedule's end, or until ``stop``; settle; report.

        Returns:
            The fields of ``PublisherDone`` that are counted here.

        Raises:
            BrokerError: the client lost its connection for good.
            EnvironmentFailure: the records cannot be written.
        """
        try:
            end_ns = self._publish(stop)
            self._settle_rest(end_ns, stop)
        finally:
            self._pulse.last()
        intended, totals = self._clock_hand.position, self._accounts.totals
        counted = {name: totals[name] for name in ("sent", "acknowledged", "rejected", "unknown")}
        unsent = max(0, intended - totals["sent"])
        return {
            "intended": intended,
            "unsent": unsent,
            **counted,
            "rejection_reasons": self._accounts.rejection_reasons,
        }

    def _intended_ns(self, sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._t0_ns + self._plan.intended_ns(sequence)

    def _publish(self, stop: threading.Event) -> int:
        """Hand everything over by the schedule. Returns the time by which all must be settled."""
        last_ns = int(self._intended_ns(np.array([self._plan.count - 1], np.int64))[0])
        give_up_ns = last_ns + self._patience_ns
        while not stop.is_set():
            now_ns = time.monotonic_ns()
            if now_ns - self._pulse.due_ns > _BEAT_WAITS_NS:
                self._pulse.beat(now_ns)
            next_ns = self._schedule.next_ns()
            if next_ns is None or now_ns > give_up_ns:
                break
            due = self._wanted(now_ns, next_ns)
            if held_up := due == 0 and next_ns <= now_ns:
                self._meter.add("window_full", now_ns, 1)
            blocked = held_up or (due > 0 and not self._offer(due))
            self._accounts.came(self._client.poll(_BLOCKED_S if blocked else 0.0))
            next_ns = self._schedule.next_ns()
            if next_ns is None or next_ns <= now_ns:
                continue
            self._do_chores(next_ns, fresh=due > 0)
            wait_until(wake_at(now_ns, next_ns, _NAP_NS if self._accounts.waiting else _IDLE_NS))
        if stop.is_set():  # what was due until now was intended, what would have come was not
            self._bring_up_to_date(time.monotonic_ns())
            self._clock_hand.end_here()
        return give_up_ns

    def _wanted(self, now_ns: int, next_ns: int) -> int:
        """How many messages to hand over now; the first is intended at ``next_ns``."""
        due = len(self._schedule.due(now_ns))
        if now_ns - next_ns < _LATE_NS:
            return due
        room = _ENOUGH_UNDER_WAY - self._accounts.under_way
        return min(due, room) if room >= _ENOUGH_UNDER_WAY // 4 else 0  # a few at a time cost as much as many

    def _do_chores(self, next_ns: int, *, fresh: bool) -> None:
        """Do what there is time for until the next message; one at least where one was sent just now.

        At high rates the next message is always near: what is done right after a handover delays it least.
        """
        while (fresh or next_ns - time.monotonic_ns() > _CHORE_NS) and self._do_chore():
            fresh = False

    def _do_chore(self) -> bool:
        """One chore, the most urgent; False when there is none."""
        if not self._blocks.ready:
            self._blocks.step(self._soon())
        elif self._accounts.worth_settling:
            self._accounts.settle()
        else:
            return self._pulse.step(time.monotonic_ns())
        return True

    def _soon(self) -> int:
        """Messages of a block."""
        return len(self._schedule.due(time.monotonic_ns() + _BLOCK_NS))

    def _offer(self, due: int) -> bool:
        """Offer the messages that are due, as far as they lie in the block; False when not all of those were taken."""
        if self._at == len(self._block):
            self._block, self._at = self._blocks.take(self._soon()), 0
        batch = self._block.batch(self._at, self._at + due)
        before_ns = time.monotonic_ns()
        if self._ahead is not None:
            offered = self._block.handed_over(self._at, np.full(len(batch.sequence), before_ns, np.int64))
            self._ahead.offer(self._schedule.position, offered)
        taken = self._client.send_batch(batch, 0)
        sent_ns = handover_times(before_ns, time.monotonic_ns(), taken)
        if taken:
            self._accounts.handed_over(self._block.handed_over(self._at, sent_ns))
            self._schedule.handed_over(taken)
            self._at += taken
        if taken == len(batch.sequence):
            return True
        self._meter.add("window_full", before_ns, 1)
        return False

    def _bring_up_to_date(self, now_ns: int) -> None:
        while len(times := self._clock_hand.due(now_ns)):
            self._meter.count("intended", times)
            self._clock_hand.handed_over(len(times))
        self._accounts.settle()

    def _settle_rest(self, until_ns: int, stop: threading.Event) -> None:
        """Drain in slices, so that reports and an early end are not held up; what is left is *unknown*."""
        stopping = False
        self._accounts.settle()
        while self._accounts.unsettled:
            now_ns = time.monotonic_ns()
            self._pulse.beat(now_ns)
            if stop.is_set() and not stopping:
                stopping, until_ns = True, min(until_ns, now_ns + round(STOPPED_SETTLE_S * 1e9))
            slice_s = min(_DRAIN_SLICE_S, (until_ns - now_ns) / 1e9)
            if slice_s <= 0:
                break
            outcomes = self._client.drain(slice_s)
            self._accounts.came(outcomes)
            self._accounts.settle()
            if not len(outcomes.sequence) and time.monotonic_ns() - now_ns < slice_s * 1e9 / 2:
                break  # the library has settled everything that it knows of
        self._accounts.close()

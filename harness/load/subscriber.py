"""The engine of one receiving client: receive, process, verify, record, acknowledge.

::

    receive ─► process (takes its time) ─► record ─► acknowledge            acknowledge: after-processing
    receive ─► acknowledge ─► process ─► record                             acknowledge: on-receipt

A message is received, in the records, when its turn has come, and recorded when it is processed: what a member had
taken and not processed when it died has not been received by anybody. Killed between *record* and *acknowledge* it
leaves a message that comes again; between *acknowledge* and *record* it leaves one that is lost.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import REDELIVERED_YES, BulkSubscriber
from crep.harness.load.background import HistoryWriter
from crep.harness.load.checksum import PayloadSums
from crep.harness.load.meter import Meter
from crep.harness.load.orders import Orders
from crep.harness.load.processing import Processing
from crep.harness.load.protocol import SubscriberTask
from crep.harness.load.pulse import FINAL_WRITE_S, Pulse, Tell
from crep.harness.load.stamp import parse
from crep.harness.metrics.history import CORRUPT, FAILED, FOREIGN, INTACT, Records, received_file

_WAIT_S = 0.1
_PAUSED_NAP_S = 0.01
_BUSY_NAP_NS = 50_000_000  # between two looks around while a message is processed
_NOTHING = np.empty(0, np.intp)


class SubscriberEngine:
    """One member of one reader. The client is ready already, and is closed by the caller.

    It receives from the start, before the parent has said when time 0 is: members of a group must keep polling while
    the others join. What comes that early is recorded at once and metered when time 0 is known.
    """

    def __init__(
        self,
        task: SubscriberTask,
        client: BulkSubscriber,
        *,
        run_number: int,
        history: HistoryWriter,
        tell: Tell,
        clock_ahead_ns: int = 0,
    ) -> None:
        spec = task.spec
        self._clock_ahead_ns = clock_ahead_ns  # of the clock whose time the stamps carry
        self._client, self._run, self._history, self._tell = client, run_number, history, tell
        self._file = received_file(spec.channel, spec.reader.name, spec.member)
        self._poison = task.poison
        self._documents = task.documents
        self._sums = PayloadSums()
        self._on_receipt = spec.reader.acknowledge == "on-receipt"
        self._asked_ns = round(spec.reader.processing_s * 1e9)  # processing, by the scenario
        self._processing = Processing(self._asked_ns)
        self._free_ns = 0  # busy with a message until then
        self._heard_ns = 0  # what came until then has been appended

    def run(self, orders: Orders) -> None:
        """Receive until told to finish.

        Raises:
            BrokerError: the client lost its connection for good.
            EnvironmentFailure: the records cannot be written.
        """
        early: list[Records] = []
        while not (orders.go.is_set() or orders.finish.is_set()):
            early.append(self._receive())
            self._history.flush()
        if not orders.go.is_set():
            self._history.close(FINAL_WRITE_S)
            return
        meter = Meter(orders.t0_ns)
        pulse = Pulse(meter, self._history, self._tell, self._client.events, until=lambda now_ns: self._heard_ns)
        for records in early:
            _count(meter, records)
        try:
            while not orders.finish.is_set():
                if orders.paused.is_set():
                    self._stand_still(orders, pulse)
                self._mind_the_pace(orders)
                _count(meter, self._receive(pulse))
                pulse.beat(time.monotonic_ns())
        finally:
            pulse.last()

    def _mind_the_pace(self, orders: Orders) -> None:
        """Take as long for a message as the parent wants, and say so."""
        per_message_ns = self._asked_ns if orders.processing_ns is None else orders.processing_ns
        if per_message_ns != self._processing.per_message_ns:
            self._processing = Processing(per_message_ns)
            self._tell({"processing": per_message_ns})

    def _stand_still(self, orders: Orders, pulse: Pulse) -> None:
        """Receive nothing while paused; connected, and heard of."""
        self._tell({"paused": True})
        while orders.paused.is_set() and not orders.finish.wait(_PAUSED_NAP_S):
            self._client.tend()
            pulse.beat(time.monotonic_ns())
        self._tell({"paused": False})

    def _receive(self, pulse: Pulse | None = None) -> Records:
        asked_ns = time.monotonic_ns()
        deliveries = self._client.receive(self._processing.most, _WAIT_S)
        received_ns = deliveries.received_ns
        if self._on_receipt and len(deliveries):
            self._client.acknowledge(deliveries)
        if self._processing.per_message_ns and len(deliveries):
            received_ns = self._process(len(deliveries), pulse)
        elif len(deliveries) and received_ns[0] < self._free_ns:  # it came while this member was busy: now is its turn
            received_ns = np.maximum(received_ns, self._free_ns)
        records = parse(
            deliveries.bodies,
            deliveries.stamps,
            run=self._run,
            received_ns=received_ns,
            redelivered=deliveries.redelivered,
            sums=self._sums,
            documents=self._documents,
        )
        if len(records):
            records["intended_ns"] += self._clock_ahead_ns
            failed = self._failed(records)
            records["fault"][failed] = FAILED
            self._history.append(self._file, records)
            if len(failed):
                self._client.settle(deliveries, failed)
            elif not self._on_receipt:
                self._client.acknowledge(deliveries)
        # A client may keep some for the next time, which came after the last of these; none where it has none to give.
        self._heard_ns = int(received_ns[-1]) if len(records) else asked_ns
        return records

    def _failed(self, records: Records) -> NDArray[np.intp]:
        """Places of the messages that this reader cannot process. What it acknowledged before it cannot fail."""
        if self._poison is None or self._on_receipt:
            return _NOTHING
        poison = self._poison.among(records["publisher"], records["sequence"]) & (records["fault"] == INTACT)
        return np.flatnonzero(poison)

    def _process(self, messages: int, pulse: Pulse | None) -> NDArray[np.int64]:
        """Be busy with so many messages, to the end of the last one; returns when each was begun with, which is now."""
        began_ns = self._heard_ns = time.monotonic_ns()
        ends_ns = self._free_ns = self._processing.ends_ns(began_ns, messages)
        self._client.tend()
        while (left_ns := ends_ns - time.monotonic_ns()) > 0:
            time.sleep(min(left_ns, _BUSY_NAP_NS) / 1e9)
            self._client.tend()
            if pulse is not None:
                pulse.beat(time.monotonic_ns())
        return np.full(messages, began_ns, np.int64)


def _count(meter: Meter, records: Records) -> None:
    """Counters by the second of receipt, latency by the second in which the message was intended."""
    if not len(records):
        return
    faults, received_ns, intended_ns = records["fault"], records["received_ns"], records["intended_ns"]
    redelivered = records["redelivered"] == REDELIVERED_YES
    if faults.any():
        for name, fault in (("corrupt", CORRUPT), ("foreign", FOREIGN), ("failed", FAILED)):
            meter.count(name, received_ns[faults == fault])
        intact = faults == INTACT
        received_ns, intended_ns, redelivered = received_ns[intact], intended_ns[intact], redelivered[intact]
    meter.count("received", received_ns)
    meter.observe("latency", intended_ns, received_ns - intended_ns)
    if redelivered.any():
        meter.count("redelivered", received_ns[redelivered])

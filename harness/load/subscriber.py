"""The engine of one receiving client: receive, verify, record, acknowledge."""

from __future__ import annotations

import time

from crep.harness.brokers.contract import REDELIVERED_YES, BulkSubscriber
from crep.harness.load.background import HistoryWriter
from crep.harness.load.checksum import PayloadSums
from crep.harness.load.meter import Meter
from crep.harness.load.orders import Orders
from crep.harness.load.protocol import SubscriberTask
from crep.harness.load.pulse import FINAL_WRITE_S, Pulse, Tell
from crep.harness.load.stamp import parse
from crep.harness.metrics.history import CORRUPT, FOREIGN, INTACT, Records, received_file

_BATCH = 4096
"""Messages that are taken at once where so many wait: then each costs a fraction of what it costs alone."""
_WAIT_S = 0.1
_PAUSED_NAP_S = 0.01


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
        self._sums = PayloadSums()
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
                _count(meter, self._receive())
                pulse.beat(time.monotonic_ns())
        finally:
            pulse.last()

    def _stand_still(self, orders: Orders, pulse: Pulse) -> None:
        """Receive nothing while paused; connected, and heard of."""
        self._tell({"paused": True})
        while orders.paused.is_set() and not orders.finish.wait(_PAUSED_NAP_S):
            pulse.beat(time.monotonic_ns())
        self._tell({"paused": False})

    def _receive(self) -> Records:
        asked_ns = time.monotonic_ns()
        deliveries = self._client.receive(_BATCH, _WAIT_S)
        records = parse(
            deliveries.bodies,
            deliveries.stamps,
            run=self._run,
            received_ns=deliveries.received_ns,
            redelivered=deliveries.redelivered,
            sums=self._sums,
        )
        if len(records):
            records["intended_ns"] += self._clock_ahead_ns
            self._history.append(self._file, records)
            self._client.acknowledge(deliveries)
        # A client may keep some for the next time, which came after the last of these; none where it has none to give.
        self._heard_ns = int(deliveries.received_ns[-1]) if len(records) else asked_ns
        return records


def _count(meter: Meter, records: Records) -> None:
    """Counters by the second of receipt, latency by the second in which the message was intended."""
    if not len(records):
        return
    faults, received_ns, intended_ns = records["fault"], records["received_ns"], records["intended_ns"]
    redelivered = records["redelivered"] == REDELIVERED_YES
    if faults.any():
        for name, fault in (("corrupt", CORRUPT), ("foreign", FOREIGN)):
            meter.count(name, received_ns[faults == fault])
        intact = faults == INTACT
        received_ns, intended_ns, redelivered = received_ns[intact], intended_ns[intact], redelivered[intact]
    meter.count("received", received_ns)
    meter.observe("latency", intended_ns, received_ns - intended_ns)
    if redelivered.any():
        meter.count("redelivered", received_ns[redelivered])

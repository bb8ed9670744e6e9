"""The receiving engine's clock: a member that was busy with a message receives the next one when its turn comes."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import REDELIVERED_NO, Deliveries, Endpoint, ReaderSpec, SubscriberSpec
from crep.harness.load.orders import Orders
from crep.harness.load.protocol import SubscriberTask
from crep.harness.load.subscriber import SubscriberEngine
from crep.harness.metrics.history import Records

MS = 1_000_000


class Buffered:
    """A client library that drew all its messages at once, long before anybody took them, and says so."""

    def __init__(self, messages: int) -> None:
        self.came_ns = time.monotonic_ns()
        self.left = messages

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        taken = min(self.left, max_messages)
        self.left -= taken
        came = np.full(taken, self.came_ns, np.int64)
        return Deliveries([b"x"] * taken, None, came, np.full(taken, REDELIVERED_NO, np.uint8), None)

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Nothing to do."""

    def tend(self) -> None:
        """Nothing to do."""

    def events(self) -> list[object]:
        return []


class Kept:
    """A history in memory, which ends the run when it has so many records."""

    def __init__(self, orders: Orders, enough: int) -> None:
        self.received_ns: list[int] = []
        self.marked_ns: list[int] = []  # what came until then has been appended
        self._orders, self._enough = orders, enough

    def append(self, _file: str, records: Records) -> None:
        assert int(records["received_ns"][0]) >= max(self.marked_ns, default=0)
        self.received_ns += records["received_ns"].tolist()
        if len(self.received_ns) == 3:
            self._orders.processing_ns = 0  # from now on it is as fast as it can
        if len(self.received_ns) == self._enough:
            self._orders.finish.set()

    def mark(self, until_ns: int) -> None:
        self.marked_ns.append(until_ns)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self, _within_s: float) -> None:
        """Nothing to do."""


def test_what_came_while_a_member_was_busy_is_received_when_its_turn_comes_and_in_that_order() -> None:
    orders = Orders()
    orders.processing_ns = 20 * MS
    orders.t0_ns = time.monotonic_ns()
    orders.go.set()
    history, client = Kept(orders, enough=10), Buffered(10)
    reader = ReaderSpec("billing", "group", 1, "at-least-once")
    spec = SubscriberSpec(Endpoint("kafka", "a broker"), "billing-0", "orders", reader, 0, {}, {}, 60.0)
    engine = SubscriberEngine(SubscriberTask(spec), client, run_number=1, history=history, tell=lambda _word: None)  # type: ignore[arg-type]
    late = threading.Timer(20.0, orders.finish.set)
    late.start()
    engine.run(orders)
    late.cancel()
    received: NDArray[np.int64] = np.array(history.received_ns)
    assert len(received) == 10
    assert (np.diff(received) >= 0).all()
    assert received[0] >= client.came_ns
    assert (received[3:] - received[0] >= 3 * 20 * MS).all()

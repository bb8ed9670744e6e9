"""What a publisher's engine keeps to itself: messages that are late, while enough are under way."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bench.noop import NoOpPublisher
from crep.harness.brokers.contract import Batch, Endpoint, Outcomes, PublisherSpec
from crep.harness.load import publisher
from crep.harness.load.background import HistoryWriter
from crep.harness.load.protocol import PublisherTask
from crep.harness.load.publisher import PublisherEngine
from crep.harness.load.stamp import Renderer
from crep.harness.metrics.history import OUTCOME, SENT, outcomes_file, publisher_marks, sent_file
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

SPEC = PublisherSpec(Endpoint("nobody", "t"), "p0", "orders", {}, ("a",), True, {}, 5.0)
COUNT, ENOUGH = 30_000, 10_000


class Slow(NoOpPublisher):
    """Takes everything, tells nothing before so many are under way, and then all."""

    def __init__(self, until: int) -> None:
        super().__init__(SPEC)
        self._until, self.under_way, self.most = until, 0, 0

    def send_batch(self, batch: Batch, start: int) -> int:
        taken = super().send_batch(batch, start)
        self.under_way += taken
        self.most = max(self.most, self.under_way)
        return taken

    def poll(self, timeout_s: float) -> Outcomes:
        if self.under_way < self._until:
            return Outcomes(np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.int64))
        self.under_way = 0
        return super().poll(timeout_s)

    def drain(self, timeout_s: float) -> Outcomes:
        self._until = 0
        return self.poll(timeout_s)


@pytest.mark.parametrize(("late_after_ns", "until", "most"), [(10**12, COUNT, COUNT), (0, 8_000, ENOUGH)])
def test_what_is_late_waits_behind_ten_thousand_and_what_is_in_time_never(
    late_after_ns: int, until: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_LATE_NS", late_after_ns)
    plan = PublisherPlan(
        publisher=0,
        site="bus",
        channel="orders",
        load=0,
        index=0,
        of=1,
        guaranteed=True,
        seed=1,
        profile=Profile(tuple(hold(1e9, COUNT / 1e9))),  # all are due at once
        assignment=Assignment(seed=1, publisher=0, publishers=1, keys=100, topics=1),
        sizes=Sizes(((100, 1.0),)),
    )
    history = HistoryWriter(tmp_path, {sent_file(0): SENT, outcomes_file(0): OUTCOME}, marks=publisher_marks(0))
    client = Slow(until)
    engine = PublisherEngine(
        PublisherTask(plan, SPEC),
        client,
        Renderer(run=1, publisher=0, seed=1, carrier="payload"),
        t0_ns=time.monotonic_ns(),
        history=history,
        tell=lambda _line: None,
    )
    done = engine.run(threading.Event())
    assert (done["sent"], done["acknowledged"], done["unsent"]) == (COUNT, COUNT, 0)
    assert most - 2_500 < client.most <= most

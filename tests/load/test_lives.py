"""Engines that are killed, started again, frozen, slowed, joined: what is recorded, and what is never told wrongly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crep.harness.brokers.contract import Outcome, ReaderSpec
from crep.harness.load.engines import EngineFailed, Engines, PublisherDone
from crep.harness.metrics.history import DONE, MARK, publisher_marks, read_records, reader_marks
from tests.fakes.lying_broker import Lies
from tests.load.test_engines import BILLING, CHECKOUT, Bench

PAIR = replace(BILLING, members=2)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def wait(bench: Bench, holds: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {bench.said[-5:]}"
        bench.listen(0.05)


def ready(engines: Engines, *names: str) -> bool:
    states = engines.states()
    return all(states[name].ready for name in names)


def end(bench: Bench, engines: Engines, quiet_s: float = 0.5) -> None:
    bench.until_done()
    bench.listen(quiet_s)
    engines.finish(10)
    bench.said += engines.take(0)
    assert not bench.of(EngineFailed)


def delivered(bench: Bench, members: int = 1, reader: str = "billing") -> list[int]:
    return [n for member in range(members) for n in bench.received(reader, member)["sequence"].tolist()]


def test_a_member_that_was_killed_goes_on_with_its_records_and_loses_nothing(bench: Bench) -> None:
    engines = bench.start(rate=1000, for_s=3.0, write_ahead=True)
    engines.go(bench.t0_ns)
    bench.listen(1.0)
    engines.crash(["billing-0"])
    assert engines.states()["billing-0"].pid is None
    before = bench.received()
    assert len(before) > 0
    bench.listen(0.3)
    engines.begin(["billing-0"])
    wait(bench, lambda: ready(engines, "billing-0"))
    assert engines.states()["billing-0"].life == 2
    end(bench, engines)
    after = bench.received()
    assert (after[: len(before)] == before).all()
    assert set(after["sequence"].tolist()) == set(bench.sent()["sequence"].tolist()) == set(range(3000))
    assert bench.broker.backlog() == {"orders.billing": 0}
    marks = read_records(bench.folder / "ledger" / reader_marks("orders", "billing", 0), MARK)
    assert (np.diff(marks["records"][:, 0].astype(np.int64)) >= 0).all()
    assert (marks["until_ns"] != DONE).all()  # who may come back never says that it has ended


def test_a_publisher_that_was_killed_goes_on_with_its_sequence_and_sends_nothing_twice(bench: Bench) -> None:
    engines = bench.start(rate=1000, for_s=3.0, write_ahead=True)
    engines.go(bench.t0_ns)
    bench.listen(1.0)
    engines.crash(["p0"])
    at_death = len(bench.sent())
    assert 0 < at_death < 3000
    bench.listen(0.3)
    engines.begin(["p0"])
    end(bench, engines)
    sent, outcomes, received = bench.sent(), bench.outcomes(), delivered(bench)
    assert sent["sequence"].tolist() == list(range(3000))
    assert len(received) == len(set(received))
    acknowledged = set(outcomes["sequence"][outcomes["outcome"] == Outcome.ACKNOWLEDGED].tolist())
    assert acknowledged <= set(received)
    unknown = set(range(3000)) - acknowledged
    assert unknown <= set(range(at_death))  # only of what it may have sent when it died
    assert len(unknown) <= 600  # its window, and what it had not written of outcomes
    [done] = bench.of(PublisherDone)
    assert (done.sent, done.acknowledged, done.unknown, done.unsent) == (3000, len(acknowledged), len(unknown), 0)
    marks = read_records(bench.folder / "ledger" / publisher_marks(0), MARK)
    assert marks["records"][-1, 0] == 3000


def test_what_was_offered_and_not_taken_when_it_ended_is_not_recorded_as_sent(bench: Bench) -> None:
    """The library's window is full for good: the last offers are taken back."""
    lies = Lies(silent=set(range(100, 10_000)))
    engines = bench.start(lies, rate=1000, for_s=1.0, settings={"window": 50}, write_ahead=True)
    engines.go(bench.t0_ns)
    bench.listen(1.5)
    engines.stop_publishers()
    end(bench, engines)
    [done] = bench.of(PublisherDone)
    assert len(bench.sent()) == done.sent == 150
    assert done.unsent == 850


def test_a_publisher_that_never_came_back_is_spoken_for(bench: Bench) -> None:
    engines = bench.start(rate=1000, for_s=10.0, write_ahead=True)
    engines.go(bench.t0_ns)
    bench.listen(0.6)
    engines.crash(["p0"])
    engines.stop_publishers()
    bench.said += engines.take(0)
    [done] = bench.of(PublisherDone)
    assert done.sent == len(bench.sent()) > 0
    assert done.acknowledged + done.unknown == done.sent
    engines.begin(["p0"])  # too late: it is not started again
    assert engines.states()["p0"].pid is None
    engines.finish(10)
    assert not bench.of(EngineFailed)


def test_members_join_and_leave_without_loss_or_failure(bench: Bench) -> None:
    growing = replace(BILLING, members=3, at_first=1)
    engines = bench.start(rate=600, for_s=4.0, readers=(growing,), write_ahead=True)
    assert {client.name for client in engines.clients} == {"p0", "billing-0"}
    assert engines.states()["billing-2"].life == 0
    engines.go(bench.t0_ns)
    engines.begin(["billing-1", "billing-2"])
    wait(bench, lambda: ready(engines, "billing-1", "billing-2"))
    bench.listen(0.7)
    engines.leave(["billing-2"])
    wait(bench, lambda: engines.states()["billing-2"].pid is None)
    end(bench, engines)
    assert [len(bench.received("billing", member)) > 0 for member in range(3)] == [True, True, True]
    assert set(delivered(bench, 3)) == set(range(2400))


def test_a_frozen_member_is_connected_and_dead_until_it_is_let_go_on(bench: Bench) -> None:
    engines = bench.start(rate=500, for_s=2.5)
    engines.go(bench.t0_ns)
    bench.listen(0.5)
    engines.freeze(["billing-0"])
    wait(bench, lambda: engines.states()["billing-0"].frozen, 5)
    held = len(bench.received())
    bench.listen(0.5)
    assert len(bench.received()) == held
    engines.thaw(["billing-0"])
    wait(bench, lambda: not engines.states()["billing-0"].frozen, 5)
    end(bench, engines)
    assert sorted(delivered(bench)) == list(range(1250))


def test_a_frozen_engine_ends_with_the_run(bench: Bench) -> None:
    engines = bench.start(for_s=20)
    engines.go(bench.t0_ns)
    engines.freeze(["billing-0"])
    engines.kill()
    assert engines.states()["billing-0"].pid is None


def test_processing_takes_its_time_and_acknowledges_after_it(bench: Bench) -> None:
    slow = replace(BILLING, processing_s=0.02)
    engines = bench.start(rate=100, for_s=1.0, readers=(slow,))
    engines.go(bench.t0_ns)
    bench.listen(1.3)
    assert bench.broker.backlog()["orders.billing"] > 20  # 50 a second are done, 100 came
    wait(bench, lambda: bench.broker.backlog()["orders.billing"] == 0, 5)
    end(bench, engines)
    received_ns = bench.received()["received_ns"]
    gaps = np.diff(received_ns)
    assert len(received_ns) == 100
    assert 1.9e9 < received_ns[-1] - received_ns[0] < 4e9  # by the clock: 99 times 20 ms, plus what a machine adds
    assert np.median(gaps) > 15_000_000


def test_a_reader_is_slowed_and_says_so_and_is_as_fast_as_before(bench: Bench) -> None:
    engines = bench.start(rate=200, for_s=2.5)
    engines.go(bench.t0_ns)
    bench.listen(0.4)
    engines.slow(["billing-0"], 50_000_000)
    wait(bench, lambda: engines.states()["billing-0"].processing_ns == 50_000_000, 5)
    bench.listen(0.8)
    assert bench.broker.backlog()["orders.billing"] > 30
    engines.slow(["billing-0"], None)
    wait(bench, lambda: engines.states()["billing-0"].processing_ns == 0, 5)
    end(bench, engines)
    assert sorted(delivered(bench)) == list(range(500))


@pytest.mark.parametrize(("acknowledge", "lost"), [("after-processing", 0), ("on-receipt", 1)])
def test_killed_while_it_processes_it_has_lost_what_it_acknowledged_before(
    bench: Bench, acknowledge: str, lost: int
) -> None:
    reader = ReaderSpec("billing", "group", 1, "at-least-once", acknowledge=acknowledge, processing_s=0.3)  # type: ignore[arg-type]
    engines = bench.start(rate=20, for_s=1.0, readers=(reader,), write_ahead=True)
    engines.go(bench.t0_ns)
    wait(bench, lambda: len(bench.received()) > 0, 10)
    time.sleep(0.1)  # in the middle of the next
    engines.crash(["billing-0"])
    engines.begin(["billing-0"])
    wait(bench, lambda: bench.broker.backlog()["orders.billing"] == 0, 20)
    bench.listen(0.5)
    end(bench, engines)
    assert 20 - len(set(delivered(bench))) == lost

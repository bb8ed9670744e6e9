"""Two workers, as if they were two machines, against one machine's engines on the same broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from crep.harness.checks.results import RunResults
from crep.harness.load.contract import WorkerFacts, WorkerLost
from crep.harness.load.engines import EngineFailed, Engines
from crep.harness.metrics.history import INTACT, RECEIVED, SENT, read_records, received_file, sent_file, whole_records
from crep.harness.runs.records import load_records
from crep.harness.workers.distributed import WorkerEngines
from tests.checks.test_lying_broker import PLAN, measured
from tests.fakes.lying_broker import Lies, LyingBroker
from tests.runs.example import new_folder
from tests.workers.conftest import AHEAD_S, Machines, really_ahead, two_machines
from tests.workers.tasks import live_tasks

PLANTED_NS = 50_000_000
LIES = Lies(drop={60}, double={70}, redeliver={80}, reorder={90}, reject={100})


class Spread:
    """One run on two workers, the first of which has a planted clock, and the same run on this machine."""

    def __init__(self, folder: Path, machines: Machines) -> None:
        self.machines = machines
        self.groups: list[WorkerEngines] = []
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        with new_folder(folder / "one") as one, new_folder(folder / "two") as two:
            self.one = measured(one, LIES, make=Engines)  # while the workers start
            machines.fleet.assemble(lambda _: None, lambda: None)
            self.two = measured(two, LIES, make=self._made)
            self.sent = {
                each.publisher: load_records(two.ledger, sent_file(each.publisher), SENT) for each in PLAN.publishers
            }
            self.received = [
                load_records(two.ledger, received_file("orders", reader, member), RECEIVED)
                for reader, member in (("billing", 0), ("billing", 1), ("screen", 0))
            ]

    def _made(self, **options: Any) -> WorkerEngines:
        self.groups.append(self.machines.fleet.engines(**options))
        return self.groups[-1]

    @property
    def facts(self) -> dict[str, WorkerFacts]:
        return {one.name: one for one in self.groups[0].workers}


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    folder = tmp_path_factory.mktemp("spread")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        with two_machines(folder, planted="50 ms") as machines:
            yield Spread(folder, machines)


def verdict(results: RunResults) -> dict[str, Any]:
    """All that does not depend on when and by which member something was received."""
    return {
        "channels": [one.model_dump() for one in results.channels],
        "readers": [one.model_dump(exclude={"offenders"}) for one in results.readers],
        "offenders": {
            (reader.reader, each.kind, each.publisher, each.sequence, each.key, each.key_sequence)
            for reader in results.readers
            for each in reader.offenders
        },
        "rules": {rule.name: rule.holds for rule in results.rules if rule.name != "lateness"},
    }


def test_the_ledgers_of_two_workers_merge_to_the_verdict_of_one(spread: Spread) -> None:
    assert verdict(spread.two) == verdict(spread.one)
    billing = next(reader for reader in spread.two.readers if reader.reader == "billing")
    assert (billing.lost, billing.duplicates_unflagged, billing.duplicates_flagged) == (2, 2, 2)  # of two publishers


def test_the_union_of_the_schedules_is_exact(spread: Spread) -> None:
    intended = []
    for plan in PLAN.publishers:
        sent = spread.sent[plan.publisher]
        assert np.array_equal(sent["sequence"], np.arange(plan.count, dtype=np.uint64))
        after_t0 = sent["intended_ns"] - plan.intended_ns(np.arange(plan.count))
        assert len(set(after_t0.tolist())) == 1  # t0, to the nanosecond
        intended.append((after_t0[0], plan))
    assert len({t0_ns for t0_ns, _ in intended}) == 1
    numbers = sorted(plan.index + plan.of * number for _, plan in intended for number in range(plan.count))
    assert numbers == list(range(sum(plan.count for plan in PLAN.publishers)))


def test_a_receiver_elsewhere_reads_the_very_time_that_the_publisher_intended(spread: Spread) -> None:
    for received in spread.received:
        intact = received[received["fault"] == INTACT]
        for number, sent in spread.sent.items():
            of_it = intact[intact["publisher"] == number]
            assert np.array_equal(of_it["intended_ns"], sent["intended_ns"][of_it["sequence"].astype(np.int64)])


def test_a_planted_clock_is_reported_within_its_stated_error(spread: Spread) -> None:
    a, b = spread.facts["a"], spread.facts["b"]
    assert abs(a.clock_ahead_ns - PLANTED_NS) <= a.clock_error_ns
    b_ahead_ns = AHEAD_S * 10**9 if really_ahead() else 0
    assert abs(b.clock_ahead_ns - b_ahead_ns) <= b.clock_error_ns
    assert max(a.clock_error_ns, b.clock_error_ns) < PLANTED_NS / 2
    note = spread.groups[0].clock_note
    assert note is not None
    assert "orders.billing" in note
    assert f"a is ahead by {a.clock_ahead_ns / 1e6:+.3f} ± {a.clock_error_ns / 1e6:.3f} ms" in note


def test_no_latency_between_the_two_contains_the_planted_difference(spread: Spread) -> None:
    records = np.concatenate(spread.received)
    records = records[records["fault"] == INTACT]
    latency = records["received_ns"] - records["intended_ns"]
    shortest = {number: int(latency[records["publisher"] == number].min()) for number in spread.sent}
    assert all(abs(value) < PLANTED_NS / 2 for value in shortest.values()), shortest


def test_clients_elsewhere_are_killed_and_go_on_with_records_that_arrive_whole(spread: Spread, tmp_path: Path) -> None:
    with LyingBroker(Lies()) as broker:
        publishers, subscribers = live_tasks(broker.endpoint)
        group = spread.machines.fleet.engines(
            publishers=publishers,
            subscribers=subscribers,
            run_number=1,
            folder=tmp_path,
            carrier="payload",
            write_ahead=True,
        )

        def wait(holds: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 30
            while not holds():
                assert time.monotonic() < deadline, group.states()
                assert not [said for said in group.take(0.05) if isinstance(said, WorkerLost | EngineFailed)]

        def held(name: str, layout: np.dtype[Any]) -> int:
            return whole_records(tmp_path / "ledger" / name, layout)

        wanted = ("p0", "billing-0")
        group.start(30)
        group.go(time.monotonic_ns() + 100_000_000)
        wait(lambda: held(received_file("orders", "billing", 0), RECEIVED) > 0 and held(sent_file(0), SENT) > 0)
        group.crash(wanted)
        wait(lambda: all(group.states()[name].pid is None for name in wanted))
        before = held(sent_file(0), SENT)
        group.begin(wanted)
        wait(lambda: all(group.states()[name].ready and group.states()[name].life == 2 for name in wanted))
        wait(lambda: held(sent_file(0), SENT) > before + 100)
        group.finish(20)
        sent = read_records(tmp_path / "ledger" / sent_file(0), SENT)["sequence"]
        received = np.concatenate(
            [read_records(tmp_path / "ledger" / received_file("orders", "billing", m), RECEIVED) for m in (0, 1)]
        )
        assert np.array_equal(sent, np.arange(len(sent)))
        mine = received[(received["publisher"] == 0) & (received["fault"] == INTACT)]["sequence"]
        assert set(mine.tolist()) <= set(sent.tolist())


def test_a_lost_worker_is_said_and_a_worker_without_a_master_ends_its_engines(spread: Spread, tmp_path: Path) -> None:
    machines = spread.machines  # last: nothing is left of them
    with LyingBroker(Lies()) as broker:
        publishers, subscribers = live_tasks(broker.endpoint)
        group = machines.fleet.engines(
            publishers=publishers, subscribers=subscribers, run_number=1, folder=tmp_path, carrier="payload"
        )
        group.start(30)
        group.go(time.monotonic_ns() + 100_000_000)
        engines = psutil.Process(machines.workers["a"].pid).children(recursive=True)
        machines.workers["b"].kill()
        machines.workers["b"].wait(10)
        lost: list[WorkerLost] = []
        deadline = time.monotonic() + 20
        while not lost:
            assert time.monotonic() < deadline
            lost = [said for said in group.take(0.2) if isinstance(said, WorkerLost)]
        assert lost[0].worker == "b"
        # Its channel's own process may see that the worker is gone, and take leave, before it is ended as well.
        assert lost[0].reason.startswith(("its heartbeats do not come any more", "it was ended where it runs"))

        [locust] = [one for one in psutil.Process().children() if "endpoint" in " ".join(one.cmdline())]
        locust.kill()
        assert machines.workers["a"].wait(20) == 3
        assert "the master is gone" in machines.said("a")
        gone, alive = psutil.wait_procs(engines, timeout=5)
        assert gone
        assert not alive
        group.kill()

"""Real engine processes against the lying broker: what is counted, what is written, and how they end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from crep.harness import processes
from crep.harness.brokers.contract import (
    REDELIVERED_YES,
    BrokerError,
    Outcome,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.load.engines import (
    ClientNote,
    EngineFailed,
    Engines,
    PublisherDone,
    PublisherTask,
    Said,
    SubscriberTask,
    Window,
)
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import (
    CORRUPT,
    INTACT,
    OUTCOME,
    RECEIVED,
    SENT,
    Records,
    outcomes_file,
    read_records,
    received_file,
    sent_file,
)
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes
from tests.fakes.lying_broker import Lies, LyingBroker

T = TypeVar("T")
RUN = 0x7F3A
TOPICS = ("orders/eu", "orders/us")
BILLING = ReaderSpec("billing", "group", 1, "at-least-once")
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _children_find_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


class Bench:
    """One run of engines on one lying broker; ends everything when the test does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = LyingBroker()
        self.engines: Engines | None = None
        self.said: list[Said] = []
        self.t0_ns = 0

    def start(
        self,
        lies: Lies | None = None,
        *,
        rate: float = 500,
        for_s: float = 1.0,
        warm_up_s: float = 0.0,
        publishers: int = 1,
        readers: tuple[ReaderSpec, ...] = (BILLING,),
        guaranteed: bool = True,
        carrier: str = "payload",
        settings: dict[str, object] | None = None,
        reconnect_for_s: float = 2.0,
        write_ahead: bool = False,
    ) -> Engines:
        self.broker.lies = lies or Lies()
        profile = Profile(tuple(hold(rate, for_s)), warm_up_s)
        stamp_property = "crep-stamp" if carrier == "property" else None
        tasks = [
            PublisherTask(
                PublisherPlan(
                    publisher=index,
                    site="bus",
                    channel="orders",
                    load=0,
                    index=index,
                    of=publishers,
                    guaranteed=guaranteed,
                    seed=7,
                    profile=profile,
                    assignment=Assignment(7, index, publishers, 20, len(TOPICS)),
                    sizes=Sizes(((100, 0.5), (150, 0.5))),
                ),
                PublisherSpec(
                    endpoint=self.broker.endpoint,
                    name=f"p{index}",
                    channel="orders",
                    objects={"topics": TOPICS},
                    topics=TOPICS,
                    guaranteed=guaranteed,
                    settings=settings or {},
                    reconnect_for_s=reconnect_for_s,
                    stamp_property=stamp_property,
                ),
            )
            for index in range(publishers)
        ]
        subscribers = [
            SubscriberTask(
                SubscriberSpec(
                    endpoint=self.broker.endpoint,
                    name=f"{reader.name}-{member}",
                    channel="orders",
                    reader=reader,
                    member=member,
                    objects={"topics": TOPICS},
                    settings=settings or {},
                    reconnect_for_s=reconnect_for_s,
                    stamp_property=stamp_property,
                )
            )
            for reader in readers
            for member in range(reader.members)
        ]
        self.engines = Engines(
            publishers=tasks,
            subscribers=subscribers,
            run_number=RUN,
            folder=self.folder,
            carrier="property" if carrier == "property" else "payload",
            write_ahead=write_ahead,
        )
        self.engines.start(30)
        self.t0_ns = time.monotonic_ns() + round((0.1 + warm_up_s) * 1e9)
        return self.engines

    def run(self, lies: Lies | None = None, *, quiet_s: float = 0.5, **options: object) -> Counter[str]:
        """A whole run. Returns all counters, added up."""
        engines = self.start(lies, **options)  # type: ignore[arg-type]
        engines.go(self.t0_ns)
        self.until_done()
        self.listen(quiet_s)
        engines.finish(10)
        self.said += engines.take(0)
        assert not self.of(EngineFailed)
        return self.counters()

    def until_done(self, within_s: float = 30) -> None:
        assert self.engines is not None
        deadline = time.monotonic() + within_s
        publishers = 1 + max(c.publisher or 0 for c in self.engines.clients)
        while len(self.of(PublisherDone)) < publishers and not self.of(EngineFailed):
            assert time.monotonic() < deadline, f"not done: {self.said}"
            self.said += self.engines.take(0.1)

    def listen(self, for_s: float) -> None:
        assert self.engines is not None
        deadline = time.monotonic() + for_s
        while (left := deadline - time.monotonic()) > 0:
            self.said += self.engines.take(left)

    def of(self, kind: type[T]) -> list[T]:
        return [said for said in self.said if isinstance(said, kind)]

    def counters(self, second: int | None = None) -> Counter[str]:
        total: Counter[str] = Counter()
        for window in self.of(Window):
            if second is None or window.second == second:
                total.update(window.counters)
        return total

    def histogram(self, name: str) -> Histogram:
        merged = Histogram()
        for window in self.of(Window):
            if name in window.histograms:
                merged.merge(Histogram.from_sparse(*window.histograms[name]))
        return merged

    def sent(self, publisher: int = 0) -> Records:
        return read_records(self.folder / "ledger" / sent_file(publisher), SENT)

    def outcomes(self, publisher: int = 0) -> Records:
        return read_records(self.folder / "ledger" / outcomes_file(publisher), OUTCOME)

    def received(self, reader: str = "billing", member: int = 0) -> Records:
        return read_records(self.folder / "ledger" / received_file("orders", reader, member), RECEIVED)

    def close(self) -> None:
        if self.engines is not None:
            self.engines.kill()
        self.broker.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture(scope="module", params=["payload", "property"])
def honest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A finished run of two publishers with nothing wrong: 200 messages of warm-up, 500 measured."""
    bench = Bench(tmp_path_factory.mktemp("honest"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(CHECKOUT))
        bench.run(publishers=2, warm_up_s=0.4, carrier=request.param)
    yield bench
    bench.close()


def test_an_honest_run_is_recorded_whole(honest: Bench) -> None:
    bench, totals = honest, honest.counters()
    assert totals["intended"] == totals["sent"] == totals["acknowledged"] == totals["received"] == 700
    assert not {"corrupt", "foreign", "rejected", "unknown", "redelivered", "contradiction"} & set(totals)
    received = bench.received()
    for publisher in (0, 1):
        sent, mine = bench.sent(publisher), received[received["publisher"] == publisher]
        assert sent["sequence"].tolist() == list(range(350))
        assert (bench.outcomes(publisher)["outcome"] == Outcome.ACKNOWLEDGED).all()
        for field in ("sequence", "intended_ns", "key", "key_sequence"):
            assert (mine[field] == sent[field]).all()
        assert set(sent["size"]) == {100, 150}
        assert (sent["key"] % 2 == publisher).all()
        assert (sent["sent_ns"] >= sent["intended_ns"]).all()
        assert (mine["received_ns"] > sent["intended_ns"]).all()
    assert {done.sent for done in bench.of(PublisherDone)} == {350}
    assert bench.broker.backlog() == {"orders.billing": 0}


def test_seconds_count_from_the_first_measured_message(honest: Bench) -> None:
    assert [honest.counters(second)["intended"] for second in (-2, -1, 0, 1)] == [0, 200, 500, 0]
    intended = honest.sent(0)["intended_ns"]
    assert intended[100] == honest.t0_ns
    assert intended[0] == honest.t0_ns - 400_000_000


def test_each_message_has_one_sample_in_each_histogram(honest: Bench) -> None:
    for name in ("lateness", "acknowledge", "latency"):
        assert (honest.histogram(name).count, honest.histogram(name).non_positive) == (700, 0)


def test_effective_settings_of_every_client_are_known(honest: Bench) -> None:
    assert honest.engines is not None
    assert {(c.name, c.role, c.settings.get("window")) for c in honest.engines.clients} == {
        ("p0", "publisher", "500"),
        ("p1", "publisher", "500"),
        ("billing-0", "subscriber", None),
    }


def test_finish_and_kill_can_be_called_again(honest: Bench) -> None:
    assert honest.engines is not None
    for _ in range(2):
        honest.engines.finish(1)
        honest.engines.kill()
    assert honest.engines.take(0) == []


def test_every_lie_of_delivery_is_in_the_records(bench: Bench) -> None:
    lies = Lies(drop={10}, double={20}, redeliver={30}, reorder={40}, corrupt={50}, delay={60: 0.3})
    totals = bench.run(lies, rate=200, quiet_s=0.8)
    received = bench.received()
    intact = received[received["fault"] == INTACT]
    times = Counter(intact["sequence"].tolist())
    assert [times[n] for n in (10, 20, 30, 40, 50, 60, 70)] == [0, 2, 2, 1, 0, 1, 1]
    assert intact["redelivered"][intact["sequence"] == 30].tolist() == [0, REDELIVERED_YES]
    assert np.count_nonzero(received["fault"] == CORRUPT) == totals["corrupt"] == 1
    order = intact["sequence"].tolist()
    key = dict(zip(intact["sequence"].tolist(), intact["key"].tolist(), strict=True))
    following = next(n for n in order if n > 40 and key[n] == key[40])
    assert order.index(40) == order.index(following) + 1
    assert totals["acknowledged"] == 200


def test_a_refused_message_is_never_counted_as_acknowledged(bench: Bench) -> None:
    totals = bench.run(Lies(reject={3, 4}, reject_and_deliver={5}))
    assert (totals["rejected"], totals["acknowledged"], totals["unknown"]) == (3, 497, 0)
    outcomes = bench.outcomes()
    assert sorted(outcomes["sequence"][outcomes["outcome"] == Outcome.REJECTED]) == [3, 4, 5]
    assert bench.of(PublisherDone)[0].rejection_reasons == {"refused by order": 3}
    assert [note.text for note in bench.of(ClientNote) if note.kind == "rejected"] == ["refused by order"]


def test_a_send_without_an_outcome_is_unknown_when_the_time_to_settle_is_over(
    bench: Bench,
) -> None:
    engines = bench.start(Lies(silent={3}, swallow={4}), rate=200, for_s=0.5)
    engines.go(bench.t0_ns)
    bench.listen(1.2)
    assert not bench.of(PublisherDone)  # it waits for outcomes that may still come
    engines.stop_publishers()
    bench.until_done()
    done = bench.of(PublisherDone)[0]
    assert (done.unknown, done.acknowledged) == (2, 98)
    assert not set(bench.outcomes()["sequence"]) & {3, 4}


def test_at_most_once_is_sent_and_nothing_more(bench: Bench) -> None:
    screen = ReaderSpec("screen", "all", 1, "at-most-once")
    totals = bench.run(guaranteed=False, readers=(screen,))
    assert (totals["sent"], totals["acknowledged"], totals["received"]) == (500, 0, 500)
    assert (bench.outcomes()["outcome"] == Outcome.SENT).all()


def test_a_stall_shows_as_lateness_and_never_shifts_the_schedule(bench: Bench) -> None:
    totals = bench.run(Lies(stall=(200, 0.6)), rate=500, for_s=1.5, settings={"window": 50})
    sent = bench.sent()
    assert (np.diff(sent["sequence"]) == 1).all()
    step = np.diff(sent["intended_ns"])
    assert (step == 2_000_000).all()
    lateness = sent["sent_ns"] - sent["intended_ns"]
    assert 0.3e9 < lateness.max() < 1.5e9  # blocked by the full window from message 250 on
    assert lateness[-50:].max() < lateness.max() / 2  # and caught up
    assert totals["window_full"] > 10
    assert totals["acknowledged"] == totals["received"] == 750
    assert (bench.histogram("latency").max_ns or 0) > 0.5e9


def test_a_group_shares_and_a_filter_selects(bench: Bench) -> None:
    group = replace(BILLING, members=2)
    eu = ReaderSpec("audit", "exclusive", 1, "at-least-once", topic_filter="orders/eu")
    bench.run(readers=(group, eu))
    shares = [set(bench.received("billing", member)["key"].tolist()) for member in (0, 1)]
    assert shares[0] | shares[1] == set(range(20))
    assert not shares[0] & shares[1]
    topic = bench.sent()["topic"]
    assert len(bench.received("audit")) == np.count_nonzero(topic == 0) > 0


def test_a_publisher_without_any_message_is_done_at_once(bench: Bench) -> None:
    totals = bench.run(rate=2, for_s=1.0, publishers=3, quiet_s=0.2)
    assert {done.publisher: done.sent for done in bench.of(PublisherDone)} == {0: 1, 1: 1, 2: 0}
    assert totals["received"] == 2


def test_connection_events_are_forwarded(bench: Bench) -> None:
    engines = bench.start()
    engines.go(bench.t0_ns)
    bench.broker.announce("reconnecting", "for a test")
    bench.until_done()
    bench.listen(0.3)
    assert {(n.client, n.text) for n in bench.of(ClientNote)} == {("p0", "for a test"), ("billing-0", "for a test")}


def test_an_unreachable_broker_is_named_by_its_address(bench: Bench) -> None:
    bench.broker.close()
    with pytest.raises(BrokerError, match=bench.broker.endpoint.bootstrap or "?"):
        bench.start()


def test_an_error_of_crep_itself_is_told_with_its_last_lines(bench: Bench) -> None:
    bench.broker.endpoint = replace(bench.broker.endpoint, system="tests.fakes.lying_clients:Missing")
    with pytest.raises(BrokerError, match=r"(?s)exit code 1\n.*AttributeError: .*'Missing'"):
        bench.start()


def test_a_connection_lost_for_good_is_a_failure_with_its_reason(bench: Bench) -> None:
    engines = bench.start(Lies(hang_up=50))
    engines.go(bench.t0_ns)
    bench.until_done()
    assert [(f.client, "hung up" in f.reason) for f in bench.of(EngineFailed)] == [("p0", True)]
    assert len(bench.sent()) >= 50  # what was recorded before is kept


def test_a_child_that_is_killed_is_reported_and_never_waited_for(bench: Bench) -> None:
    engines = bench.start(for_s=20)
    engines.go(bench.t0_ns)
    bench.listen(1.5)
    os.kill(engines.pids["billing-0"], signal.SIGKILL)
    bench.until_done(within_s=5)
    assert [(f.client, f.reason) for f in bench.of(EngineFailed)] == [("billing-0", "ended by signal 9")]
    assert len(bench.received()) > 100  # all but the last moments


def test_a_child_that_dies_in_the_middle_of_a_word_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = processes.spawn
    half_a_word = [sys.executable, "-c", """import os; os.write(1, b'{"window": ')"""]
    monkeypatch.setattr(processes, "spawn", lambda _command, **how: spawn(half_a_word, **how))
    with pytest.raises(BrokerError, match="ended with exit code 0"):
        bench.start()


def test_an_early_end_keeps_what_was_measured(bench: Bench) -> None:
    engines = bench.start(for_s=60, rate=200)
    engines.go(bench.t0_ns)
    bench.listen(1.0)
    engines.stop_publishers()
    bench.until_done(within_s=5)
    engines.finish(5)
    bench.said += engines.take(0)
    done = bench.of(PublisherDone)[0]
    assert 100 < done.sent < 400
    assert done.sent == done.acknowledged == len(bench.sent()) == len(bench.received())
    assert bench.counters()["intended"] == done.intended == done.sent + done.unsent
    assert done.unsent < 100  # what would have come after the order to stop was not intended


def test_a_full_disk_is_a_failure_for_people(bench: Bench) -> None:
    (bench.folder / "ledger").mkdir()
    (bench.folder / "ledger" / outcomes_file(0)).symlink_to("/dev/full")
    engines = bench.start()
    engines.go(bench.t0_ns)
    bench.until_done()
    [failure] = bench.of(EngineFailed)
    assert "cannot be written" in failure.reason
    assert "No space left on device" in failure.reason
    assert "Traceback" not in failure.reason


def test_a_parent_that_does_not_listen_holds_nobody_up(bench: Bench) -> None:
    engines = bench.start(for_s=1.5)
    engines.go(bench.t0_ns)
    time.sleep(2.2)
    assert len(bench.sent()) == 750
    bench.until_done()
    assert bench.counters()["sent"] == 750


def test_children_that_never_got_going_end_and_passwords_were_nowhere(bench: Bench) -> None:
    engines = bench.start()
    pid = engines.pids["p0"]
    for name in ("cmdline", "environ"):
        assert b"secret" not in Path(f"/proc/{pid}/{name}").read_bytes()
    engines.finish(5)
    assert [type(said) for said in engines.take(0)] == [PublisherDone]
    for path in bench.folder.rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()


def test_a_paused_reader_builds_a_backlog_that_it_drains_when_it_goes_on(bench: Bench) -> None:
    engines = bench.start(rate=500, for_s=2.5)
    engines.go(bench.t0_ns)
    bench.listen(0.6)
    engines.pause("orders", ["billing"])
    bench.listen(0.4)
    assert engines.standing("orders", ["billing"]) == [True]
    paused_ns = time.monotonic_ns()
    bench.listen(0.8)
    resumed_ns = time.monotonic_ns()
    engines.resume("orders", ["billing"])
    bench.until_done()
    bench.listen(0.5)
    assert engines.standing("orders", ["billing"]) == [False]
    assert engines.standing("orders", ["nobody"]) == []
    engines.finish(10)
    received = bench.received()
    at_ns = received["received_ns"]
    assert not ((at_ns > paused_ns) & (at_ns < resumed_ns)).any()
    waited = received["intended_ns"][(received["intended_ns"] > paused_ns) & (received["intended_ns"] < resumed_ns)]
    assert len(waited) > 300  # publishers went on
    assert len(np.unique(received["sequence"])) == len(bench.sent()) == 1250


def test_a_paused_reader_still_closes_when_it_is_told_to(bench: Bench) -> None:
    engines = bench.start(rate=500, for_s=0.5)
    engines.go(bench.t0_ns)
    engines.pause("orders", ["billing"])
    bench.until_done()
    engines.finish(10)
    assert not bench.of(EngineFailed)

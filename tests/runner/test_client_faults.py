"""Faults of clients on live brokers, each at the moment that it is about; a machine may take as long as it likes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.balance import channel_ledger, reader_ledger
from crep.harness.checks.results import ChannelLedger, ReaderLedger
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment
from crep.harness.faults.contract import Stage
from crep.harness.faults.scale import Scale
from crep.harness.load.engines import EngineFailed, Engines, PublisherDone
from crep.harness.metrics.history import (
    OUTCOME,
    RECEIVED,
    SENT,
    outcomes_file,
    read_records,
    received_file,
    sent_file,
    whole_records,
)
from crep.harness.runner.members import RunningClients
from crep.harness.runner.prepare import Site, new_run_id, provision, tasks
from crep.harness.runs.ledger import LedgerFolder, load_tallies
from crep.harness.scenario.load import parse_scenario
from crep.harness.scenario.plan import Plan, plan

SCENARIO = """\
scenario: clients
params: {sync: disk}
durability: {copies: 1, sync: $sync}
channels:
  orders:
    topics: "orders/{region:eu,us}"
    keys: 40
    readers:
      billing: {share: group, members: 1}
  payments:
    topics: "payments/{region:eu,us}"
    keys: 40
    readers:
      careless: {share: group, members: 1, acknowledge: on-receipt, processing: 2 s}
load:
  - {to: orders, message: {size: 100 B}, rate: {total: [{hold: 300/s, for: 6 s}]}}
  - {to: payments, message: {size: 100 B}, rate: {total: [{hold: 4/s, for: 1 s}]}}
timeline:
  - {at: 1 s, do: scale, reader: billing, to: 2}
measure: {warm_up: 0 s, drain: 60 s, repeat: 1, seed: 7}
"""
CLIENT: dict[str, dict[str, Any]] = {
    # Of a dead member Kafka knows by its session, 45 s by default; commits are a second apart by the mapping.
    "kafka": {"session.timeout.ms": 6000, "auto.commit.interval.ms": 200},
    "solace": {},
}
WITHIN_S = 60.0


@dataclass
class Live:
    """Engines on a broker, and what is known of them."""

    folder: Path
    plan: Plan
    site: Site
    engines: Engines
    clients: RunningClients
    t0_ns: int = 0
    sent_at_death: int = 0
    storm: dict[str, int] = field(default_factory=dict)
    done: list[PublisherDone] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < deadline, f"not within {WITHIN_S:.0f} s: {what}"
            for said in self.engines.take(0.05):
                assert not isinstance(said, EngineFailed), said
                if isinstance(said, PublisherDone):
                    self.done.append(said)

    def recorded(self, reader: str, member: int = 0) -> int:
        channel = "orders" if reader == "billing" else "payments"
        return whole_records(self.ledger / received_file(channel, reader, member), RECEIVED)

    def backlog(self) -> dict[str, int]:
        seen = self.site.admin.observe(self.site.provisioned)
        return {name: state.backlog for name, state in seen.readers.items()}

    def ready(self, names: tuple[str, ...]) -> bool:
        return all(state.ready for state in self.clients.states(names).values())

    def results(self) -> tuple[dict[str, ChannelLedger], dict[str, ReaderLedger]]:
        tallies = load_tallies(self.ledger, self.plan, self.t0_ns)
        readers = [reader_ledger(one, reader, drain_clean=True) for one in tallies.values() for reader in one.readers]
        return {name: channel_ledger(one) for name, one in tallies.items()}, {one.reader: one for one in readers}


def live_through(live: Live) -> None:
    """Everything that is done to the clients, each at its moment."""
    clients = live.clients
    billing, joining = clients.members("orders", ["billing"])
    [careless] = clients.members("payments", ["careless"])
    [publisher] = clients.publishers([0])
    live.wait(lambda: live.recorded("billing") > 100, "billing receives")
    clients.crash([billing])
    clients.begin([billing])
    outcomes = live.ledger / outcomes_file(0)
    live.wait(lambda: whole_records(outcomes, OUTCOME) > 100, "the publisher has outcomes")
    clients.crash([publisher])
    live.sent_at_death = whole_records(live.ledger / sent_file(0), SENT)
    clients.begin([publisher])
    live.wait(lambda: whole_records(live.ledger / outcomes_file(1), OUTCOME) == 4, "all payments are in the broker")
    # The broker itself says that one more is acknowledged than was processed: that one is in the member's hands.
    live.wait(lambda: live.recorded("careless") + live.backlog()["payments.careless"] == 3, "one is acknowledged early")
    clients.crash([careless])
    clients.begin([careless])
    storm = clients.storm("payments", 20, 0.5)
    live.wait(lambda: live.ready((billing, careless)), "all are back")
    event = next(one for one in live.plan.timeline if one.action == "scale")
    nothing = cast(Any, SimpleNamespace(target="none"))
    scale = Scale(
        Stage(
            event=event,
            target=nothing,
            deployment=live.site.deployment,
            admin=live.site.admin,
            provisioned=live.site.provisioned,
            clients=clients,
            seed=7,
        )
    )
    scale.aim()
    scale.inject()
    live.wait(scale.confirmed, "two members by the broker's own count")
    assert clients.states([joining])[joining].ready
    live.wait(lambda: len(live.done) == 2, "the publishers end")
    live.wait(lambda: storm.over, "the storm is over")
    live.storm = storm.counts
    live.wait(lambda: not any(live.backlog().values()), "nothing is left in the broker")
    received = live.recorded("careless")
    live.wait(lambda: live.recorded("careless") >= 3, f"what was not lost is processed, {received} so far")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("kafka", marks=pytest.mark.kafka),
        pytest.param("solace", marks=pytest.mark.emulator),
    ],
)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    system: str = request.param
    fixture = "kafka_deployment" if system == "kafka" else "emulator_deployment"
    deployment: Deployment = request.getfixturevalue(fixture)
    folder = tmp_path_factory.mktemp(f"clients-{system}")
    sync = "memory" if system == "kafka" else "disk"  # flushing each message to a disk takes a small machine seconds
    made = plan(parse_scenario(SCENARIO, folder / "clients.yaml", {"sync": sync}))
    source: Any = "local" if system == "kafka" else "embedded"
    target = Target(
        name=deployment.target, system=cast(Any, system), source=source, profile="quick", client=CLIENT[system]
    )
    run_id = new_run_id()
    [site] = provision(run_id, made, {"bus": target}, {"bus": deployment})
    publishers, subscribers = tasks(run_id, made, [site])
    engines = Engines(
        publishers=publishers,
        subscribers=subscribers,
        run_number=int(run_id, 16),
        folder=folder,
        carrier="payload",
        write_ahead=True,
    )
    clients = RunningClients(
        lambda: engines, lambda channel: next(one.spec for one in publishers if one.spec.channel == channel), folder
    )
    found = Live(folder, made, site, engines, clients)
    try:
        engines.start(WITHIN_S)
        found.t0_ns = time.monotonic_ns() + 300_000_000
        ledger = LedgerFolder(found.ledger, made, found.t0_ns, keep_records=True)
        engines.go(found.t0_ns)
        live_through(found)
        engines.finish(30)
        assert not [said for said in engines.take(0) if isinstance(said, EngineFailed)]
        ledger.finish()
        yield found
    finally:
        engines.kill()
        site.admin.remove(site.provisioned)
        site.admin.close()


def test_a_consumer_killed_between_receipt_and_commit_gets_messages_again_and_loses_none(live: Live) -> None:
    billing = live.results()[1]["billing"]
    again = billing.duplicates_flagged + billing.duplicates_unflagged + billing.duplicates_flag_not_offered
    assert (billing.lost, billing.pending, billing.unexpected) == (0, 0, 0)
    assert again >= 1
    assert billing.receipts == billing.received + again


def test_what_was_acknowledged_on_receipt_and_not_processed_is_found_lost(live: Live) -> None:
    careless = live.results()[1]["careless"]
    assert (careless.lost, careless.received) == (1, 3)


def test_a_publisher_that_was_killed_goes_on_and_only_what_was_under_way_is_unknown(live: Live) -> None:
    orders = live.results()[0]["orders"]
    assert (orders.handed_over, orders.unscheduled, orders.contradictions) == (1800, 0, 0)
    assert orders.acknowledged + orders.unknown == 1800
    outcomes = read_records(live.ledger / outcomes_file(0), OUTCOME)
    acknowledged = set(outcomes["sequence"][outcomes["outcome"] == Outcome.ACKNOWLEDGED].tolist())
    unknown = set(range(1800)) - acknowledged
    assert len(unknown) == orders.unknown
    assert unknown <= set(range(live.sent_at_death))
    assert len(unknown) <= live.sent_at_death - 100  # of so many the outcome was known by then


def test_a_storm_counts_those_that_connected(live: Live) -> None:
    assert live.storm == {"connected": 20, "failed": 0}

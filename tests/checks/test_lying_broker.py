"""From a lying broker through real engine processes and the run folder to the verdict: every lie is caught."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crep.harness.brokers.contract import PublisherSpec, SubscriberSpec
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.results import Drain, ReaderLedger, RunResults
from crep.harness.load.contract import EngineGroup, MakeEngines, WorkerLost
from crep.harness.load.engines import EngineFailed, Engines, PublisherDone, PublisherTask, SubscriberTask, Window
from crep.harness.runner.dead_letters import identified
from crep.harness.runner.keeper import LedgerKeeper
from crep.harness.runs.dead_letters import write_dead_letters
from crep.harness.runs.document import DeadLetterPart
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.ledger import LedgerFolder
from crep.harness.runs.read import read_run
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.defects import Defects, Poison
from crep.harness.scenario.plan import Plan
from tests.checks.judging import accused
from tests.checks.simulated import a_plan
from tests.fakes.lying_broker import Lies, LyingBroker
from tests.runs.example import document, new_folder

CHECKOUT = Path(__file__).parents[2]
PLAN = a_plan(rate=400, measured_s=1, warm_up_s=0.5, keys=20, kill_at_s=None)
ONE_PUBLISHER = replace(
    PLAN,
    publishers=(replace(PLAN.publishers[0], of=1, assignment=Assignment(7, 0, 1, 20, 2)),),
)
PER_RUN = 600


@pytest.fixture(autouse=True)
def _children_find_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with new_folder(tmp_path) as folder:
        yield folder


def measured(
    folder: RunFolder, lies: Lies, plan: Plan = PLAN, *, keep_records: bool = True, make: MakeEngines = Engines
) -> RunResults:
    """A whole run, judged from its folder alone, before and after the ledger is made whole."""
    (spec,) = plan.channels["bus"]
    poison = Poison(plan.seed, {each.publisher: each.defects.poison for each in plan.publishers})
    parts: list[DeadLetterPart] = []
    with LyingBroker(lies) as broker:
        common = {"endpoint": broker.endpoint, "channel": "orders", "objects": {"topics": spec.topics}, "settings": {}}
        engines = make(
            publishers=[
                PublisherTask(
                    each,
                    PublisherSpec(
                        name=f"p{each.publisher}",
                        topics=spec.topics,
                        guaranteed=each.guaranteed,
                        reconnect_for_s=2.0,
                        **common,  # type: ignore[arg-type]
                    ),
                )
                for each in plan.publishers
            ],
            subscribers=[
                SubscriberTask(
                    SubscriberSpec(
                        name=f"{reader.name}-{member}",
                        reader=reader,
                        member=member,
                        reconnect_for_s=2.0,
                        **common,  # type: ignore[arg-type]
                    ),
                    poison=None if reader.dead_letters_after is None else poison,
                )
                for reader in spec.readers
                for member in range(reader.members)
            ],
            run_number=0x7F3A,
            folder=folder.path,
            carrier="payload",
            keep_records=keep_records,
        )
        try:
            engines.start(30)
            t0_ns = time.monotonic_ns() + 700_000_000
            keeper = LedgerKeeper(LedgerFolder(folder.ledger, plan, t0_ns, keep_records=keep_records))
            engines.go(t0_ns)
            _pump(engines, folder, len(plan.publishers))
            engines.finish(10)
            _keep(engines, folder)
            parts += [_buried(broker, folder, reader.name) for reader in spec.readers if reader.dead_letters_after]
        finally:
            engines.kill()
    folder.merge_windows()
    about = {"t0_ns": t0_ns, "dead_letters": tuple(parts)}
    folder.write_document(document("complete").model_copy(update=about))
    results = judged(folder, plan)
    keeper.finish()
    assert judged(folder, plan) == results
    folder.compact_ledger()
    assert judged(folder, plan) == results
    return results


def _buried(broker: LyingBroker, folder: RunFolder, reader: str) -> DeadLetterPart:
    """What a run keeps of a dead letter place."""
    letters = broker.letters("orders", reader)
    write_dead_letters(folder.ledger, "orders", reader, identified(letters, "payload", 0x7F3A), [""] * len(letters))
    return DeadLetterPart(channel="orders", reader=reader, place="here", read=len(letters), complete=True)


def judged(folder: RunFolder, plan: Plan, *, drain_clean: bool = True) -> RunResults:
    """The verdict from the folder alone."""
    drain = Drain(clean=drain_clean, reason="as the broker says", backlog={}, duration_s=1.0)
    folder.write_document(read_run(folder.path).document.model_copy(update={"drain": drain}))
    return evaluate(read_run(folder.path), plan)


def _pump(engines: EngineGroup, folder: RunFolder, publishers: int, quiet_s: float = 1.0) -> None:
    deadline, quiet_since = time.monotonic() + 30, time.monotonic()
    while publishers or time.monotonic() < quiet_since + quiet_s:
        assert time.monotonic() < deadline
        done = _keep(engines, folder)
        publishers -= done
        quiet_since = time.monotonic() if publishers or done else quiet_since


def _keep(engines: EngineGroup, folder: RunFolder) -> int:
    said = engines.take(0.1)
    assert not [one for one in said if isinstance(one, EngineFailed | WorkerLost)]
    folder.add_windows([one for one in said if isinstance(one, Window)])
    return sum(isinstance(one, PublisherDone) for one in said)


def billing(results: RunResults) -> ReaderLedger:
    return next(reader for reader in results.readers if reader.reader == "billing")


def test_an_honest_broker_is_cleared(folder: RunFolder) -> None:
    results = measured(folder, Lies())
    assert [rule.text for rule in results.rules if not rule.holds and rule.name != "lateness"] == []
    (channel,) = results.channels
    assert channel.acknowledged == channel.handed_over == PER_RUN
    assert all(accused(reader) == {} for reader in results.readers)
    samples = {(one.metric, one.where): one.samples for one in results.latencies}
    assert set(samples.values()) == {400}  # measured messages; the warm-up's 200 are not among them


@pytest.mark.parametrize("keep_records", [True, False])
def test_every_lie_is_caught_and_named(folder: RunFolder, keep_records: bool) -> None:
    lies = Lies(
        drop={10, 11},
        double={20, 21, 22},
        redeliver={30},
        reorder={40},
        corrupt={50},
        delay={60: 0.6, 250: 600.0},  # the second one past the drain, although the broker denies to have it
        reject={110},
        reject_and_deliver={120, 121},
        silent={130},
        swallow={140},
        readers={"billing"},
    )
    results = measured(folder, lies, plan=ONE_PUBLISHER, keep_records=keep_records)
    (channel,) = results.channels
    assert (channel.rejected, channel.unknown, channel.acknowledged) == (3, 2, PER_RUN - 5)
    outcomes = {"rejected_received": 2, "unknown_received": 1, "missing_unknown": 1}
    delivery = {
        "duplicates_unflagged": 3,
        "duplicates_flagged": 1,
        "reordered": 1 + 1,  # held back until the next of its key, or delayed by 0.6 s
        "corrupt": 1,
    }
    missing = 2 + 1 + 1  # dropped; never intact; delayed past the drain
    found = billing(results)
    assert accused(found) == outcomes | delivery | {"lost": missing}
    named = {(offender.kind, offender.sequence) for offender in found.offenders}
    assert {("lost", 10), ("lost", 11), ("lost", 50), ("lost", 250), ("reordered", 40), ("reordered", 60)} <= named
    assert {("duplicate-unflagged", 20), ("duplicate-flagged", 30), ("corrupt", None)} <= named
    assert accused(next(reader for reader in results.readers if reader.reader == "screen")) == outcomes
    unclean = judged(folder, ONE_PUBLISHER, drain_clean=False)
    assert accused(billing(unclean)) == outcomes | delivery | {"pending": missing}
    records = {path.name for path in folder.ledger.iterdir() if path.name.startswith(("publisher-", "reader-"))}
    assert (len(records) > 3) if keep_records else (records == set())


def with_poison(plan: Plan) -> tuple[Plan, list[int]]:
    """One publisher some of whose messages are poison to billing, which gives up after three deliveries; and which."""
    (spec,) = plan.channels["bus"]
    readers = tuple(replace(one, dead_letters_after=3) if one.name == "billing" else one for one in spec.readers)
    publishers = tuple(replace(one, defects=Defects(poison=0.05)) for one in plan.publishers)
    poisonous = np.flatnonzero(publishers[0].poisonous(np.arange(PER_RUN))).tolist()
    return replace(plan, channels={"bus": (replace(spec, readers=readers),)}, publishers=publishers), poisonous


def test_a_broker_that_drops_poison_or_dead_letters_good_messages_is_caught(folder: RunFolder) -> None:
    plan, poisonous = with_poison(ONE_PUBLISHER)
    good = [number for number in range(PER_RUN) if number not in poisonous]
    lies = Lies(
        drop_poison=set(poisonous[3:5]), bury=set(good[10:13]), bury_a_copy=set(good[20:24]), readers={"billing"}
    )
    results = measured(folder, lies, plan)
    found, count = billing(results), len(poisonous)
    assert accused(found) == {
        "failed": 3 * count,
        "dead_lettered": count - 2 + 3,
        "misplaced": 3 + 4,
        "lost": 2,
    }
    assert found.letters == count - 2 + 3 + 4
    named = {(one.kind, one.sequence, one.detail) for one in found.offenders}
    assert {("lost", number, "outcome acknowledged") for number in poisonous[3:5]} <= named
    assert {("misplaced", number, "neither poison nor expired") for number in good[10:13]} <= named
    assert ("misplaced", good[20], "the reader has processed it as well") in named
    screen = next(reader for reader in results.readers if reader.reader == "screen")
    assert (accused(screen), screen.received) == ({}, PER_RUN)

"""What counts as holding a rate: the schedule, the thresholds, no loss, and readers that keep up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from crep.harness.checks.results import ChannelLedger, ExpectationResult, ReaderLedger, Rule, RunResults
from crep.harness.findrate.criteria import LOST, backlog_grows, disturbed, gave_way

SECONDS = 20


def counters(acknowledged: list[int], received: list[int]) -> pd.DataFrame:
    rows = [
        {"second": second, "role": "publisher", "channel": "orders", "reader": None, "acknowledged": count}
        for second, count in enumerate(acknowledged)
    ]
    rows += [
        {"second": second, "role": "subscriber", "channel": "orders", "reader": "billing", "received": count}
        for second, count in enumerate(received)
    ]
    return pd.DataFrame(rows).fillna({"acknowledged": 0, "received": 0})


@dataclass
class Recorded:
    counters: pd.DataFrame = field(default_factory=lambda: counters([1000] * SECONDS, [1000] * SECONDS))
    failure: str | None = None


def ledger(lost: int = 0, delivery: str = "at-least-once") -> ReaderLedger:
    told = {"channel", "reader", "share", "delivery", "members", "members_receipts", "offenders"}
    counts = {name: 0 for name in ReaderLedger.model_fields if name not in told}
    came = 20_000 - lost
    counts |= {"expected": 20_000, "received": came, "receipts": came, "lost": lost}
    return ReaderLedger.model_validate(
        {"channel": "orders", "reader": "billing", "share": "group", "delivery": delivery, "members": 1, **counts}
    )


CHANNEL = ChannelLedger(
    channel="orders", handed_over=20_000, acknowledged=20_000, rejected=0, unknown=0, sent=0, unscheduled=0
)


def results(
    rules: tuple[Rule, ...] = (), expectations: tuple[ExpectationResult, ...] = (), reader: ReaderLedger | None = None
) -> RunResults:
    return RunResults(
        rules=rules,
        channels=(CHANNEL,),
        readers=(reader or ledger(),),
        latencies=(),
        throughput=(),
        faults=(),
        expectations=expectations,
    )


def expectation(verdict: str) -> ExpectationResult:
    return ExpectationResult.model_validate(
        {
            "text": "billing.latency.p99 < 50 ms",
            "metric": "latency",
            "kind": "performance",
            "verdict": verdict,
            "value": 0.08,
            "unit": "s",
            "threshold": 0.05,
            "operator": "<",
            "samples": 9000,
        }
    )


def test_a_run_in_which_all_holds_gave_way_nowhere() -> None:
    assert gave_way(Recorded(), results((Rule(name="lateness", holds=True, text=""),)), SECONDS) == ()


@pytest.mark.parametrize("verdict", ["failed", "no-data"])
def test_a_threshold_that_is_not_met_is_named(verdict: str) -> None:
    found = gave_way(Recorded(), results(expectations=(expectation(verdict),)), SECONDS)
    assert found == ("billing.latency.p99 < 50 ms",)


def test_a_client_that_cannot_keep_the_schedule_is_named() -> None:
    found = gave_way(Recorded(), results((Rule(name="lateness", holds=False, text="p99 80 ms"),)), SECONDS)
    assert found == ("the clients could not keep the schedule",)


def test_loss_gives_way_whatever_the_scenario_expects() -> None:
    assert gave_way(Recorded(), results(reader=ledger(lost=1)), SECONDS) == (LOST,)


def test_a_run_that_failed_gives_its_reason() -> None:
    assert gave_way(Recorded(failure="the broker is gone"), None, SECONDS) == ("the run failed: the broker is gone",)


def test_a_reader_that_falls_behind_and_catches_up_in_the_drain_has_not_held_the_rate() -> None:
    slow = [900] * SECONDS + [2000]
    found = gave_way(Recorded(counters([1000] * SECONDS, slow)), results(), SECONDS)
    assert found == ("orders.billing fell behind",)


def test_messages_that_pile_up_on_their_way_to_the_broker_give_way_before_they_are_late() -> None:
    data = counters([950] * SECONDS, [950] * SECONDS)
    data["sent"] = data["role"].map({"publisher": 1000, "subscriber": 0})
    assert gave_way(Recorded(data), results(), SECONDS) == ("acknowledges of orders fell behind",)


def test_a_reader_that_may_miss_messages_does_not_fall_behind() -> None:
    data = Recorded(counters([1000] * SECONDS, [900] * SECONDS))
    assert gave_way(data, results(reader=ledger(delivery="at-most-once")), SECONDS) == ()


def test_a_reader_whose_filter_selects_a_third_does_not_fall_behind() -> None:
    assert gave_way(Recorded(counters([900] * SECONDS, [300] * SECONDS)), results(), SECONDS) == ()


@pytest.mark.parametrize(
    ("left", "grows"),
    [
        ([1000.0] * 20, False),
        ([990.0] * 20, False),  # within the tolerance
        ([950.0] * 20, True),
        ([1000.0] * 9 + [0.0, 2000.0] + [1000.0] * 9, False),  # one stalled second, made up for
        ([0.0] + [1000.0] * 19, False),  # the edge of the first second
        ([1000.0 + 60 * (-1) ** second for second in range(20)], False),  # noise
    ],
)
def test_only_a_steady_slope_is_a_growing_backlog(left: list[float], grows: bool) -> None:
    assert backlog_grows(np.full(20, 1000.0), np.array(left)) is grows


LATE = Rule(name="lateness", holds=False, text="orders p99 163 ms; limit 100 ms")


def test_clients_that_were_late_with_nobody_to_hold_them_up_say_nothing_of_the_broker() -> None:
    assert disturbed(Recorded(), results(rules=(LATE,)), SECONDS)
    assert disturbed(Recorded(), results(rules=(LATE,), expectations=(expectation("failed"),)), SECONDS)


@pytest.mark.parametrize(
    ("run", "judged"),
    [
        (Recorded(), results()),
        (Recorded(), None),
        (Recorded(), results(expectations=(expectation("failed"),))),
        (Recorded(), results(rules=(LATE, Rule(name="drain", holds=False, text="still 3")))),
        (Recorded(), results(rules=(LATE,), reader=ledger(lost=1))),
        (Recorded(counters([1000] * SECONDS, [900] * SECONDS + [2000])), results(rules=(LATE,))),
        (Recorded(counters([1000] * SECONDS, [1000] * SECONDS).assign(window_full=1)), results(rules=(LATE,))),
    ],
    ids=["held", "failed", "slow broker", "unclean drain", "loss", "backlog", "back pressure"],
)
def test_a_broker_that_gives_way_is_not_taken_for_a_disturbance(run: Recorded, judged: RunResults | None) -> None:
    assert not disturbed(run, judged, SECONDS)

"""A replay is held against what publishers were told is stored: by the ledger, not by what the player says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.expectations import Evidence, judge
from crep.harness.checks.history import PublisherHistory, Sends, collect_sends
from crep.harness.checks.replays import REPLAYED_RECORD, Replayed, judge_replay
from crep.harness.checks.results import ExpectationResult, ReplayResult
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import CORRUPT, FOREIGN, INTACT, OUTCOME, SENT
from crep.harness.scenario.expectation import METRICS, Expectation

T0 = 7_000_000_000
SECOND = 1_000_000_000
LATE = 4


@dataclass(frozen=True)
class Came:
    """One message that came again."""

    sequence: int
    key: int = 3
    publisher: int = 1
    fault: int = INTACT
    number: int = 1


def sends() -> Sends:
    """Ten messages, one a second from t0 on, each acknowledged half a second later; but 4 only at 9 s, and 5 rejected.

    All have key 3.
    """
    sent, outcomes = np.zeros(10, SENT), np.zeros(10, OUTCOME)
    sent["sequence"] = outcomes["sequence"] = np.arange(10)
    sent["key"] = 3
    sent["intended_ns"] = sent["sent_ns"] = T0 + np.arange(10) * SECOND
    outcomes["at_ns"] = sent["intended_ns"] + SECOND // 2
    outcomes["at_ns"][LATE] = T0 + 9 * SECOND
    outcomes["outcome"] = Outcome.ACKNOWLEDGED
    outcomes["outcome"][5] = Outcome.REJECTED
    return collect_sends((PublisherHistory(1, True, sent, outcomes),))


def judged(*came: Came, trouble: str = "", until_s: float = 8.2) -> ReplayResult:
    """The window holds the messages 2 to 8, of which 8 is acknowledged after it: it owes 2, 3, 6 and 7."""
    records = np.zeros(len(came), REPLAYED_RECORD)
    for name in ("publisher", "sequence", "key", "fault", "number"):
        records[name] = [getattr(one, name) for one in came]
    return judge_replay(sends(), Replayed("orders", 1, 1.9, until_s, records, trouble), T0)


OWED = tuple(Came(sequence) for sequence in (2, 3, 6, 7))


@pytest.mark.parametrize(
    ("came", "missing", "doubled", "unexpected"),
    [
        (OWED, 0, 0, 0),
        ((*OWED, Came(LATE), Came(8)), 0, 0, 0),  # more than is owed, and the channel's
        ((*OWED, Came(1)), 0, 0, 0),  # intended before the window and captured in it
        (OWED[1:], 1, 0, 0),
        ((), 4, 0, 0),
        ((*OWED, OWED[0], OWED[0]), 0, 2, 0),
        ((*OWED, Came(99)), 0, 0, 1),
        ((*OWED, Came(3, publisher=2)), 0, 0, 1),
        ((*OWED[1:], Came(2, key=4)), 1, 0, 1),  # under another key it is another message
        ((*OWED[1:], Came(2, fault=CORRUPT)), 1, 0, 1),
        ((*OWED[1:], Came(2, fault=FOREIGN)), 1, 0, 1),
        ((*OWED[1:], Came(2, number=0)), 1, 0, 1),  # it does not say that it is a replay
    ],
)
def test_what_is_owed_has_to_come_once(came: tuple[Came, ...], missing: int, doubled: int, unexpected: int) -> None:
    found = judged(*came)
    assert (found.owed, found.missing, found.doubled, found.unexpected) == (4, missing, doubled, unexpected)
    named = {(one.kind, one.sequence) for one in found.offenders}
    absent = {2, 3, 6, 7} - {one.sequence for one in came if one in OWED}
    twice = {2} if doubled else set()
    assert named == {("missing of a replay", one) for one in absent} | {("doubled of a replay", one) for one in twice}


def expected(*replays: ReplayResult) -> ExpectationResult:
    metric = next(metric for metric in METRICS if metric.name == "replay")
    threshold = Expectation("orders.replay.missing == 0", "orders", (), metric, "missing", "==", 0)
    evidence = Evidence({}, {}, {}, {}, lambda _: "", lambda *_: Histogram(), lambda *_: None, replays)
    return judge(threshold, evidence)


@pytest.mark.parametrize(
    ("replays", "verdict", "value"),
    [
        ((judged(*OWED),), "passed", 0),
        ((judged(*OWED[1:]),), "failed", 1),
        ((judged(*OWED), judged(*OWED[2:])), "failed", 2),  # the worst one
        ((), "no-data", None),
        ((judged(*OWED, trouble="the broker is gone"),), "no-data", None),
        ((judged(*OWED), judged(*OWED, until_s=1.95)), "no-data", None),  # of which one owed nothing
    ],
)
def test_an_expectation_needs_a_replay_that_owed_something(
    replays: tuple[ReplayResult, ...], verdict: str, value: float | None
) -> None:
    found = expected(*replays)
    assert (found.verdict, found.value) == (verdict, value)

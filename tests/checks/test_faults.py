"""Many faults, overlapping and repeated: what each cost, on histories whose truth is known by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.attribution import KINDS, OUTSIDE, attribute, costs
from crep.harness.checks.backlog import Backlog
from crep.harness.checks.channel import ChannelRun, channel_runs
from crep.harness.checks.detection import Sign
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.history import NEVER
from crep.harness.checks.ledger import ledger
from crep.harness.checks.results import RunResults
from crep.harness.metrics.history import Records
from crep.harness.scenario.plan import without_faults
from tests.checks.simulated import MS, SECOND, T0, Fault, SimulatedRun, a_plan

RATE = 200
NOTHING = dict.fromkeys(KINDS, 0)


@dataclass
class Shaken(SimulatedRun):
    """Several outages, one after the other: (down, up). What is of the given sequences of publisher 0 …"""

    outages: tuple[tuple[float, float], ...] = ()
    unknown: frozenset[int] = frozenset()  # … has no outcome
    rejected: frozenset[int] = frozenset()  # … was refused, and not delivered
    again: frozenset[int] = frozenset()  # … is received by billing once more, 1 ms later

    def __post_init__(self) -> None:
        super().__post_init__()
        for down_s, up_s in self.outages:
            self.down_s, self.up_s = down_s, up_s
            for publisher, sent in self._sent.items():
                self._acknowledged[publisher] = self._delayed(sent, self._acknowledged[publisher])

    def outcomes(self, publisher: int) -> Records:
        found = super().outcomes(publisher)
        if publisher == 0:
            found["outcome"][np.isin(found["sequence"], list(self.rejected))] = Outcome.REJECTED
            found = found[~np.isin(found["sequence"], list(self.unknown))]
        return found

    def receipts(self, channel: str, reader: str, member: int) -> Records:
        found = super().receipts(channel, reader, member)
        refused = (found["publisher"] == 0) & np.isin(found["sequence"], list(self.rejected))
        found = found[~refused]
        if reader == "billing":
            more = found[(found["publisher"] == 0) & np.isin(found["sequence"], list(self.again))].copy()
            more["received_ns"] += MS
            found = np.concatenate([found, more])
        return found[np.argsort(found["received_ns"], kind="stable")]


def plan_with(*at_s: float, measured_s: float = 40.0):  # type: ignore[no-untyped-def]
    plan = a_plan(rate=RATE, measured_s=measured_s, keys=10)
    events = tuple(replace(plan.timeline[0], index=index, at_s=at) for index, at in enumerate(at_s))
    return replace(plan, timeline=events)


def fault(index: int, at_s: float, healed_s: float | None = None, **more: object) -> Fault:
    healed = at_s + 0.5 if healed_s is None else healed_s
    fields = {
        "index": index,
        "declared_s": at_s,
        "injected_s": at_s,
        "confirmed_s": at_s + 0.1,
        "heal_started_s": healed - 0.1,
        "healed_s": healed,
    }
    return Fault(**(fields | more))  # type: ignore[arg-type]


def shaken(*faults: Fault, outages: tuple[tuple[float, float], ...], **more: object) -> tuple[Shaken, RunResults]:
    plan = plan_with(*(one.declared_s for one in faults))
    run = Shaken(plan, outages=outages, faults=faults, catch_up_s=0.2, **more)  # type: ignore[arg-type]
    return run, evaluate(run, plan, SimulatedRun(without_faults(plan)))


def sequences_at(from_s: float, to_s: float) -> list[int]:
    """Those of publisher 0 that were intended then."""
    publisher = plan_with(8.0).publishers[0]
    intended = publisher.intended_ns(np.arange(publisher.count, dtype=np.uint64))
    return np.flatnonzero((intended >= from_s * SECOND) & (intended < to_s * SECOND)).tolist()


def test_each_of_several_faults_has_its_own_outage_recovery_and_cost() -> None:
    lost, twice = sequences_at(8.5, 8.6), sequences_at(23.0, 23.1)
    faults = (fault(0, 8.0), fault(1, 22.0))
    _, results = shaken(
        *faults, outages=((8.0, 10.0), (22.0, 25.0)), drop={(0, n) for n in lost}, again=frozenset(twice)
    )
    one, two = results.faults
    assert (one.group, two.group) == ((), ())
    assert one.publish is not None
    assert two.publish is not None
    assert one.publish.outage_s == pytest.approx(2.0, abs=0.25)
    assert two.publish.outage_s == pytest.approx(3.0, abs=0.25)
    assert one.time_to_recover_s == pytest.approx(2.1, abs=0.11)  # second 10 is good, its last key back by 10.2
    assert two.time_to_recover_s == pytest.approx(3.1, abs=0.11)
    assert one.cost == NOTHING | {"lost": len(lost)}
    assert two.cost == NOTHING | {"duplicates": len(twice)}
    assert results.outside_faults == NOTHING


def test_faults_that_overlap_are_one_group_and_none_of_them_is_given_the_messages_alone() -> None:
    lost = {(0, n) for n in sequences_at(9.0, 9.1)} | {(0, n) for n in sequences_at(12.5, 12.6)}
    _, results = shaken(fault(0, 8.0, healed_s=20.0), fault(1, 12.0), outages=((8.0, 9.5), (12.0, 14.0)), drop=lost)
    one, two = results.faults
    assert one.group == two.group == (0, 1)
    assert one.cost == two.cost == {}
    (group,) = results.fault_groups
    assert (group.faults, group.from_s, group.to_s) == ((0, 1), 8.0, 20.0)
    assert group.cost == NOTHING | {"lost": len(lost)}


def test_a_silence_that_a_later_fault_begins_is_not_the_earlier_ones() -> None:
    _, results = shaken(fault(0, 8.0, healed_s=20.0), fault(1, 12.0), outages=((12.0, 16.0),))
    one, two = results.faults
    assert one.publish is not None
    assert two.publish is not None
    assert one.publish.longest_s < 0.3
    assert two.publish.longest_s == pytest.approx(4.0, abs=0.25)
    assert one.time_to_recover_s is not None
    assert one.recovered_s == two.recovered_s == pytest.approx(16.1, abs=0.11)  # there are no 5 good seconds before


def test_a_fault_that_comes_before_the_last_is_over_shares_its_recovery() -> None:
    faults = tuple(fault(n, 8.0 + 4 * n) for n in range(3))
    _, results = shaken(*faults, outages=((8.0, 9.0), (12.0, 13.0), (16.0, 17.0)))
    assert [one.group for one in results.faults] == [(0, 1, 2)] * 3
    assert [one.recovered_s for one in results.faults] == [pytest.approx(17.1, abs=0.11)] * 3
    assert [round(one.publish.longest_s) for one in results.faults if one.publish] == [1, 1, 1]


def test_what_goes_wrong_again_after_the_recovery_is_told_and_belongs_to_the_fault_while_it_is_not_healed() -> None:
    """The broker fails over at once; its old node comes back at 25 s and disturbs for two seconds."""
    lost = sequences_at(26.0, 26.1)
    _, results = shaken(fault(0, 8.0, healed_s=25.0), outages=((8.0, 9.0), (25.0, 27.0)), drop={(0, n) for n in lost})
    (one,) = results.faults
    assert one.time_to_recover_s == pytest.approx(1.1, abs=0.11)
    assert one.over_s == pytest.approx(27.1, abs=0.11)
    assert one.bad_seconds_later == 2
    assert one.cost["lost"] == len(lost)


def test_a_fault_that_works_late_is_not_recovered_from_before_it_did_anything() -> None:
    _, results = shaken(fault(0, 8.0, healed_s=18.0), outages=((15.0, 18.0),))
    [one] = results.faults
    assert one.publish is not None
    assert (one.publish.from_s, one.publish.to_s) == (pytest.approx(15.0, abs=0.25), pytest.approx(18.0, abs=0.25))
    assert one.recovered_s == pytest.approx(18.1, abs=0.11)
    assert one.bad_seconds_later == 0


def test_a_fault_that_is_never_healed_pays_for_all_that_comes_after() -> None:
    lost = sequences_at(35.0, 35.1)
    _, results = shaken(replace(fault(0, 8.0), healed_s=None), outages=(), drop={(0, n) for n in lost})
    (group,) = results.fault_groups
    assert group.to_s is None
    assert group.cost == NOTHING | {"lost": len(lost)}


def test_what_waited_in_the_backlog_when_the_fault_came_is_a_cost_of_the_fault() -> None:
    """From 8 s nothing is delivered until 20 s; the fault at 14 s loses what was sent at 9 s."""
    lost = sequences_at(9.0, 9.1)
    _, results = shaken(fault(0, 14.0), outages=((8.0, 20.0),), drop={(0, n) for n in lost})
    assert results.faults[0].cost == NOTHING | {"lost": len(lost)}
    calm = shaken(fault(0, 14.0), outages=(), drop={(0, n) for n in lost})[1]
    assert calm.faults[0].cost == NOTHING
    assert calm.outside_faults == NOTHING | {"lost": len(lost)}


@pytest.mark.parametrize(("late_s", "whose"), [(46.0, 0), (39.6, OUTSIDE)])
def test_a_message_whose_key_never_came_again_was_on_its_way_for_as_long_as_those_before_it(
    late_s: float, whose: int
) -> None:
    """The last message of a key is lost; one that was sent before it comes at 46 s, and a fault came at 45 s."""
    late = sequences_at(39.5, 39.6)[0]

    class OneIsLate(Shaken):
        def receipts(self, channel: str, reader: str, member: int) -> Records:
            found = super().receipts(channel, reader, member)
            found["received_ns"][(found["publisher"] == 0) & (found["sequence"] == late)] = T0 + round(late_s * SECOND)
            return found[np.argsort(found["received_ns"], kind="stable")]

    plan = plan_with(8.0)
    lost = len(SimulatedRun(plan).sent(0)) - 1
    (channel,) = channel_runs(OneIsLate(plan, drop={(0, lost)}), plan).values()
    each, outside = costs([(45 * SECOND, int(NEVER))], [channel], drain_clean=True)
    assert [cost["lost"] for cost in (*each, outside)] == ([1, 0] if whose == 0 else [0, 1])


def test_backlog_peak_and_drain_are_those_of_the_history() -> None:
    """Deliveries wait from 10 s on while the acknowledgements come: 4 s at 200/s wait at the highest."""

    class ReaderStands(Shaken):
        def receipts(self, channel: str, reader: str, member: int) -> Records:
            found = super().receipts(channel, reader, member)
            relative = found["received_ns"] - T0
            stood = (relative >= 10 * SECOND) & (relative < 14 * SECOND)
            release = T0 + 14 * SECOND + np.arange(int(stood.sum())) * (2 * SECOND // max(1, int(stood.sum())))
            found["received_ns"][stood] = release
            return found[np.argsort(found["received_ns"], kind="stable")]

    plan = plan_with(10.0)
    stands = fault(0, 10.0, healed_s=14.0, action="pause-reader", node=None, subject="orders.billing")
    results = evaluate(ReaderStands(plan, faults=(stands,)), plan, SimulatedRun(without_faults(plan)))
    (one,) = results.faults
    assert (one.node, one.subject) == (None, "orders.billing")
    (waited,) = one.backlogs
    assert waited.where == "orders.billing"
    assert waited.peak == pytest.approx(4 * RATE, abs=4)
    assert waited.at_s == pytest.approx(14.0, abs=0.02)
    assert waited.drain_s == pytest.approx(2.0, abs=0.05)
    (series,) = results.backlogs
    at = {series.first_second + i: depth for i, depth in enumerate(series.depth)}
    assert at[11] == pytest.approx(2 * RATE, abs=4)  # at the end of second 11
    assert max(at[9], at[20]) <= 2
    assert one.publish is not None
    assert one.publish.outage_s == pytest.approx(0, abs=0.01)


def test_reconnects_are_counted_once_and_by_role() -> None:
    signs = (
        Sign(7.0, "publisher-0", "publisher", "orders", "reconnected"),
        Sign(8.5, "publisher-0", "publisher", "orders", "reconnected"),
        Sign(9.0, "subscriber-0", "subscriber", "orders", "reconnected"),
        Sign(22.5, "publisher-0", "publisher", "orders", "reconnected"),
        Sign(43.0, "subscriber-0", "subscriber", "orders", "reconnected"),  # in the drain
    )
    _, results = shaken(fault(0, 8.0), fault(1, 22.0), outages=((8.0, 9.0), (22.0, 23.0)), signs=signs)
    assert [one.reconnects for one in results.faults] == [
        {"publishers": 1, "subscribers": 1},
        {"publishers": 1, "subscribers": 1},
    ]


def test_a_silence_of_the_fault_before_is_no_sign_of_the_next_one() -> None:
    _, results = shaken(fault(0, 8.0), fault(1, 10.0), outages=((8.0, 14.0),))
    one, two = results.faults
    assert one.detected_s == pytest.approx(0.1, abs=0.05)
    assert two.detected_s is None
    assert one.publish is not None
    assert two.publish is not None
    assert one.publish.longest_s == pytest.approx(6.0, abs=0.25)
    assert two.publish.longest_s < 0.01


def test_what_a_client_is_told_while_it_is_disconnected_is_no_sign_of_the_next_fault() -> None:
    signs = (
        Sign(8.05, "publisher-0", "publisher", "orders", "down"),
        Sign(10.01, "publisher-0", "publisher", "orders", "reconnecting"),
        Sign(10.2, "publisher-1", "publisher", "orders", "error"),
    )
    _, results = shaken(fault(0, 8.0), fault(1, 10.0), outages=((8.0, 14.0),), signs=signs)
    one, two = results.faults
    assert one.detected_s == pytest.approx(0.05)
    assert two.detected_s == pytest.approx(0.2)
    assert two.detected_by == "a publisher was told: error"


def test_what_is_noticed_in_the_drain_is_a_sign_of_the_last_fault() -> None:
    _, results = shaken(fault(0, 8.0), fault(1, 39.95, 45.0), outages=((8.0, 9.0), (39.95, 45.0)))
    (_, last) = results.faults
    assert last.publish is not None
    assert last.publish.longest_s == pytest.approx(5.0, abs=0.25)
    assert last.detected_s == pytest.approx(0.1, abs=0.05)
    told = (Sign(40.02, "publisher-0", "publisher", "orders", "down"),)
    _, results = shaken(fault(0, 39.95, 45.0), outages=((39.95, 45.0),), signs=told)
    assert results.faults[0].detected_by == "a publisher was told: down"


def test_a_fault_of_another_site_touches_nothing_here() -> None:
    _, results = shaken(fault(0, 8.0, site="external"), outages=((8.0, 9.0),), drop={(0, sequences_at(8.5, 8.6)[0])})
    (one,) = results.faults
    assert (one.publish, one.receive, one.cost) == (None, (), NOTHING)
    assert results.outside_faults["lost"] == 1


stretches = st.tuples(st.integers(0, 100), st.integers(0, 30)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.integers(0, 110), unique=True, max_size=8).map(sorted), st.lists(stretches, max_size=20))
def test_a_stretch_belongs_to_the_first_window_that_it_meets(edges: list[int], found: list[tuple[int, int]]) -> None:
    windows = list(zip(edges[::2], edges[1::2], strict=False))
    start, end = (np.array([pair[side] for pair in found], np.int64) for side in (0, 1))
    naive = [
        next((n for n, (begin, stop) in enumerate(windows) if begin <= last and first < stop), OUTSIDE)
        for first, last in found
    ]
    assert attribute(windows, start, end).tolist() == naive


def totals(channel: ChannelRun) -> dict[str, int]:
    sends, readers = ledger(channel.history, drain_clean=True, t0_ns=channel.t0_ns)
    doubled = ("duplicates_flagged", "duplicates_unflagged", "duplicates_flag_not_offered")
    return {
        "lost": sum(reader.lost for reader in readers),
        "pending": sum(reader.pending for reader in readers),
        "duplicates": sum(getattr(reader, name) for reader in readers for name in doubled),
        "reordered": sum(reader.reordered for reader in readers),
        "unknown": sends.unknown,
        "rejected": sends.rejected,
    }


some = st.frozensets(st.integers(0, 200), max_size=12)
SMALL = replace(a_plan(rate=20, measured_s=20, keys=7), timeline=())


@settings(max_examples=60, deadline=None)
@given(
    edges=st.lists(st.integers(-3 * SECOND, 22 * SECOND), unique=True, max_size=8).map(sorted),
    open_end=st.booleans(),
    lost=some,
    unknown=some,
    rejected=some,
    again=some,
)
def test_no_message_is_attributed_twice_and_none_is_forgotten(
    edges: list[int],
    open_end: bool,
    lost: frozenset[int],
    unknown: frozenset[int],
    rejected: frozenset[int],
    again: frozenset[int],
) -> None:
    windows = list(zip(edges[::2], edges[1::2], strict=False))
    if windows and open_end:
        windows[-1] = (windows[-1][0], int(NEVER))
    run = Shaken(
        SMALL, drop={(0, n) for n in lost}, unknown=unknown - rejected, rejected=rejected, again=again - rejected
    )
    (channel,) = channel_runs(run, SMALL).values()
    each, outside = costs(windows, [channel], drain_clean=True)
    assert {kind: sum(one[kind] for one in [*each, outside]) for kind in KINDS} == totals(channel)


times = st.lists(st.integers(0, 50), max_size=20)


@given(times, st.integers(0, 50), st.integers(0, 30))
def test_a_backlog_peaks_where_a_naive_count_does(entered: list[int], start: int, length: int) -> None:
    left = [at + 3 + 2 * n for n, at in enumerate(sorted(entered))][::2]
    found = Backlog(np.array(sorted(entered), np.int64), np.array(sorted(left), np.int64))
    depth = [sum(e <= t for e in entered) - sum(gone <= t for gone in left) for t in range(200)]
    peak, at = found.peak(start, start + length)
    assert peak == max(depth[start : start + length] or [depth[start]])
    assert depth[at] == peak
    down = found.down_to(2, at)
    naive = next((t for t in range(at, 200) if depth[t] <= 2), None)
    assert down == naive


def test_a_backlog_that_nothing_leaves_is_never_down() -> None:
    waiting: NDArray[np.int64] = np.arange(5, dtype=np.int64)
    assert Backlog(waiting, waiting[:0]).down_to(2, 4) is None

from __future__ import annotations

from crep.harness.brokers.contract import Observation, ReaderState
from crep.harness.runner.drain import QUIET_S, DrainWatch


def a_watch(limit_s: float, *, silent: tuple[str, ...] = ()) -> DrainWatch:
    """A drain from 0 s on whose one client reports all the time; ``silent`` ones have not said a word."""
    watch = DrainWatch(started_s=0.0, limit_s=limit_s, clients=frozenset({"talker", *silent}))
    watch.said("talker", 1e9)
    return watch


def seen(backlog: int, reader: str = "orders.billing") -> Observation:
    return Observation(
        at_ns=0,
        readers={reader: ReaderState(backlog=backlog, redelivered=None, dead_lettered=None, connections=None)},
        detail={},
    )


def test_a_drain_is_clean_only_with_an_empty_broker_and_three_quiet_seconds() -> None:
    watch = a_watch(30.0)
    watch.observed("bus", seen(0), 0.5)
    assert watch.verdict(QUIET_S - 0.1) is None
    ended = watch.verdict(QUIET_S)
    assert ended is not None
    assert ended.clean


def test_quiet_alone_never_ends_a_drain_while_the_broker_holds_messages() -> None:
    watch = a_watch(10.0)
    watch.observed("bus", seen(7), 9.0)
    assert watch.verdict(9.9) is None
    ended = watch.verdict(10.0)
    assert ended is not None
    assert not ended.clean
    assert "7 for orders.billing" in ended.reason
    assert ended.backlog == {"orders.billing": 7}


def test_a_receipt_restarts_the_quiet_time_and_asks_for_another_look() -> None:
    watch = a_watch(30.0)
    watch.observed("bus", seen(0), 1.0)
    watch.receipts(2.0)
    assert watch.verdict(2.0 + QUIET_S) is None, "the broker was last asked before that receipt"
    watch.observed("bus", seen(0), 2.5)
    assert watch.verdict(2.0 + QUIET_S - 0.1) is None
    ended = watch.verdict(2.0 + QUIET_S)
    assert ended is not None
    assert ended.clean


def test_a_broker_that_does_not_answer_is_never_taken_for_an_empty_one() -> None:
    watch = a_watch(5.0)
    watch.observed("bus", seen(0), 0.5)
    watch.not_observed("bus", "connection refused")
    assert watch.verdict(4.9) is None
    ended = watch.verdict(5.0)
    assert ended is not None
    assert not ended.clean
    assert "connection refused" in ended.reason


def test_every_site_must_be_empty() -> None:
    watch = a_watch(5.0)
    watch.observed("internal", seen(0, "a.x"), 1.0)
    watch.observed("external", seen(3, "b.y"), 1.0)
    assert watch.verdict(4.0) is None
    watch.observed("external", seen(0, "b.y"), 4.0)
    ended = watch.verdict(4.1)
    assert ended is not None
    assert ended.clean


def test_a_drain_cut_short_is_not_clean() -> None:
    watch = a_watch(5.0)
    watch.observed("bus", seen(0), 1.0)
    assert not watch.cut_short(4.0, "interrupted").clean


def test_a_client_that_says_nothing_is_not_taken_for_a_quiet_one() -> None:
    watch = a_watch(30.0, silent=("stalled",))
    watch.observed("bus", seen(0), 1.0)
    assert watch.verdict(20.0) is None
    watch.said("stalled", QUIET_S - 0.1)
    assert watch.verdict(20.0) is None, "its last word came too soon after the beginning"
    watch.said("stalled", QUIET_S)
    ended = watch.verdict(20.0)
    assert ended is not None
    assert ended.clean


def test_a_drain_that_ends_with_a_silent_client_names_it() -> None:
    watch = a_watch(10.0, silent=("stalled",))
    watch.observed("bus", seen(0), 1.0)
    ended = watch.verdict(10.0)
    assert ended is not None
    assert not ended.clean
    assert "stalled" in ended.reason
    assert "talker" not in ended.reason


def test_words_that_come_late_do_not_move_a_receipt_back() -> None:
    watch = a_watch(30.0)
    watch.receipts(5.0)
    watch.receipts(2.0)
    watch.observed("bus", seen(0), 6.0)
    assert watch.verdict(5.0 + QUIET_S - 0.1) is None
    assert watch.verdict(5.0 + QUIET_S) is not None

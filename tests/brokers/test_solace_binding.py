"""A flow that the broker has ended is asked for at once, then at an interval, and given up when the budget is spent."""

from __future__ import annotations

from crep.harness.brokers.solace.binding import EVERY_S, BindAgain


def test_nothing_is_asked_for_while_there_is_a_flow() -> None:
    again = BindAgain(60.0)
    assert not again.due(0.0)
    assert not again.going_on


def test_a_flow_that_was_ended_is_asked_for_at_once_and_once() -> None:
    again = BindAgain(60.0)
    again.failed("Queue Shutdown", 5.0)
    assert again.going_on
    assert again.due(5.0)
    again.asked()
    assert not again.due(100.0)


def test_a_refused_flow_is_asked_for_again_after_the_interval_and_the_first_end_counts() -> None:
    again = BindAgain(10.0)
    again.failed("Queue Shutdown", 0.0)
    for at in (0.0, EVERY_S, 2 * EVERY_S, 3 * EVERY_S):
        assert not again.due(at - 0.01) or at == 0.0
        assert again.due(at)
        assert not again.over(at)
        again.asked()
        again.failed("Permission Not Allowed", at)
    assert again.due(4 * EVERY_S)
    assert again.over(4 * EVERY_S)
    assert again.reason == "Permission Not Allowed"
    assert not again.due(1000.0)


def test_the_budget_begins_anew_with_each_flow() -> None:
    again = BindAgain(1.0)
    again.failed("Queue Shutdown", 0.0)
    again.asked()
    again.succeeded()
    assert not again.going_on
    again.failed("Queue Shutdown", 50.0)
    assert again.due(50.0)
    assert not again.over(50.0)


def test_who_has_no_budget_does_not_bind_again() -> None:
    assert not BindAgain(0.0).allowed
    assert BindAgain(1.0).allowed

"""Routes that were looked up before follow every change of subscriptions."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from crep.solace_emulator.core.routing import Route, Routing, ShareGroup

CLIENTS: Any = ("client-1", "client-2")  # a route says who they are; here nothing is delivered to them
QUEUES: Any = ("queue-1", "queue-2")
TOPICS = ("a", "a/b", "a/b/c", "#P2P/QUE/q")
PATTERNS = ("a", "a/b", "a/*", "a/>", ">", "#P2P/QUE/q")
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(CLIENTS), st.sampled_from([None, "share"]), st.sampled_from(PATTERNS)),
        st.tuples(st.sampled_from(QUEUES), st.sampled_from(["", "!", "#noexport/"]), st.sampled_from(PATTERNS)),
    ),
    max_size=12,
)


def shown(route: Route | None) -> Any:
    """A route for comparison: members of shares by name, in the order in which they have come."""
    assert route is not None
    targets = [str(each.members) if isinstance(each, ShareGroup) else str(each) for each in route.targets]
    return sorted(targets), sorted(map(str, route.queues)), route.addressed


def test_a_queue_subscription_that_recovery_finds_twice_is_gone_when_it_is_released() -> None:
    routing = Routing()
    for _ in range(2):
        routing.attract(QUEUES[0], "a")
    routing.release(QUEUES[0], "a")
    assert shown(routing.find("a")) == ([], [], None)


def change(routing: Routing, subscription: tuple[Any, Any, str], *, there: bool) -> None:
    """Add a subscription that is not there, or remove it."""
    who, how, pattern = subscription
    if who in CLIENTS:
        (routing.remove if there else routing.add)(who, how, pattern)
    else:
        (routing.release if there else routing.attract)(who, how + pattern)


@given(CHANGES)
@example([("queue-1", "", "a"), ("queue-1", "#noexport/", "a"), ("queue-1", "", "a")])
def test_a_route_is_that_of_the_subscriptions_there_are_now(changes: list[tuple[Any, Any, str]]) -> None:
    routing = Routing()
    there: dict[tuple[Any, Any, str], None] = {}
    for subscription in changes:
        change(routing, subscription, there=subscription in there)
        if subscription in there:
            del there[subscription]
        else:
            there[subscription] = None
        anew = Routing()
        for each in there:
            change(anew, each, there=False)
        for topic in TOPICS:
            assert shown(routing.find(topic)) == shown(anew.find(topic))


def test_a_topic_that_names_a_queue_goes_there_whatever_is_subscribed() -> None:
    routing = Routing()
    routing.attract(QUEUES[0], "#P2P/QUE/q")
    assert shown(routing.find("#P2P/QUE/q")) == ([], [], "q")
    assert shown(routing.find("#P2P/QTMP/v:broker/q")) == ([], [], "#P2P/QTMP/v:broker/q")


def test_what_is_no_topic_has_no_route() -> None:
    assert Routing().find("a//b") is None

"""Tasks of a small run, for tests that start no engine."""

from __future__ import annotations

from dataclasses import replace

from crep.harness.brokers.contract import Endpoint, PublisherSpec, ReaderSpec, SubscriberSpec
from crep.harness.load.protocol import PublisherTask, SubscriberTask
from tests.checks.simulated import a_plan

NOWHERE = Endpoint(system="kafka", target="nowhere", bootstrap="127.0.0.1:1")
TOPICS = ("orders/eu", "orders/us")
PLAN = a_plan(kill_at_s=None)


def publisher(number: int) -> PublisherTask:
    return PublisherTask(
        PLAN.publishers[number % 2],
        PublisherSpec(
            endpoint=NOWHERE,
            name=f"p{number}",
            channel="orders",
            objects={"topics": TOPICS},
            topics=TOPICS,
            guaranteed=True,
            settings={},
            reconnect_for_s=1.0,
        ),
    )


def subscriber(member: int) -> SubscriberTask:
    return SubscriberTask(
        SubscriberSpec(
            endpoint=NOWHERE,
            name=f"billing-{member}",
            channel="orders",
            reader=ReaderSpec("billing", "group", 2, "at-least-once"),
            member=member,
            objects={"topics": TOPICS},
            settings={},
            reconnect_for_s=1.0,
        )
    )


def live_tasks(endpoint: Endpoint) -> tuple[list[PublisherTask], list[SubscriberTask]]:
    """Two publishers and two members on a broker that is there, for half a minute."""
    publishers = [replace(task, spec=replace(task.spec, endpoint=endpoint)) for task in map(publisher, range(2))]
    subscribers = [SubscriberTask(replace(task.spec, endpoint=endpoint)) for task in map(subscriber, range(2))]
    return publishers, subscribers

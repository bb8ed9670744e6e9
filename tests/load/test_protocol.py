from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.contract import Endpoint, PublisherSpec, ReaderSpec, SubscriberSpec
from crep.harness.config.targets import Tls
from crep.harness.load.protocol import (
    ChildTask,
    Client,
    PublisherTask,
    SubscriberTask,
    window_from_json,
    window_to_json,
)
from crep.harness.metrics.histogram import Histogram
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold, ramp
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

ENDPOINT = Endpoint(
    system="solace",
    target="poc",
    smf="tcps://a:1,tcps://b:2",
    semp="https://a:3",
    username="user",
    password="never seen",
    admin_password="nor this",
    tls=Tls(ca_file="ca.pem", verify_host=False),
)
SUBSCRIBER = SubscriberTask(
    SubscriberSpec(
        ENDPOINT,
        "audit-1",
        "orders",
        ReaderSpec("audit", "exclusive", 2, "at-least-once", topic_filter="orders/>", dead_letters_after=3),
        1,
        {"queue": "q", "nested": {"partitions": 4}},
        {"window": 100, "compression": False},
        60.0,
        "crep-stamp",
    )
)
PUBLISHER = PublisherTask(
    PublisherPlan(
        publisher=65_535,
        site="bus",
        channel="orders",
        load=1,
        index=2,
        of=3,
        guaranteed=True,
        seed=7,
        profile=Profile((*hold(10, 2), *ramp(10, 20.5, 3)), 1.5),
        assignment=Assignment(7, 2, 3, 100, 2),
        sizes=Sizes(((100, 0.25), (1024, 0.75))),
    ),
    PublisherSpec(ENDPOINT, "p2", "orders", {"topic": "t"}, ("orders/a", "orders/b"), True, {"linger.ms": 1}, 60.0),
)


@pytest.mark.parametrize("task", [PUBLISHER, SUBSCRIBER], ids=["publisher", "subscriber"])
def test_a_task_arrives_as_it_was_given(task: PublisherTask | SubscriberTask) -> None:
    given_task = ChildTask(task, 2**32 - 1, "property", Path("results/ledger"))
    line = given_task.to_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert ChildTask.from_line(line) == given_task


@pytest.mark.parametrize("task", [PUBLISHER, SUBSCRIBER], ids=["publisher", "subscriber"])
def test_a_task_that_is_shown_does_not_show_its_passwords(task: PublisherTask | SubscriberTask) -> None:
    shown = repr(ChildTask(task, 1, "payload", Path("ledger")))
    assert "never seen" not in shown
    assert "nor this" not in shown


@given(st.lists(st.integers(-5, 2**40), max_size=200))
def test_a_window_arrives_as_it_was_measured(values: list[int]) -> None:
    histogram = Histogram()
    histogram.record(np.array(values, np.int64))
    told = json.loads(json.dumps(window_to_json(-3, {"sent": 5}, {"latency": histogram}, -2.5)))
    window = window_from_json(told, Client.of(SUBSCRIBER))
    assert (window.second, window.client, window.reader, window.member) == (-3, "audit-1", "audit", 1)
    assert window.told_s == -2.5
    assert (window.role, window.publisher, window.counters) == ("subscriber", None, {"sent": 5})
    buckets, counts = window.histograms["latency"]
    assert (buckets.dtype, counts.dtype) == (np.uint32, np.uint64)
    assert Histogram.from_sparse(buckets, counts).count == len(values)
    assert Histogram.from_sparse(buckets, counts).percentile_ns(50) == histogram.percentile_ns(50)

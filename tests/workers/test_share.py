from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from crep.harness.load.protocol import Client, PublisherTask
from crep.harness.workers.share import crossing, shares
from tests.workers.tasks import publisher, subscriber


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5))
def test_every_task_is_dealt_once_and_nobody_has_two_more(publishers: int, members: int, workers: int) -> None:
    dealt = shares([publisher(i) for i in range(publishers)], [subscriber(i) for i in range(members)], workers)
    names = Counter(task.spec.name for share in dealt for task in share)
    assert names == Counter([*(f"p{i}" for i in range(publishers)), *(f"billing-{i}" for i in range(members))])
    lengths = [len(share) for share in dealt]
    sending = [sum(isinstance(task, PublisherTask) for task in share) for share in dealt]
    assert max(lengths) - min(lengths) <= 1
    assert max(sending) - min(sending) <= 1


def test_a_reader_crosses_where_a_member_is_on_another_machine_than_a_publisher_of_its_channel() -> None:
    sender, near, far = (Client.of(task) for task in (publisher(0), subscriber(0), subscriber(1)))
    apart = {sender.name: "a", near.name: "a", far.name: "b"}
    assert crossing([sender, near, far], apart) == {"orders.billing": {"a", "b"}}
    assert crossing([sender, near, far], dict.fromkeys(apart, "a")) == {}
    other = replace(sender, channel="payments")
    assert crossing([other, far], apart) == {}

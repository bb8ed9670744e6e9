"""Who leads a channel: tables of partitions, drawn by hand."""

from __future__ import annotations

import pytest

from crep.harness.brokers.kafka.placement import Placement, followers_of, leader_of

ALL = frozenset({1, 2, 3})


def led_by(leader: int | None, in_sync: frozenset[int] = ALL, replicas: frozenset[int] = ALL) -> Placement:
    return Placement(leader, replicas, in_sync)


@pytest.mark.parametrize(
    ("leaders", "leader"),
    [
        ([1, 2, 3], 1),  # each leads one: who leads the first partition
        ([1, 2, 2], 2),
        ([3, 1, 3, 1], 3),
        ([None, 2], 2),
        ([None], None),
        ([], None),
    ],
)
def test_the_leader_leads_most_partitions(leaders: list[int | None], leader: int | None) -> None:
    assert leader_of([led_by(one) for one in leaders]) == leader


def test_followers_that_have_caught_up_come_first() -> None:
    assert followers_of([led_by(1), led_by(1, in_sync=frozenset({1, 3}))]) == (3, 2)


def test_only_partitions_that_the_leader_leads_count() -> None:
    alone = Placement(1, frozenset({1, 2}), frozenset({1, 2}))
    assert followers_of([alone, alone, led_by(3, in_sync=frozenset({3}))]) == (2,)


@pytest.mark.parametrize("partitions", [[], [led_by(None)], [Placement(1, frozenset({1}), frozenset({1}))]])
def test_where_nobody_leads_or_there_is_one_replica_nobody_follows(partitions: list[Placement]) -> None:
    assert followers_of(partitions) == ()

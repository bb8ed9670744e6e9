"""Which offsets may be committed, as histories written by hand and against a naive model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.kafka.settlement import Settlement

P0, P1 = ("orders", 0), ("orders", 1)


def test_an_acknowledged_delivery_settles_its_offsets() -> None:
    settlement = Settlement()
    token = settlement.received({P0: 5, P1: 2})
    assert settlement.acknowledge(token) == {P0: 5, P1: 2}


def test_a_later_acknowledge_waits_for_the_earlier_delivery() -> None:
    settlement = Settlement()
    first, second = settlement.received({P0: 5}), settlement.received({P0: 9})
    assert settlement.acknowledge(second) == {}
    assert settlement.acknowledge(first) == {P0: 9}


def test_a_second_acknowledge_changes_nothing() -> None:
    settlement = Settlement()
    token = settlement.received({P0: 5})
    settlement.acknowledge(token)
    assert settlement.acknowledge(token) == {}


@given(st.permutations(range(8)), st.integers(0, 8))
def test_nothing_is_settled_beyond_the_first_open_delivery(order: list[int], acknowledged: int) -> None:
    settlement = Settlement()
    tokens = [settlement.received({P0: number + 1}) for number in range(8)]
    settled = 0
    for position in order[:acknowledged]:
        settled = settlement.acknowledge(tokens[position]).get(P0, settled)
    done = set(order[:acknowledged])
    assert settled == next((number for number in range(8) if number not in done), 8)


def test_a_partition_that_moved_is_settled_by_nothing_that_was_delivered_before() -> None:
    settlement = Settlement()
    first, second = settlement.received({P0: 5, P1: 3}), settlement.received({P0: 9})
    settlement.forget({P0})
    third = settlement.received({P0: 2})
    assert settlement.acknowledge(second) == {}
    assert settlement.acknowledge(first) == {P1: 3}
    assert settlement.acknowledge(third) == {P0: 2}

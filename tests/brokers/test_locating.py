"""What the log says of a message that it does not hold: only what its offsets and leader epochs show."""

from __future__ import annotations

import pytest

from crep.harness.brokers.kafka.stored import PartitionLog, TopicLog
from crep.harness.brokers.locating import OWNER_BYTES, Sought, identity_of

OWNER = b"abcdefgh"


def identity(sequence: int) -> bytes:
    return OWNER + sequence.to_bytes(8, "little")


def log(*records: tuple[int, int, int], start: int = 0, end: int = 100) -> PartitionLog:
    """Each record is (sequence, offset, leader epoch)."""
    made = PartitionLog(start, end, whole=True)
    for sequence, offset, epoch in records:
        made.add(OWNER_BYTES, identity(sequence), offset, epoch)
    return made


def topic(partition: PartitionLog, replicas: int = 3) -> TopicLog:
    return TopicLog("orders", replicas, {0: PartitionLog(0, 0, whole=True), 1: partition}, {7: 1})


def sought(sequence: int, key: int = 7) -> Sought:
    return Sought(identity(sequence), key)


@pytest.mark.parametrize(
    ("partition", "state", "where", "why"),
    [
        (
            log((4, 10, 2), (6, 11, 3)),
            "never-stored",
            "orders[1]: between offsets 10 and 11",
            "never replicated: the log of leader epoch 2 ends before it, and epoch 3 went on without it",
        ),
        (log((4, 10, 2), (6, 11, 2)), "never-stored", "between offsets 10 and 11", ""),  # one leader: nothing shows why
        (log((4, 10, 2), end=11), "never-stored", "after offset 10 there is no later message", ""),
        (log((6, 0, 2)), "never-stored", "begin at offset 0, behind it", ""),
        (log((6, 50, 2), start=50), "not-found", "orders[1]", "begins at offset 50: what was before is deleted"),
    ],
)
def test_a_missing_message_is_told_by_its_neighbours(partition: PartitionLog, state: str, where: str, why: str) -> None:
    place = topic(partition).missing(sought(5))
    assert place.state == state
    assert where in place.where
    assert why in place.why
    assert bool(why) == bool(place.why)


def test_the_reason_is_another_where_there_was_one_copy_only() -> None:
    assert topic(log((4, 10, 2), (6, 11, 3)), replicas=1).missing(sought(5)).why.startswith("lost when its only broker")


def test_a_later_leader_is_seen_also_where_the_publisher_did_not_go_on() -> None:
    partition = log((4, 10, 2))
    partition.add(OWNER_BYTES, b"somebody" + (0).to_bytes(8, "little"), 11, 3)
    assert topic(partition).missing(sought(5)).why.startswith("never replicated")


def test_a_key_of_which_nothing_is_stored_is_sought_in_every_partition() -> None:
    assert topic(log((4, 10, 2))).missing(sought(5, key=8)).state == "never-stored"
    assert topic(log((4, 10, 2), start=3)).missing(sought(5, key=8)).state == "not-found"


def test_a_stored_message_is_found_at_the_first_of_its_copies() -> None:
    found = topic(log((4, 10, 2), (4, 30, 2))).find(sought(4))
    assert found is not None
    assert (found[0], found[1].offset) == (1, 10)


def test_an_identity_is_read_from_the_payload_or_a_property_and_only_of_the_owners_that_were_asked_for() -> None:
    owners = frozenset({OWNER})
    assert identity_of(owners, identity(3) + b"rest", ()) == identity(3)
    assert identity_of(owners, bytearray(identity(3) + b"rest"), ()) == identity(3)
    assert identity_of(owners, b"{}", ("text", bytearray(identity(4).hex().encode() + b"more"))) == identity(4)
    assert identity_of(owners, b"another!" + bytes(8), (b"short",)) is None

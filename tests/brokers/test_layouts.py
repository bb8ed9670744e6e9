"""What a channel becomes on each system, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crep.harness.brokers.contract import ChannelSpec, Durability, NotSupported, ReaderSpec
from crep.harness.brokers.kafka import layout as kafka
from crep.harness.brokers.kafka.producing import acknowledged_by_leader
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.solace import layout as solace
from crep.harness.brokers.topics import topic_matches
from crep.harness.config.errors import UsageError

KAFKA = load_mapping("kafka/topic-per-channel").channel
SOLACE = load_mapping("solace/queue-per-reader").channel
GROUP = ReaderSpec("billing", "group", 4, "at-least-once")
EXCLUSIVE = ReaderSpec("audit", "exclusive", 2, "at-least-once")
SCREEN = ReaderSpec("screen", "all", 1, "at-most-once")
CHANNEL = ChannelSpec("orders", ("orders/eu", "orders/us"), 10, (GROUP, EXCLUSIVE, SCREEN), Durability(1, "disk"))


def with_readers(*readers: ReaderSpec) -> ChannelSpec:
    return replace(CHANNEL, readers=readers)


def with_class(copies: int, sync: str) -> ChannelSpec:
    return replace(CHANNEL, durability=Durability(copies, sync))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("copies", "sync", "brokers", "replicas", "flush"),
    [
        (1, "disk", 1, 1, "1"),
        (1, "memory", 3, 1, None),
        (2, "memory", 3, 3, None),
        (2, "disk", 2, 2, "1"),
        (3, "memory", 3, 3, None),
    ],
)
def test_kafka_reaches_a_class_by_replicas_in_sync_and_flush(
    copies: int, sync: str, brokers: int, replicas: int, flush: str | None
) -> None:
    layout = kafka.channel_layout("r1", with_class(copies, sync), KAFKA, brokers)
    assert layout["replication_factor"] == replicas
    assert layout["topic_settings"]["min.insync.replicas"] == str(copies)
    assert layout["topic_settings"].get("flush.messages") == flush
    assert layout["topic_settings"]["unclean.leader.election.enable"] == "false"


@pytest.mark.parametrize(("copies", "usual", "replicas"), [(1, 3, 3), (1, 1, 1), (2, 3, 3), (2, 2, 3), (1, 9, 5)])
def test_kafka_has_as_many_replicas_as_the_cluster_gives_and_at_least_those_of_the_class(
    copies: int, usual: int, replicas: int
) -> None:
    layout = kafka.channel_layout("r1", with_class(copies, "memory"), KAFKA, 5, usual_replicas=usual)
    assert layout["replication_factor"] == replicas
    assert layout["topic_settings"]["min.insync.replicas"] == str(copies), "guaranteed are those in sync, no more"


def test_kafka_with_acks_1_has_one_copy_and_refuses_to_promise_two() -> None:
    assert kafka.channel_layout("r1", with_class(1, "memory"), KAFKA, 3, by_leader=True)["min_insync_replicas"] == 1
    with pytest.raises(NotSupported, match="acks=1"):
        kafka.channel_layout("r1", with_class(2, "memory"), KAFKA, 3, by_leader=True)


@pytest.mark.parametrize(("acks", "by_leader"), [("all", False), (-1, False), (1, True), ("1", True)])
def test_kafka_knows_who_acknowledges_a_guaranteed_message(acks: object, by_leader: bool) -> None:
    assert acknowledged_by_leader({"acks": acks}) is by_leader


def test_kafka_refuses_a_guaranteed_publisher_that_waits_for_nobody() -> None:
    assert not acknowledged_by_leader({})
    with pytest.raises(UsageError, match=r"(?s)acks=0.*mode: direct"):
        acknowledged_by_leader({"acks": 0})


def test_kafka_gives_a_group_to_each_reader_that_keeps_its_place_and_a_turn_to_an_exclusive_one() -> None:
    layout = kafka.channel_layout("r1", CHANNEL, KAFKA, 1)
    assert set(layout["groups"]) == {"billing", "audit"}
    assert kafka.topics_of(layout) == {"crep-r1-orders": 6, "crep-r1-orders-audit-turn": 1}


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (with_class(2, "memory"), "2 copies"),
        (with_class(1, "none"), "page cache"),
        (replace(CHANNEL, name="x" * 250), "249"),
    ],
)
def test_kafka_says_why_it_cannot(channel: ChannelSpec, reason: str) -> None:
    with pytest.raises(NotSupported, match=reason):
        kafka.channel_layout("r1", channel, KAFKA, 1)


def test_solace_gives_a_queue_to_each_reader_that_keeps_its_place_and_a_subscription_to_the_others() -> None:
    layout = solace.channel_layout("r1", CHANNEL, SOLACE)
    assert {name: queue["access"] for name, queue in layout["queues"].items()} == {
        "billing": "non-exclusive",
        "audit": "exclusive",
    }
    assert layout["direct"] == {"screen": {"subscription": "crep/r1/orders/>", "share_name": None}}
    assert layout["key_property"] is None


def test_solace_partitions_the_queue_of_a_group_that_wants_order_and_only_then_sends_the_key() -> None:
    layout = solace.channel_layout("r1", with_readers(replace(GROUP, order="per-key")), SOLACE)
    assert layout["queues"]["billing"]["partitions"] == 6
    assert layout["key_property"] == "JMSXGroupID"


def test_solace_builds_the_subscription_from_the_filter_and_shares_it_among_members() -> None:
    reader = replace(SCREEN, members=3, share="group", topic_filter="orders/*/new")
    direct = solace.channel_layout("r1", with_readers(reader), SOLACE)["direct"]["screen"]
    assert direct == {"subscription": "crep/r1/orders/orders/*/new", "share_name": "crep-r1-orders-screen"}


@pytest.mark.parametrize(("deliveries", "redeliveries"), [(1, 1), (2, 1), (3, 2), (10, 9)])
def test_solace_counts_redeliveries_where_the_scenario_counts_deliveries(deliveries: int, redeliveries: int) -> None:
    reader = replace(GROUP, dead_letters_after=deliveries)
    queue = solace.channel_layout("r1", with_readers(reader), SOLACE)["queues"]["billing"]
    assert queue["max_redeliveries"] == redeliveries
    assert queue["dead_letter_queue"] == "crep-r1-orders-billing-dead"


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (with_readers(replace(EXCLUSIVE, delivery="at-most-once")), "standby"),
        (replace(CHANNEL, topics=("orders/" + "ü" * 125,)), "250 bytes"),
        (replace(CHANNEL, name="x" * 200), "queue name"),
        (with_readers(replace(GROUP, name="a*b")), "queue name"),
    ],
)
def test_solace_says_why_it_cannot(channel: ChannelSpec, reason: str) -> None:
    with pytest.raises(NotSupported, match=reason):
        solace.channel_layout("r1", channel, SOLACE)


def test_solace_stores_on_disk_once_or_twice_with_a_mate() -> None:
    assert solace.stored_class(with_class(1, "disk"), redundant=False) == Durability(1, "disk")
    assert solace.stored_class(with_class(2, "disk"), redundant=True) == Durability(2, "disk")
    with pytest.raises(NotSupported, match="no redundancy mate"):
        solace.stored_class(with_class(2, "disk"), redundant=False)
    with pytest.raises(NotSupported, match="on disk"):
        solace.stored_class(with_class(1, "memory"), redundant=False)


@pytest.mark.parametrize(
    ("pattern", "topic", "selected"),
    [
        (None, "a/b", True),
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("a/>", "a/b/c", True),
        ("a/>", "a", False),
        (">", "a", True),
        ("*/b/>", "a/b/c", True),
        ("*/b/>", "a/c/c", False),
        ("a/b*", "a/bc", False),
    ],
)
def test_a_pattern_selects_topics_by_level(pattern: str | None, topic: str, selected: bool) -> None:
    assert topic_matches(pattern, topic) is selected

"""Acts of an administrator on live brokers: the clients of the engines see each, the probe says so, undo restores.

What an act does to a client is judged by outcomes of the vendor's own libraries. The emulator follows the vendor's
documents.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import AclBindingFilter, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from crep.harness.brokers.contract import Admin, Batch, Endpoint, NotSupported, Outcome, Provisioned
from crep.harness.brokers.kafka.admin import KafkaAdmin
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.operator import Act, Discard, Operator
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.brokers.solace.admin import SolaceAdmin
from tests.brokers.contract.bench import CHANNEL, Bench, batch, eventually, numbers, reader, send_all

LARGE = 100_000
READER = "billing"


def benches(system: str, admin: Admin, endpoint: Endpoint) -> Iterator[Bench]:
    bench = Bench(adapter(system), endpoint, admin, load_mapping(DEFAULT_MAPPINGS[system]))
    yield bench
    bench.close()
    admin.close()


@pytest.fixture
def solace(emulator_endpoint: Endpoint) -> Iterator[Bench]:
    yield from benches("solace", SolaceAdmin(emulator_endpoint), emulator_endpoint)


@pytest.fixture
def kafka(kafka_endpoint: Endpoint) -> Iterator[Bench]:
    yield from benches("kafka", KafkaAdmin(kafka_endpoint), kafka_endpoint)


def outcomes(bench: Bench, first: int, count: int, size: int = 100) -> Counter[int]:
    """Of messages of a publisher of their own."""
    return Counter(send_all(bench.publisher(), batch(first, count, size)).values())


def stored(bench: Bench, provisioned: Provisioned) -> int:
    return bench.admin.observe(provisioned).readers[f"{CHANNEL}.{READER}"].backlog


# -- Solace


@pytest.mark.emulator
def test_a_denied_publish_is_rejected_and_reaches_nobody_until_it_is_allowed_again(solace: Bench) -> None:
    provisioned = solace.provision(reader(READER))
    operator, publisher = solace.admin.operator(provisioned), solace.publisher()
    operator.check("deny publish", CHANNEL)
    assert set(send_all(publisher, batch(0, 10)).values()) == {Outcome.ACKNOWLEDGED}
    for _ in range(2):  # doing it twice is no error
        operator.deny(CHANNEL, "publish")
    assert operator.denied(CHANNEL, "publish")
    assert set(send_all(publisher, batch(10, 10)).values()) == {Outcome.REJECTED}
    for _ in range(2):
        operator.allow(CHANNEL, "publish")
    assert not operator.denied(CHANNEL, "publish")
    assert set(send_all(publisher, batch(20, 10)).values()) == {Outcome.ACKNOWLEDGED}
    assert stored(solace, provisioned) == 20


@pytest.mark.emulator
def test_members_without_permission_get_nothing_and_all_of_it_when_they_have_it_again(solace: Bench) -> None:
    provisioned = solace.provision(reader(READER))
    operator, member = solace.admin.operator(provisioned), solace.member(READER).ready()
    operator.deny(CHANNEL, "receive")
    assert operator.denied(CHANNEL, "receive")
    assert outcomes(solace, 0, 20) == {Outcome.ACKNOWLEDGED: 20}
    time.sleep(0.5)
    assert member.received == []
    solace.admin.operator(provisioned).allow(CHANNEL, "receive")  # somebody else, who knows only what was provisioned
    assert not operator.denied(CHANNEL, "receive")
    eventually(lambda: sorted(numbers(member.received)) == list(range(20)))
    assert [event.kind for event in member.subscriber.events()].count("reconnected") == 1


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("discard", "beyond"),
    [
        (None, Outcome.REJECTED),
        ("when-queue-enabled", Outcome.REJECTED),
        ("always", Outcome.REJECTED),
        ("never", Outcome.ACKNOWLEDGED),  # and in no queue: lost, as the vendor documents it
    ],
)
def test_what_a_full_queue_discards_is_told_to_its_publisher_as_the_queue_says(
    solace: Bench, discard: Discard | None, beyond: Outcome
) -> None:
    provisioned = solace.provision(reader(READER))
    operator = solace.admin.operator(provisioned)
    operator.check("limit", CHANNEL, READER)
    operator.limit(CHANNEL, READER, 900_000, discard)
    assert operator.limited(CHANNEL, READER)
    found = outcomes(solace, 0, 20, LARGE)
    held = stored(solace, provisioned)
    assert 5 <= held <= 10  # a megabyte, less what a message takes beside its payload
    if beyond is Outcome.REJECTED:
        assert found == {Outcome.ACKNOWLEDGED: held, Outcome.REJECTED: 20 - held}
    else:
        assert found == {Outcome.ACKNOWLEDGED: 20}
    operator.unlimit(CHANNEL, READER)
    assert not operator.limited(CHANNEL, READER)
    assert outcomes(solace, 100, 5, LARGE) == {Outcome.ACKNOWLEDGED: 5}
    assert stored(solace, provisioned) == held + 5


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("discard", "meanwhile"),
    [
        (None, Outcome.ACKNOWLEDGED),
        ("when-queue-enabled", Outcome.ACKNOWLEDGED),  # silent about a queue that is shut
        ("never", Outcome.ACKNOWLEDGED),
        ("always", Outcome.REJECTED),
    ],
)
def test_a_queue_that_is_shut_takes_nothing_and_its_publisher_hears_of_it_as_the_queue_says(
    solace: Bench, discard: Discard | None, meanwhile: Outcome
) -> None:
    provisioned = solace.provision(reader(READER))
    operator = solace.admin.operator(provisioned)
    operator.shut(CHANNEL, READER, "in", discard)
    assert operator.is_shut(CHANNEL, READER, "in")
    assert outcomes(solace, 0, 10) == {meanwhile: 10}
    assert stored(solace, provisioned) == 0
    operator.open(CHANNEL, READER, "in")
    assert not operator.is_shut(CHANNEL, READER, "in")
    assert outcomes(solace, 10, 10) == {Outcome.ACKNOWLEDGED: 10}
    assert stored(solace, provisioned) == 10


@pytest.mark.emulator
@pytest.mark.parametrize("client", ["native", "api"])
def test_a_queue_whose_egress_is_shut_keeps_what_comes_and_gives_it_when_it_is_open(solace: Bench, client: str) -> None:
    solace.mapping = replace(solace.mapping, subscriber=solace.mapping.subscriber | {"client": client})
    provisioned = solace.provision(reader(READER))
    operator, member = solace.admin.operator(provisioned), solace.member(READER).ready()
    operator.shut(CHANNEL, READER, "out")
    assert operator.is_shut(CHANNEL, READER, "out")
    assert outcomes(solace, 0, 20) == {Outcome.ACKNOWLEDGED: 20}
    time.sleep(0.5)
    assert member.received == []
    assert stored(solace, provisioned) == 20
    operator.open(CHANNEL, READER, "out")
    assert not operator.is_shut(CHANNEL, READER, "out")
    eventually(lambda: sorted(numbers(member.received)) == list(range(20)))


@pytest.mark.emulator
def test_a_client_that_is_disconnected_comes_back_and_goes_on(solace: Bench) -> None:
    provisioned = solace.provision(reader(READER))
    operator, publisher = solace.admin.operator(provisioned), solace.publisher()
    name = f"{solace.run_id}-p0"
    assert operator.disconnect([name, "nobody"]) == 1
    assert set(send_all(publisher, batch(0, 10)).values()) == {Outcome.ACKNOWLEDGED}
    kinds = [event.kind for event in publisher.events()]
    assert "down" in kinds
    assert "reconnected" in kinds
    assert operator.disconnect(["nobody"]) == 0


@pytest.mark.emulator
def test_what_a_solace_broker_cannot_do_is_refused_before_it_is_tried(solace: Bench) -> None:
    provisioned = solace.provision(reader(READER), reader("screen", share="all", delivery="at-most-once"))
    operator = solace.admin.operator(provisioned)
    for act, who, why in (
        ("throttle", None, "rate quota"),
        ("limit", "screen", "direct subscription"),
        ("shut", "screen", "direct subscription"),
        ("deny receive", None, "not documented"),
    ):
        with pytest.raises(NotSupported, match=why):
            operator.check(act, CHANNEL, who)  # type: ignore[arg-type]  # a tuple's words are any text


# -- Kafka


def acknowledged_again(bench: Bench, first: int, within_s: float = 15.0) -> int:
    """Send single messages until one is acknowledged: librdkafka keeps a topic that was denied for refused until it
    has asked for its metadata again. The number of the one."""
    publisher, deadline = bench.publisher(), time.monotonic() + within_s
    while send_all(publisher, batch(first, 1)) != {first: Outcome.ACKNOWLEDGED}:
        assert time.monotonic() < deadline, "still refused"
        first += 1
        time.sleep(0.05)
    return first


@pytest.mark.kafka
def test_a_denied_publish_to_a_topic_is_rejected_and_reaches_nobody_until_it_is_allowed_again(kafka: Bench) -> None:
    provisioned = kafka.provision(reader(READER))
    operator, publisher = kafka.admin.operator(provisioned), kafka.publisher()
    operator.check("deny publish", CHANNEL)
    member = kafka.member(READER).ready()
    assert set(send_all(publisher, batch(0, 10)).values()) == {Outcome.ACKNOWLEDGED}
    operator.deny(CHANNEL, "publish")
    assert operator.denied(CHANNEL, "publish")
    assert set(send_all(publisher, batch(10, 10)).values()) == {Outcome.REJECTED}
    kafka.admin.operator(provisioned).allow(CHANNEL, "publish")
    assert not operator.denied(CHANNEL, "publish")
    last = acknowledged_again(kafka, 20)
    eventually(lambda: sorted(numbers(member.received)) == [*range(10), last])
    assert rules(operator) == 0, "a topic is left without a rule, as it was provisioned"


def rules(operator: Operator) -> int:
    """How many rules the authorizer has at all."""
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    return len(operator._admin().describe_acls(everything).result(10))  # type: ignore[attr-defined]


@pytest.mark.kafka
def test_members_that_may_not_read_a_topic_get_nothing_and_all_of_it_when_they_may(kafka: Bench) -> None:
    provisioned = kafka.provision(reader(READER))
    operator, member = kafka.admin.operator(provisioned), kafka.member(READER).ready()
    operator.deny(CHANNEL, "receive")
    time.sleep(0.6)  # a fetch that was waiting at the broker is answered once more
    assert outcomes(kafka, 0, 20) == {Outcome.ACKNOWLEDGED: 20}
    time.sleep(1.0)
    assert len(member.received) == 0
    operator.allow(CHANNEL, "receive")
    eventually(lambda: sorted(numbers(member.received)) == list(range(20)))
    assert "error" in [event.kind for event in member.subscriber.events()]


@pytest.mark.kafka
def test_a_throttled_publisher_is_slowed_and_none_of_its_messages_refused(kafka: Bench) -> None:
    provisioned = kafka.provision(reader(READER))
    operator, publisher = kafka.admin.operator(provisioned), kafka.publisher()
    names = [f"{kafka.run_id}-p0"]
    operator.check("throttle", CHANNEL)

    def seconds(messages: Batch) -> float:
        began = time.monotonic()
        sent = send_all(publisher, messages)
        assert set(sent.values()) == {Outcome.ACKNOWLEDGED}
        return time.monotonic() - began

    unhindered = seconds(batch(0, 1))
    operator.throttle(names, 70_000)
    assert operator.throttled(names)
    seconds(batch(100, 20, 50_000))  # a megabyte: 95 kB/s over the broker's 11 s, so it lets the client wait 3 to 4 s
    slowed = seconds(batch(200, 1))
    operator.unthrottle(names)
    assert not operator.throttled(names)
    assert slowed > 1.0 + unhindered


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("act", "instead"), [("limit", "retention"), ("shut", "revoke-permission"), ("disconnect", "'reset'")]
)
def test_what_kafka_has_not_is_refused_with_what_there_is_instead(kafka: Bench, act: Act, instead: str) -> None:
    with pytest.raises(NotSupported, match=instead):
        kafka.admin.operator(kafka.provision(reader(READER))).check(act, CHANNEL, READER)

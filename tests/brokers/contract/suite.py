"""The one suite that every broker adapter passes against a live broker.

A subclass names its system and its endpoint; whatever else it needs is a bug of the contract. Each test provisions its
own run, so tests do not see each other's messages.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from crep.harness.brokers.contract import (
    CAPABILITIES,
    Adapter,
    Admin,
    Batch,
    BrokerError,
    BulkPublisher,
    BulkSubscriber,
    ChannelSpec,
    Deliveries,
    Durability,
    Endpoint,
    MappingFile,
    Message,
    Messages,
    NotSupported,
    Outcome,
    Outcomes,
    Provisioned,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.deployment import Deployment

CHANNEL = "orders"
TOPICS = ("orders/eu/new", "orders/eu/paid", "orders/us/new")
KEYS = 12
RECONNECT_S = 60.0


def reader(name: str, **changes: object) -> ReaderSpec:
    """A group reader of one member, at least once, unless changed."""
    return replace(ReaderSpec(name, "group", 1, "at-least-once"), **changes)  # type: ignore[arg-type]


def bodies(sequences: Sequence[int], size: int = 100) -> list[bytes]:
    return [number.to_bytes(8, "big") + bytes(size - 8) for number in sequences]


def numbers(received: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(body[:8], "big") for body in received]


def batch(first: int, count: int, size: int = 100, *, stamps: bool = False) -> Batch:
    """Key = number modulo KEYS, topic = key modulo the number of topics."""
    sequences = range(first, first + count)
    keys = np.arange(first, first + count) % KEYS
    return Batch(
        np.array(sequences, dtype=np.uint64),
        bodies(sequences, size),
        (keys % len(TOPICS)).astype(np.uint32),
        keys.astype(np.uint32),
        [f"stamp {number}".encode() for number in sequences] if stamps else None,
    )


def topic_of(number: int) -> str:
    return TOPICS[number % KEYS % len(TOPICS)]


def send_all(publisher: BulkPublisher, messages: Batch, timeout_s: float = 30.0) -> dict[int, int]:
    """Offer until everything is taken, drain; the outcome of each sequence. A second outcome fails the test."""
    outcomes: dict[int, int] = {}

    def note(some: Outcomes) -> None:
        assert len(some.sequence) == len(some.outcome) == len(some.at_ns)
        for sequence, outcome in zip(some.sequence.tolist(), some.outcome.tolist(), strict=True):
            assert sequence not in outcomes, f"message {sequence} got a second outcome"
            outcomes[sequence] = outcome

    start, deadline = 0, time.monotonic() + timeout_s
    while start < len(messages.sequence):
        assert time.monotonic() < deadline, f"only {start} messages were taken"
        taken = publisher.send_batch(messages, start)
        start += taken
        note(publisher.poll(0.0 if taken else 0.005))
    note(publisher.drain(timeout_s))
    return outcomes


@dataclass
class Member:
    """A subscriber that is driven as an engine drives it: from `ready` on it receives without a pause."""

    subscriber: BulkSubscriber
    acknowledging: bool = True
    received: list[bytes] = field(default_factory=list)
    stamps: list[bytes] = field(default_factory=list)
    redelivered: list[int] = field(default_factory=list)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.subscriber.open()
            self.subscriber.ready(30.0)
            self._ready.set()
            while not self._stop.is_set():
                self._take(self.subscriber.receive(500, 0.05))
        except Exception as error:  # noqa: BLE001 - handed to the test by `ready` and `close`
            self.failure = error
            self._ready.set()

    def _take(self, deliveries: Deliveries) -> None:
        assert len(deliveries) == len(deliveries.received_ns) == len(deliveries.redelivered)
        if self.acknowledging:
            self.subscriber.acknowledge(deliveries)
        self.stamps += deliveries.stamps or []
        self.redelivered += deliveries.redelivered.tolist()
        self.received += deliveries.bodies

    def ready(self) -> Member:
        assert self._ready.wait(40.0), "not ready"
        if self.failure is not None:
            raise self.failure
        return self

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10.0)
        self.subscriber.close()
        if self.failure is not None:
            raise self.failure


def eventually(what: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until it is so; one more look at the end decides."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and not what():
        time.sleep(0.05)
    assert what()


class BrokerContract:
    """Promises of ``brokers.contract``. ``system`` and the fixture ``endpoint`` come from the subclass."""

    system: str
    settle_quietly_s = 1.0  # long enough that a message that must not come would have come

    @pytest.fixture
    def broker(self) -> Adapter:
        return adapter(self.system)

    @pytest.fixture
    def mapping(self) -> MappingFile:
        return load_mapping(DEFAULT_MAPPINGS[self.system])

    @pytest.fixture
    def admin(self, broker: Adapter, endpoint: Endpoint) -> Iterator[Admin]:
        admin = broker.admin(endpoint)
        yield admin
        admin.close()

    @pytest.fixture
    def bench(self, broker: Adapter, endpoint: Endpoint, admin: Admin, mapping: MappingFile) -> Iterator[Bench]:
        bench = Bench(broker, endpoint, admin, mapping)
        yield bench
        bench.close()

    # --- provisioning and facts -----------------------------------------------------------------------------------

    def test_provision_is_idempotent_and_names_carry_the_run(self, bench: Bench, admin: Admin) -> None:
        first = bench.provision(reader("billing"), reader("audit", share="exclusive", members=2))
        again = admin.provision(first.run_id, [bench.channel], bench.mapping)
        assert again == first
        assert first.run_id in str(first.objects[CHANNEL])
        assert first.durability[CHANNEL]["copies"] == 1
        assert first.durability[CHANNEL]["sync"] == "disk"
        assert first.durability[CHANNEL]["known"] in ("configured", "documented", "verified")

    def test_remove_leaves_nothing_and_may_be_called_again(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing"))
        admin.remove(provisioned)
        admin.remove(provisioned)
        orphan = bench.subscriber("billing", 0)
        with pytest.raises(BrokerError):
            orphan.open()
        orphan.close()

    def test_a_class_that_the_broker_cannot_reach_is_refused_with_the_reason(self, bench: Bench) -> None:
        with pytest.raises(NotSupported, match="copies"):
            bench.provision(reader("billing"), durability=Durability(7, "disk"))
        with pytest.raises(NotSupported, match="none"):
            bench.provision(reader("billing"), durability=Durability(1, "none"))

    def test_facts_say_product_evidence_settings_and_client(self, admin: Admin) -> None:
        facts = admin.facts()
        assert facts.product
        assert facts.version
        assert facts.recognised_by
        assert facts.genuineness in ("genuine", "emulated", "mock")
        assert facts.configuration
        assert facts.caps
        assert any(character.isdigit() for character in facts.client)

    def test_capabilities_are_the_closed_set_each_with_its_how(self, admin: Admin) -> None:
        capabilities = admin.capabilities()
        assert tuple(sorted(capabilities)) == tuple(sorted(CAPABILITIES))
        assert all(capability.how for capability in capabilities.values())

    # --- publishing -----------------------------------------------------------------------------------------------

    def test_every_message_is_acknowledged_and_received_once_as_it_was(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        member = bench.member("billing").ready()
        messages = batch(0, 500)
        assert send_all(bench.publisher(), messages) == dict.fromkeys(range(500), Outcome.ACKNOWLEDGED)
        eventually(lambda: len(member.received) >= 500)
        time.sleep(self.settle_quietly_s)
        assert sorted(member.received) == sorted(messages.bodies)

    def test_a_batch_beyond_the_window_is_taken_in_parts_and_none_is_lost(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        member = bench.member("billing").ready()
        publisher = bench.publisher(**self.small_window())
        messages = batch(0, 3000)
        taken = publisher.send_batch(messages, 0)
        assert 0 < taken < 3000
        rest = Batch(messages.sequence[taken:], messages.bodies[taken:], messages.topic[taken:], messages.key[taken:])
        outcomes = send_all(publisher, rest)
        assert set(outcomes) == set(range(3000))
        assert set(outcomes.values()) == {Outcome.ACKNOWLEDGED}
        eventually(lambda: len(member.received) >= 3000, 30.0)
        assert sorted(numbers(member.received)) == list(range(3000))

    def test_direct_mode_says_sent_and_never_acknowledged(self, bench: Bench) -> None:
        bench.provision(reader("screen", share="all", delivery="at-most-once"))
        member = bench.member("screen").ready()
        assert set(send_all(bench.publisher(guaranteed=False), batch(0, 100)).values()) == {Outcome.SENT}
        eventually(lambda: len(member.received) == 100)

    def test_stamps_travel_as_a_property_beside_an_untouched_body(self, bench: Bench) -> None:
        bench.provision(reader("billing"), reader("screen", share="all", delivery="at-most-once"))
        members = [bench.member(name, stamp_property="crep-stamp").ready() for name in ("billing", "screen")]
        messages = batch(0, 60, stamps=True)
        send_all(bench.publisher(stamp_property="crep-stamp"), messages)
        for member in members:
            eventually(lambda member=member: len(member.received) == 60)  # type: ignore[misc]
            found = dict(zip(member.received, member.stamps, strict=True))
            assert found == dict(zip(messages.bodies, messages.stamps or (), strict=True))

    # --- readers --------------------------------------------------------------------------------------------------

    def test_members_of_a_group_share_the_work(self, bench: Bench) -> None:
        bench.provision(reader("billing", members=2))
        members = [bench.member("billing", k) for k in range(2)]
        for member in members:
            member.ready()
        send_all(bench.publisher(), batch(0, 600))
        eventually(lambda: sum(len(member.received) for member in members) >= 600)
        time.sleep(self.settle_quietly_s)
        assert sorted(number for member in members for number in numbers(member.received)) == list(range(600))
        assert min(len(member.received) for member in members) >= 60

    def test_an_exclusive_reader_has_one_active_member_and_the_next_takes_over(self, bench: Bench) -> None:
        bench.provision(reader("audit", share="exclusive", members=2))
        members = [bench.member("audit", k) for k in range(2)]
        for member in members:
            member.ready()
        publisher = bench.publisher()
        send_all(publisher, batch(0, 300))
        eventually(lambda: sum(len(member.received) for member in members) >= 300)
        active, standby = sorted(members, key=lambda member: -len(member.received))
        assert numbers(standby.received) == []
        assert sorted(numbers(active.received)) == list(range(300))
        bench.close_member(active)
        send_all(publisher, batch(300, 200))
        eventually(lambda: set(numbers(standby.received)) >= set(range(300, 500)))

    def test_each_key_arrives_in_order_where_a_reader_asks_for_it(self, bench: Bench) -> None:
        bench.provision(reader("audit", share="exclusive", order="per-key"))
        member = bench.member("audit").ready()
        send_all(bench.publisher(), batch(0, 600))
        eventually(lambda: len(member.received) == 600)
        for key in range(KEYS):
            own = [number for number in numbers(member.received) if number % KEYS == key]
            assert own == sorted(own)

    def test_a_group_keeps_the_order_of_each_key_or_is_refused_with_the_reason(self, bench: Bench) -> None:
        wanted = reader("billing", members=2, order="per-key")
        try:
            bench.provision(wanted)
        except NotSupported:
            with pytest.raises(NotSupported, match="billing"):
                bench.provision(wanted)
            return
        members = [bench.member("billing", k) for k in range(2)]
        for member in members:
            member.ready()
        send_all(bench.publisher(), batch(0, 600))
        eventually(lambda: sum(len(member.received) for member in members) >= 600)
        for member in members:
            for key in range(KEYS):
                own = [number for number in numbers(member.received) if number % KEYS == key]
                assert own == sorted(own)
        keys = [{number % KEYS for number in numbers(member.received)} for member in members]
        assert not keys[0] & keys[1]

    def test_a_filter_selects_topics_and_leaves_no_backlog_of_the_others(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(
            reader("europe", topic_filter="orders/eu/*"),
            reader("glance", topic_filter="orders/us/>", share="all", delivery="at-most-once"),
        )
        europe, glance = bench.member("europe").ready(), bench.member("glance").ready()
        send_all(bench.publisher(), batch(0, 240))
        wanted = {number for number in range(240) if topic_of(number).startswith("orders/eu/")}
        eventually(lambda: len(europe.received) >= len(wanted))
        eventually(lambda: len(glance.received) >= 240 - len(wanted))
        assert set(numbers(europe.received)) == wanted
        assert set(numbers(glance.received)) == set(range(240)) - wanted
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.europe"].backlog == 0)

    def test_an_at_most_once_reader_sees_only_what_is_sent_while_it_is_there(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("screen", share="all", delivery="at-most-once"))
        publisher = bench.publisher()
        send_all(publisher, batch(0, 50))
        member = bench.member("screen").ready()
        send_all(publisher, batch(50, 50))
        eventually(lambda: len(member.received) >= 50)
        time.sleep(self.settle_quietly_s)
        assert sorted(numbers(member.received)) == list(range(50, 100))
        assert f"{CHANNEL}.screen" not in admin.observe(provisioned).readers

    def test_what_a_lost_consumer_did_not_acknowledge_comes_again(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        careless = bench.member("billing", acknowledging=False).ready()
        send_all(bench.publisher(), batch(0, 40))
        eventually(lambda: len(careless.received) >= 40)
        bench.close_member(careless)
        careful = bench.member("billing", 1).ready()
        eventually(lambda: set(numbers(careful.received)) >= set(range(40)), 30.0)
        assert set(careful.redelivered) == self.redelivery_flags()

    # --- observing ------------------------------------------------------------------------------------------------

    def test_backlog_is_what_was_published_minus_what_was_acknowledged(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing"), reader("audit", share="exclusive"))
        send_all(bench.publisher(), batch(0, 120))
        state = admin.observe(provisioned).readers
        assert (state[f"{CHANNEL}.billing"].backlog, state[f"{CHANNEL}.audit"].backlog) == (120, 120)
        member = bench.member("billing").ready()
        eventually(lambda: len(member.received) >= 120)
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 0)
        assert admin.observe(provisioned).readers[f"{CHANNEL}.billing"].connections == 1
        assert admin.observe(provisioned).readers[f"{CHANNEL}.audit"].backlog == 120

    # --- failures -------------------------------------------------------------------------------------------------

    def test_an_unreachable_broker_is_named_in_time(self, broker: Adapter, mapping: MappingFile) -> None:
        nowhere, address = self.unreachable()
        channel = ChannelSpec(CHANNEL, TOPICS, KEYS, (reader("billing"),), Durability(1, "disk"))
        publisher = broker.publisher(
            PublisherSpec(nowhere, "p", CHANNEL, self.objects_of_nobody(), TOPICS, True, mapping.publisher, RECONNECT_S)
        )
        with ThreadPoolExecutor() as threads:
            started = time.monotonic()
            failing = [
                threads.submit(broker.admin(nowhere).provision, "nobody", [channel], mapping),
                threads.submit(publisher.open),
            ]
            for one in failing:
                with pytest.raises(BrokerError, match=address):
                    one.result(30.0)
        assert time.monotonic() - started < 20.0
        publisher.close()

    def test_acknowledged_messages_outlive_a_kill_and_clients_come_back(
        self, bench: Bench, deployment: Deployment
    ) -> None:
        bench.provision(reader("billing"))
        member = bench.member("billing").ready()
        publisher = bench.publisher()
        outcomes = send_all(publisher, batch(0, 100))
        node = deployment.nodes[0]
        deployment.kill_node(node)
        messages, taken = batch(100, 100), 0
        taken = publisher.send_batch(messages, 0)  # into the outage: some clients take messages now, some later
        deployment.start_node(node)
        deadline = time.monotonic() + RECONNECT_S
        while taken < 100:
            assert time.monotonic() < deadline, "the publisher took nothing more after the restart"
            taken += publisher.send_batch(messages, taken)
            outcomes |= _as_dict(publisher.poll(0.02))
        outcomes |= _as_dict(publisher.drain(RECONNECT_S))
        acknowledged = {sequence for sequence, outcome in outcomes.items() if outcome == Outcome.ACKNOWLEDGED}
        assert len(acknowledged) >= 190
        eventually(lambda: set(numbers(member.received)) >= acknowledged, RECONNECT_S)
        kinds = [event.kind for event in publisher.events()]
        assert "down" in kinds
        assert "reconnected" in kinds

    # --- one message at a time ------------------------------------------------------------------------------------

    def test_a_message_keeps_all_its_properties(self, bench: Bench) -> None:
        provisioned = bench.provision(reader("billing"))
        sent = Message(
            "orders/eu/new",
            b"\x00payload\xff",
            key="7",
            properties={"text": "ä", "count": 3, "ratio": 0.5, "flag": True, "raw": b"\x01\x02"},
            message_id="m-1",
            correlation_id="c-1",
            reply_to="replies",
            content_type="application/json",
        )
        messages = bench.messages(provisioned)
        assert messages.publish(CHANNEL, sent).outcome is Outcome.ACKNOWLEDGED
        got = messages.receive(CHANNEL, "billing", 15.0)
        assert got is not None
        assert replace(got, redelivered=None, priority=None) == sent
        messages.settle(got, "accept")
        assert messages.receive(CHANNEL, "billing", 0.5) is None

    def test_a_failed_message_comes_again_and_an_accepted_one_does_not(self, bench: Bench) -> None:
        provisioned = bench.provision(reader("billing"))
        messages = bench.messages(provisioned)
        messages.publish(CHANNEL, Message(TOPICS[0], b"once more", key="1"))
        first = messages.receive(CHANNEL, "billing", 15.0)
        assert first is not None
        messages.settle(first, "fail")
        second = messages.receive(CHANNEL, "billing", 15.0)
        assert second is not None
        assert second.payload == b"once more"
        messages.settle(second, "accept")
        assert messages.receive(CHANNEL, "billing", 0.5) is None

    def test_a_rejected_message_goes_to_the_dead_letters_or_is_refused_with_the_reason(
        self, bench: Bench, admin: Admin
    ) -> None:
        provisioned = bench.provision(reader("billing", dead_letters_after=3), reader("audit"))
        messages = bench.messages(provisioned)
        messages.publish(CHANNEL, Message(TOPICS[0], b"poison", key="1"))
        poison = messages.receive(CHANNEL, "billing", 15.0)
        assert poison is not None
        messages.settle(poison, "reject")
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].dead_lettered == 1)
        without = messages.receive(CHANNEL, "audit", 15.0)
        assert without is not None
        with pytest.raises(NotSupported, match="dead_letters"):
            messages.settle(without, "reject")

    def test_a_stored_message_is_found_by_its_identity_and_stays(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("billing"))
        send_all(bench.publisher(), batch(0, 30))
        inspect = bench.broker.inspect(bench.endpoint, provisioned)
        found = inspect.find(CHANNEL, "billing", (17).to_bytes(8, "big"))
        assert found is not None
        assert numbers([found.payload]) == [17]
        assert found.topic == topic_of(17)
        assert inspect.find(CHANNEL, "billing", b"there is no such thing") is None
        assert admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 30

    # --- what a subclass says of its system -----------------------------------------------------------------------

    def small_window(self) -> dict[str, object]:
        """Settings with which a publisher's window is below 3,000 messages."""
        return {}

    def redelivery_flags(self) -> set[int]:
        """Codes of messages that come a second time."""
        raise NotImplementedError

    def unreachable(self) -> tuple[Endpoint, str]:
        """An endpoint where nothing listens, and the address that errors must name."""
        raise NotImplementedError

    def objects_of_nobody(self) -> dict[str, object]:
        """Native objects of a channel that exists nowhere."""
        raise NotImplementedError


def _as_dict(some: Outcomes) -> dict[int, int]:
    return dict(zip(some.sequence.tolist(), some.outcome.tolist(), strict=True))


class Bench:
    """One provisioned channel with its clients; closes and removes all of it."""

    def __init__(self, broker: Adapter, endpoint: Endpoint, admin: Admin, mapping: MappingFile) -> None:
        self.broker, self.endpoint, self.admin, self.mapping = broker, endpoint, admin, mapping
        self.run_id = f"t{uuid.uuid4().hex[:10]}"
        self.channel = ChannelSpec(CHANNEL, TOPICS, KEYS, (), Durability(1, "disk"))
        self.provisioned: Provisioned | None = None
        self._publishers: list[BulkPublisher] = []
        self._members: list[Member] = []
        self._closing: list[Callable[[], None]] = []

    def provision(self, *readers: ReaderSpec, durability: Durability | None = None) -> Provisioned:
        self.channel = replace(self.channel, readers=readers, durability=durability or self.channel.durability)
        self.provisioned = self.admin.provision(self.run_id, [self.channel], self.mapping)
        return self.provisioned

    def _objects(self) -> dict[str, object]:
        assert self.provisioned is not None
        return self.provisioned.objects[CHANNEL]

    def publisher(
        self, guaranteed: bool = True, stamp_property: str | None = None, **settings: object
    ) -> BulkPublisher:
        publisher = self.broker.publisher(
            PublisherSpec(
                self.endpoint,
                f"{self.run_id}-p{len(self._publishers)}",
                CHANNEL,
                self._objects(),
                TOPICS,
                guaranteed,
                {**self.mapping.publisher, **settings},
                RECONNECT_S,
                stamp_property,
            )
        )
        self._publishers.append(publisher)
        publisher.open()
        assert publisher.effective_settings()
        return publisher

    def subscriber(self, name: str, member: int, stamp_property: str | None = None) -> BulkSubscriber:
        spec = next(known for known in self.channel.readers if known.name == name)
        return self.broker.subscriber(
            SubscriberSpec(
                self.endpoint,
                f"{self.run_id}-{name}-{member}",
                CHANNEL,
                spec,
                member,
                self._objects(),
                self.mapping.subscriber,
                RECONNECT_S,
                stamp_property,
            )
        )

    def member(
        self, name: str, member: int = 0, *, acknowledging: bool = True, stamp_property: str | None = None
    ) -> Member:
        running = Member(self.subscriber(name, member, stamp_property), acknowledging)
        self._members.append(running)
        return running

    def close_member(self, member: Member) -> None:
        self._members.remove(member)
        member.close()

    def messages(self, provisioned: Provisioned) -> Messages:
        messages = self.broker.messages(self.endpoint, provisioned, self.channel.readers)
        self._closing.append(messages.close)
        return messages

    def close(self) -> None:
        for member in self._members:
            member.close()
        for publisher in self._publishers:
            publisher.close()
            publisher.close()
        for close in self._closing:
            close()
        if self.provisioned is not None:
            self.admin.remove(self.provisioned)

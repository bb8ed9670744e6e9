"""Partitioned queues: keys stay together, shares are even, order per key holds through a rebalance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.core import configuration
from crep.solace_emulator.core.flow import ConsumerFlow
from crep.solace_emulator.core.log import ConfigSet
from crep.solace_emulator.core.partitions import balanced, partition_of
from crep.solace_emulator.core.queue import Queue
from crep.solace_emulator.smf import frame, message, sdt
from tests.emulator.fakes import Consumer, World


def keyed(topic: str, key: str, payload: str) -> message.Message:
    """A message with a partition key, laid out as the official client does."""

    def item(tag: int, value: bytes) -> bytes:
        return bytes((tag << 2 | 3,)) + frame.U32.pack(len(value) + 5) + value

    def string(value: str) -> bytes:
        return item(7, value.encode() + b"\0")

    user = item(10, string("JMSXGroupID") + string(key))
    stream = item(11, item(6, b"\x80\0") + item(10, string("p") + user))
    metadata = b"\x01\x00" + len(stream).to_bytes(3, "big") + stream
    summary = frame.parameter(
        frame.CONTENTS_SUMMARY, bytes((0x22, len(payload))) + b"\x45" + frame.U32.pack(len(metadata))
    )
    kept = frame.parameter(frame.TOPIC, topic.encode() + b"\0") + summary
    return message.restore(frame.VERSION, 0, kept, payload.encode() + metadata)


def partitioned(world: World, count: int = 4) -> Queue:
    """An open partitioned queue on topic ``a``."""
    return world.queue("q", "a", access_type="non-exclusive", partition_count=count)


def publish(world: World, *keys: str) -> None:
    """Publish one message for each key; the payload is ``key:number``."""
    flow = world.broker.open_publisher(world.vpn)
    for number, key in enumerate(keys):
        world.publish_id(flow, flow.last + 1, keyed("a", key, f"{key}:{number:02}"))
    world.broker.work()


def heard(consumer: Consumer) -> list[str]:
    """The payloads that a consumer was sent, without their metadata."""
    return [payload[:4] for payload in consumer.payloads]


def pass_time(world: World, milliseconds: int) -> None:
    """Let time pass, with what falls due."""
    world.now += milliseconds
    world.broker.tick()
    world.broker.work()


def test_messages_of_a_key_go_to_one_consumer_in_order() -> None:
    world = World()
    queue = partitioned(world)
    consumers = [Consumer(f"c{number}") for number in range(2)]
    for consumer in consumers:
        world.bind(queue, consumer)
    pass_time(world, 5000)
    publish(world, *(f"k{number % 6}" for number in range(60)))
    keys = [{payload[:2] for payload in heard(consumer)} for consumer in consumers]
    assert keys[0]
    assert keys[1]
    assert not keys[0] & keys[1]
    for consumer in consumers:
        for key in {payload[:2] for payload in heard(consumer)}:
            own = [payload for payload in heard(consumer) if payload.startswith(key)]
            assert own == sorted(own)


def test_a_partition_changes_hands_only_when_its_messages_are_settled() -> None:
    world = World()
    queue = partitioned(world, 2)
    first, second = Consumer("first"), Consumer("second")
    flow = world.bind(queue, first)
    publish(world, *(f"k{number % 6}" for number in range(12)))
    assert len(first.sent) == 12
    world.bind(queue, second)
    pass_time(world, 5000)
    publish(world, *(f"k{number % 6}" for number in range(12)))
    assert second.sent == []
    queue.accept(flow.take(0, first.sent[-1][2]))
    pass_time(world, 100)
    assert second.sent
    moved = {payload[:2] for payload in heard(second)}
    assert moved & {payload[:2] for payload in heard(first)[12:]} == set()
    assert not any(redelivered for _, redelivered, _ in second.sent)


def test_a_handover_that_takes_too_long_sends_the_unsettled_again_flagged() -> None:
    world = World()
    queue = partitioned(world, 2)
    first, second = Consumer("first"), Consumer("second")
    world.bind(queue, first)
    publish(world, *(f"k{number % 6}" for number in range(12)))
    world.bind(queue, second)
    pass_time(world, 5000)
    pass_time(world, 2999)
    assert second.sent == []
    pass_time(world, 1)
    assert second.sent
    assert all(redelivered for _, redelivered, _ in second.sent)


def test_a_surplus_consumer_takes_over_at_once_and_otherwise_a_partition_waits_for_the_rebalance() -> None:
    world = World()
    queue = partitioned(world, 1)
    owner, surplus, late = Consumer("owner"), Consumer("surplus"), Consumer("late")
    flow = world.bind(queue, owner)
    spare = world.bind(queue, surplus)
    publish(world, "k0")
    assert (heard(owner), heard(surplus)) == (["k0:0"], [])
    queue.detach(flow, lost=False)
    world.broker.work()
    assert heard(surplus) == ["k0:0"]
    queue.detach(spare, lost=False)
    world.bind(queue, late)
    assert heard(late) == ["k0:0"]


def test_every_partition_has_a_consumer_again_after_one_is_lost() -> None:
    world = World()
    queue = partitioned(world, 4)
    staying, leaving = Consumer("staying"), Consumer("leaving")
    world.bind(queue, staying)
    flow = world.bind(queue, leaving)
    pass_time(world, 5000)
    queue.detach(flow, lost=True)
    publish(world, *(f"k{number}" for number in range(8)))
    assert 0 < len(staying.sent) < 8
    pass_time(world, 5000)
    assert len(staying.sent) == 8


def test_fewer_partitions_lose_the_messages_of_the_highest_and_none_keeps_all() -> None:
    world = World()
    queue = partitioned(world, 4)
    publish(world, *(f"k{number}" for number in range(20)))
    kept = sum(entry.partition < 2 for entry in queue.entries)
    assert 0 < kept < 20
    _reconfigure(world, queue, partition_count=2)
    assert len(queue) == kept
    _reconfigure(world, queue, partition_count=0)
    assert len(queue) == kept
    consumer = Consumer()
    world.bind(queue, consumer)
    assert len(consumer.sent) == kept
    delivered = [entry.id for entry in queue.entries]
    assert delivered == sorted(delivered)


def _reconfigure(world: World, queue: Queue, **changed: object) -> None:
    change = next(one for one in configuration.snapshot(world.broker) if one.path == ("default", queue.name))
    world.configure(ConfigSet(change.kind, change.path, change.value | changed))


def test_partitions_are_the_same_after_a_restart() -> None:
    world = World()
    queue = partitioned(world)
    publish(world, *(f"k{number}" for number in range(20)))
    rebuilt = world.restarted().vpn.queues["q"]
    assert [entry.partition for entry in rebuilt.entries] == [entry.partition for entry in queue.entries]


def test_without_a_key_messages_are_spread() -> None:
    plain = message.restore(frame.VERSION, 0, b"", b"")
    assert {partition_of(plain, number, 3) for number in range(3)} == {0, 1, 2}
    assert partition_of(plain, 5, 0) == 0


@given(st.integers(1, 8), st.integers(1, 12), st.data())
def test_shares_differ_by_one_and_nothing_moves_without_need(bound: int, count: int, data: st.DataObject) -> None:
    world = World()
    queue = world.queue("q")
    flows = [ConsumerFlow(Consumer(), queue, number, browser=False, now_ms=0) for number in range(bound)]
    owners = data.draw(st.lists(st.sampled_from([None, *flows]), min_size=count, max_size=count))
    plan = balanced(flows, owners)
    shares = [sum(owner is flow for owner in plan) for flow in flows[:count]]
    assert None not in plan
    assert max(shares) - min(shares) <= 1
    assert balanced(flows, plan) == plan
    moved = sum(owner is not None and owner is not planned for owner, planned in zip(owners, plan, strict=True))
    least = -(-count // len(flows[:count]))
    floor = count // len(flows[:count])
    excess = sum(max(0, sum(owner is flow for owner in owners) - floor) for flow in flows[:count])
    outsiders = sum(owner in flows[count:] for owner in owners)
    assert moved <= excess + outsiders
    assert least >= floor


def test_values_of_structured_data_as_seen_on_the_wire() -> None:
    cases = {
        "1f0000000a7465787400": "text",
        "2b0000001b 1c046100 080a0000000000000001 1c046200 1c047800": {"a": 1, "b": "x"},
        "2f00000013 080a0000000000000001 1c047800": [1, "x"],
        "080afffffffffffffffb": -5,
        "100a3ff8000000000000": 1.5,
        "040301": True,
        "180301": b"\x01",
        "0002": None,
    }
    for raw, value in cases.items():
        assert list(sdt.decode(bytes.fromhex(raw))) == [value]


def test_user_properties_of_a_message_as_seen_on_the_wire() -> None:
    raw = bytes.fromhex(
        "0b8d00ff0000001b000000a99806742f31009606220942850303071f000000097374720001000000802f00000080180407002b000000771c"
        "0468002b0000005d1c05736e00080a000000000000004d1c056d69001c0769642d31001c057369001c056d65001c056d74001c057479001c"
        "056369001c06632d31001c056374001c0d746578742f706c61696e001c056365001c0775746638001c0470002b0000000d1c046b001c0476"
        "00"
    )
    decoded, _ = message.decode(frame.Frame(raw, frame.MESSAGE, 0x1B))
    assert sdt.properties(decoded) == {"k": "v"}


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_properties_of_arbitrary_bytes_are_read_or_absent(body: bytes, summary: bytes) -> None:
    kept = frame.parameter(frame.CONTENTS_SUMMARY, summary)
    assert isinstance(sdt.properties(message.restore(frame.VERSION, 0, kept, body)), dict)
    metadata = b"\x01\x00" + len(body).to_bytes(3, "big") + body
    kept = frame.parameter(frame.CONTENTS_SUMMARY, b"\x45" + frame.U32.pack(len(metadata)))
    assert isinstance(sdt.properties(message.restore(frame.VERSION, 0, kept, metadata)), dict)

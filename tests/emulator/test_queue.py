"""The rules of queues, without a socket or a disk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.solace_emulator.core import configuration
from crep.solace_emulator.core.queue import Queue
from crep.solace_emulator.core.refusal import Refused
from tests.emulator.fakes import Consumer, MemoryLog, World


def settle(world: World, flow: object, first: int, last: int, *, accept: bool = True) -> None:
    """Settle deliveries of a flow as its consumer does."""
    entries = flow.take(first, last)  # type: ignore[attr-defined]
    queue: Queue = flow.queue  # type: ignore[attr-defined]
    if accept:
        queue.accept(entries)
    else:
        queue.give_back(entries)
    world.broker.wake(queue)
    world.broker.work()


def test_delivery_ids_always_rise_and_never_restart_lower() -> None:
    world = World()
    queue = world.queue("q", "a")
    consumer = Consumer()
    flow = world.bind(queue, consumer)
    world.publish("a", "1")
    settle(world, flow, 0, consumer.sent[-1][2], accept=False)
    settle(world, flow, 0, consumer.sent[-1][2], accept=False)
    ids = [delivery for _, _, delivery in consumer.sent]
    assert ids == sorted(set(ids))
    assert len(ids) == 3
    set_back = World(MemoryLog(list(world.log.records)))
    set_back.now = 0
    assert set_back.broker.next_delivery_id() > ids[-1]


def test_the_window_bounds_what_is_sent_and_the_transport_ack_opens_it() -> None:
    world = World()
    queue = world.queue("q", "a")
    consumer = Consumer()
    flow = world.bind(queue, consumer, window=2)
    world.publish("a", "1", "2", "3", "4")
    assert consumer.payloads == ["1", "2"]
    flow.transport_ack(consumer.sent[0][2], 2)
    world.broker.wake(queue)
    world.broker.work()
    assert consumer.payloads == ["1", "2", "3"]


def test_unsettled_messages_are_bounded_per_flow_whatever_the_window() -> None:
    world = World()
    queue = world.queue("q", "a", max_delivered_unacked_msgs_per_flow=1)
    consumer = Consumer()
    flow = world.bind(queue, consumer)
    world.publish("a", "1", "2")
    assert consumer.payloads == ["1"]
    settle(world, flow, 0, consumer.sent[0][2])
    assert consumer.payloads == ["1", "2"]


def test_nothing_is_delivered_before_it_is_durable() -> None:
    world = World(MemoryLog(automatic=False))
    queue = world.queue("q", "a")
    consumer = Consumer()
    world.bind(queue, consumer)
    world.publish("a", "1")
    assert consumer.payloads == []
    world.sync()
    assert consumer.payloads == ["1"]


def test_a_full_egress_buffer_leaves_messages_in_their_queue() -> None:
    world = World()
    queue = world.queue("q", "a")
    slow = Consumer(room=False)
    world.bind(queue, slow)
    world.publish("a", "1")
    assert slow.payloads == []
    slow.room = True
    world.broker.wake(queue)
    world.broker.work()
    assert slow.payloads == ["1"]


def test_the_next_in_bind_order_becomes_active_and_gets_everything_unsettled_first() -> None:
    world = World()
    queue = world.queue("q", "a")
    first, second, third = Consumer("c1"), Consumer("c2"), Consumer("c3")
    flows = [world.bind(queue, owner) for owner in (first, second, third)]
    assert [flow.active for flow in flows] == [True, False, False]
    world.publish("a", "1", "2")
    queue.detach(flows[0], lost=True)
    world.publish("a", "3")
    assert second.payloads == ["1", "2", "3"]
    assert [redelivered for _, redelivered, _ in second.sent] == [True, True, False]
    assert (second.activated, third.activated) == (1, 0)
    assert third.payloads == []


def test_a_client_that_comes_back_keeps_what_it_received_under_the_old_ids() -> None:
    world = World()
    queue = world.queue("q", "a")
    consumer = Consumer()
    flow = world.bind(queue, consumer)
    world.publish("a", "1", "2", "3")
    received = consumer.sent[1][2]
    queue.detach(flow, lost=True)
    again = Consumer()
    resumed = world.bind(queue, again, received=received)
    assert [(payload, redelivered) for payload, redelivered, _ in again.sent] == [("3", True)]
    assert again.sent[0][2] > received
    settle(world, resumed, 0, received)
    assert len(queue) == 1


def test_another_client_gets_what_a_lost_one_had_and_old_acks_then_count_for_nothing() -> None:
    world = World()
    queue = world.queue("q", "a", access_type="non-exclusive")
    lost, other = Consumer("lost"), Consumer("other")
    flow = world.bind(queue, lost)
    world.publish("a", "1")
    delivery = lost.sent[0][2]
    queue.detach(flow, lost=True)
    world.bind(queue, other)
    assert other.payloads == ["1"]
    resumed = world.bind(queue, Consumer("lost"), received=delivery)
    settle(world, resumed, 0, delivery)
    assert len(queue) == 1


def test_a_message_is_buried_after_one_delivery_more_than_its_redeliveries() -> None:
    world = World()
    grave = world.queue("grave")
    queue = world.queue("q", "a", max_redelivery_count=2, dead_msg_queue="grave")
    consumer = Consumer()
    flow = world.bind(queue, consumer)
    world.publish("a", "poison")
    for _ in range(3):
        settle(world, flow, 0, consumer.sent[-1][2], accept=False)
    assert len(consumer.sent) == 3
    assert (len(queue), len(grave)) == (0, 1)
    assert queue.stats.max_redelivery_exceeded_to_dmq_msg_count == 1


@pytest.mark.parametrize(
    ("eligible", "respected", "buried"), [(True, True, 1), (False, True, 0), (False, False, 1), (True, False, 1)]
)
def test_the_dmq_eligible_flag_counts_only_where_the_queue_respects_it(
    eligible: bool, respected: bool, buried: int
) -> None:
    world = World()
    grave = world.queue("grave")
    queue = world.queue("q", "a", dead_msg_queue="grave", respect_dmq_eligible_enabled=respected)
    world.publish("a", "x", eligible=eligible)
    queue.bury(list(queue.entries), "redelivery")
    assert (len(queue), len(grave)) == (0, buried)


def test_without_a_dead_message_queue_a_dead_message_is_discarded_and_counted() -> None:
    world = World()
    queue = world.queue("q", "a")
    world.publish("a", "x")
    queue.bury(list(queue.entries), "redelivery")
    assert len(queue) == 0
    assert queue.stats.max_redelivery_exceeded_to_dmq_failed_msg_count == 1


def test_the_smaller_time_to_live_counts_and_only_where_it_is_respected() -> None:
    world = World()
    respecting = world.queue("r", "a", respect_ttl_enabled=True, max_ttl=10)
    other = world.queue("o", "a")
    world.publish("a", "short", ttl=1000)
    world.publish("a", "long", ttl=60_000)
    for elapsed, left in ((999, 2), (1, 1), (8999, 1), (1, 0)):
        world.now += elapsed
        world.broker.tick()
        assert len(respecting) == left
    assert len(other) == 2
    assert respecting.stats.max_ttl_expired_to_dmq_failed_msg_count == 2


def test_a_delivered_message_does_not_expire() -> None:
    world = World()
    queue = world.queue("q", "a", respect_ttl_enabled=True)
    world.bind(queue, Consumer())
    world.publish("a", "x", ttl=100)
    world.now += 1000
    world.broker.tick()
    assert len(queue) == 1


def test_one_rejecting_queue_keeps_a_message_out_of_all_and_a_silent_one_only_out_of_itself() -> None:
    world = World()
    full = world.queue("full", "a", max_msg_size=1)
    other = world.queue("other", "a")
    flow = world.broker.open_publisher(world.vpn)
    world.publish("a", "too large", flow=flow)
    assert (len(full), len(other)) == (0, 0)
    assert flow.refused == {1: None}
    values = configuration._queue_value(full) | {"reject_msg_to_sender_on_discard_behavior": "never"}
    world.configure(configuration.ConfigSet(configuration.QUEUE, ("default", "full"), values))
    world.publish("a", "too large", flow=flow)
    assert (len(full), len(other)) == (0, 1)


def test_an_exception_keeps_a_topic_away_from_a_queue() -> None:
    world = World()
    queue = world.queue("q", "a/>", "!a/secret/>")
    world.publish("a/open", "1")
    world.publish("a/secret/x", "2")
    assert [entry.spooled.message.body for entry in queue.entries] == [b"1"]


def test_a_message_in_two_queues_counts_once_on_the_vpn_spool_and_leaves_it_with_the_last() -> None:
    world = World()
    one, two = world.queue("one", "a"), world.queue("two", "a")
    world.publish("a", "x")
    used = world.vpn.spool_usage
    assert (one.spool_usage, two.spool_usage) == (used, used)
    one.delete_all()
    assert (world.vpn.spool_usage, world.vpn.spooled_count) == (used, 1)
    two.delete_all()
    assert (world.vpn.spool_usage, world.vpn.spooled_count) == (0, 0)


def test_the_vpn_quota_refuses_what_a_queue_would_still_take() -> None:
    world = World()
    world.queue("q", "a")
    values = {"enabled": True, "authentication_basic_type": "none", "max_msg_spool_usage": 0}
    world.configure(configuration.ConfigSet(configuration.VPN, ("default",), values))
    flow = world.broker.open_publisher(world.vpn)
    world.publish("a", "x", flow=flow)
    assert flow.refused == {1: None}


def test_a_queue_without_quota_keeps_the_last_message_once_the_journal_has_it() -> None:
    log = MemoryLog()
    world = World(log)
    queue = world.queue("last", "a", max_msg_spool_usage=0, egress_enabled=False)
    world.publish("a", "1")
    log.automatic = False
    world.publish("a", "2", "3")
    assert [entry.id for entry in queue.entries] == [1, 2, 3]  # the disk may still be full
    world.sync()
    assert [entry.id for entry in queue.entries] == [3]
    assert world.vpn.spooled_count == 1
    assert [entry.id for entry in world.restarted().vpn.queues["last"].entries] == [3]


def test_a_full_disk_costs_a_queue_without_quota_nothing_that_was_acknowledged() -> None:
    log = MemoryLog()
    world = World(log)
    queue = world.queue("last", "a", max_msg_spool_usage=0)
    world.publish("a", "acknowledged")
    log.automatic = False
    world.publish("a", "refused")
    unwritten = log.records[log.durable :]
    del log.records[log.durable :]
    world.broker.on_full(log.durable, unwritten)
    world.broker.work()
    assert [entry.spooled.message.body for entry in queue.entries] == [b"acknowledged"]


def test_binds_are_refused_with_the_documented_reasons_and_counted() -> None:
    world = World()
    queue = world.queue("q", max_bind_count=1)
    world.bind(queue, Consumer())
    with pytest.raises(Refused, match="Max clients exceeded for queue"):
        queue.check_bind("default", browser=False)
    closed = world.queue("closed", egress_enabled=False)
    with pytest.raises(Refused, match="Queue Shutdown"):
        closed.check_bind("default", browser=False)
    private = world.queue("private", permission="read-only", owner="boss")
    with pytest.raises(Refused, match="Permission Not Allowed"):
        private.check_bind("default", browser=False)
    private.check_bind("default", browser=True)
    private.check_bind("boss", browser=False)
    assert queue.stats.max_bind_count_exceeded_bind_failure_count == 1
    assert closed.stats.disabled_bind_failure_count == 1
    assert (private.stats.other_bind_failure_count, private.stats.bind_success_count) == (1, 2)


def test_shutting_egress_ends_flows_and_keeps_messages() -> None:
    world = World()
    queue = world.queue("q", "a")
    consumer = Consumer()
    world.bind(queue, consumer)
    world.publish("a", "1")
    values = configuration._queue_value(queue) | {"egress_enabled": False}
    world.configure(configuration.ConfigSet(configuration.QUEUE, ("default", "q"), values))
    assert consumer.ended == ["Queue Shutdown"]
    assert len(queue) == 1


def test_a_browser_sees_everything_and_what_comes_later_and_takes_nothing() -> None:
    world = World()
    queue = world.queue("q", "a")
    world.publish("a", "1", "2")
    browser, consumer = Consumer("browser"), Consumer("consumer")
    world.bind(queue, browser, browser=True)
    flow = world.bind(queue, consumer)
    world.publish("a", "3")
    assert browser.payloads == consumer.payloads == ["1", "2", "3"]
    settle(world, flow, 0, consumer.sent[-1][2])
    assert len(queue) == 0


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 4)),
        st.tuples(st.just("accept"), st.integers(0, 9)),
        st.tuples(st.just("fail"), st.integers(0, 9)),
        st.tuples(st.just("lose"), st.booleans()),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_whatever_happens_nothing_is_lost_and_every_repeat_is_flagged(actions: list[tuple[str, int]]) -> None:
    """A queue with one consumer, against the obvious model: a list of what was published and not accepted."""
    world = World()
    queue = world.queue("q", "a")
    consumer = Consumer()
    flow = world.bind(queue, consumer)
    published = 0
    accepted: set[str] = set()
    history: list[tuple[str, bool]] = []

    for action, argument in actions:
        if action == "publish":
            world.publish("a", *(str(published + number) for number in range(argument)))
            published += argument
        elif action in ("accept", "fail") and flow.unacked:
            delivery = list(flow.unacked)[argument % len(flow.unacked)]
            if action == "accept":
                accepted.add(flow.unacked[delivery].spooled.message.body.decode())
            settle(world, flow, delivery, delivery, accept=action == "accept")
        elif action in ("lose", "restart"):
            history += [(payload, redelivered) for payload, redelivered, _ in consumer.sent]
            if action == "lose":
                queue.detach(flow, lost=bool(argument))
            else:
                world = world.restarted()
                queue = world.vpn.queues["q"]
            consumer = Consumer()
            flow = world.bind(queue, consumer)

    history += [(payload, redelivered) for payload, redelivered, _ in consumer.sent]
    expected = [str(number) for number in range(published) if str(number) not in accepted]
    assert [entry.spooled.message.body.decode() for entry in queue.entries] == expected
    assert {entry.spooled.message.body.decode() for entry in flow.unacked.values()} == set(expected)
    seen: set[str] = set()
    for payload, redelivered in history:
        assert payload not in seen or redelivered
        seen.add(payload)

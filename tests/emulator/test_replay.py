"""The rules of the replay log and of replays, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.core import configuration, replay
from crep.solace_emulator.core.log import Added, ConfigDeleted, ConfigSet, decode, encode
from crep.solace_emulator.core.queue import Queue
from crep.solace_emulator.core.refusal import Refused
from crep.solace_emulator.core.replay import After, Beginning, ReplayLog, ReplicationGroupMessageId, Since, Start
from crep.solace_emulator.core.settings import ReplayLogSettings
from crep.solace_emulator.session.consuming import start_of_replay
from crep.solace_emulator.smf import assured
from tests.emulator.fakes import Acknowledged, Consumer, MemoryLog, World, message

MEGABYTE = 1_000_000


def logged(world: World, *subscriptions: str, **settings: object) -> ReplayLog:
    """Make an open replay log; with subscriptions, for these topics only."""
    opened = {"ingress_enabled": True, "egress_enabled": True, "max_spool_usage": 1}
    values = ReplayLogSettings(**(opened | {"topic_filter_enabled": bool(subscriptions)} | settings))  # type: ignore[arg-type]
    configuration.create_replay_log(world.broker, world.vpn, "log", values)
    for subscription in subscriptions:
        path = ("default", "log", subscription)
        world.configure(ConfigSet(configuration.REPLAY_LOG_SUBSCRIPTION, path, {}))
    return log_of(world)


def log_of(world: World) -> ReplayLog:
    """The VPN's replay log."""
    assert world.vpn.replay_log is not None
    return world.vpn.replay_log


def start(world: World, queue: Queue, where: Start | None = None) -> None:
    """Replay into a queue."""
    replay.begin(queue, replay.plan(world.vpn, queue, where or Beginning()), world.now)
    world.broker.work()


def settle_all(world: World, consumer: Consumer, queue: Queue) -> None:
    """Accept everything that a queue's only flow has, as a session does."""
    (flow,) = queue.flows
    entries = flow.take(0, consumer.sent[-1][2])
    queue.replay.acknowledged(entries, queue.stats)
    queue.accept(entries)
    world.broker.work()


def payloads(log: ReplayLog) -> list[str]:
    """What a log has, oldest first."""
    return [one.spooled.message.body.decode() for one in log.messages]


def refusal(world: World, queue: Queue, where: Start | None = None) -> str:
    """The text that a replay is refused with."""
    with pytest.raises(Refused) as caught:
        replay.plan(world.vpn, queue, where or Beginning())
    return caught.value.text


# -- what is logged


def test_the_log_takes_what_no_queue_wants_and_keeps_what_queues_have_consumed() -> None:
    world = World()
    log = logged(world)
    consumer = Consumer()
    queue = world.queue("q", "a")
    world.bind(queue, consumer)
    world.publish("a", "1")
    world.publish("nobody/wants/it", "2")
    settle_all(world, consumer, queue)
    assert payloads(log) == ["1", "2"]
    assert world.vpn.spooled_count == 2
    assert log.spool_usage == world.vpn.spool_usage > 0


def test_a_message_that_its_publisher_was_refused_is_not_logged() -> None:
    world = World()
    log = logged(world)
    world.queue("full", "a", max_msg_size=1)
    told = Acknowledged()
    flow = world.broker.open_publisher(world.vpn)
    flow.owner = told
    world.publish("a", "too large", flow=flow)
    assert told.told == [(1, "Document Is Too Large")]
    profile = world.vpn.client_profiles["default"]
    values = {name: getattr(profile, name) for name in profile.__slots__}
    values["reject_msg_to_sender_on_no_subscription_match_enabled"] = True
    world.configure(ConfigSet(configuration.CLIENT_PROFILE, ("default", "default"), values))
    world.publish("nobody", "x", flow=flow)
    assert told.told[-1] == (2, "No Subscription Match")
    assert payloads(log) == []


def test_a_direct_message_is_logged_when_a_queue_takes_it_only() -> None:
    world = World()
    log = logged(world)
    world.queue("q", "a")
    world.vpn.publish_direct(world.publisher, message("a", "promoted"), b"")
    world.vpn.publish_direct(world.publisher, message("b", "not promoted"), b"")
    assert payloads(log) == ["promoted"]


def test_the_topic_filter_has_wildcards_and_exceptions() -> None:
    world = World()
    log = logged(world, "a/>", "!a/*/secret")
    for topic in ("a/1", "a/1/secret", "b"):
        world.publish(topic, topic)
    assert payloads(log) == ["a/1"]
    world.configure(ConfigDeleted(configuration.REPLAY_LOG_SUBSCRIPTION, ("default", "log", "!a/*/secret")))
    world.publish("a/1/secret", "now")
    assert payloads(log) == ["a/1", "now"]


@pytest.mark.parametrize("closed", [{"ingress_enabled": False}, {"max_spool_usage": 0}])
def test_a_log_that_is_shut_or_without_quota_takes_nothing_and_disturbs_nobody(closed: dict[str, object]) -> None:
    world = World()
    log = logged(world, **closed)
    queue = world.queue("q", "a")
    world.publish("a", "1")
    assert (len(log), len(queue)) == (0, 1)


@given(st.lists(st.integers(1, 600_000), max_size=12))
def test_the_log_stays_below_90_percent_of_its_quota_and_loses_the_oldest(sizes: list[int]) -> None:
    world = World()
    log = logged(world)
    for number, size in enumerate(sizes):
        world.publish("a", f"{number:03d}".ljust(size, "."))
        assert log.spool_usage < 0.9 * MEGABYTE
    ids = [one.id for one in log.messages]
    assert ids == list(range(len(sizes) + 1 - len(ids), len(sizes) + 1))
    assert len(ids) == world.vpn.spooled_count
    again = log_of(world.restarted())
    assert [one.id for one in again.messages] == ids
    assert again.spool_usage == log.spool_usage


def test_a_smaller_quota_trims_at_once() -> None:
    world = World()
    log = logged(world, max_spool_usage=2)
    world.publish("a", *(str(number).ljust(500_000, ".") for number in range(3)))
    configuration.change_replay_log(world.broker, world.vpn, log, ReplayLogSettings(max_spool_usage=1))
    assert [one.id for one in log.messages] == [3]


# -- replaying


def test_a_replay_ends_the_flows_replaces_what_the_queue_had_and_live_messages_join_behind() -> None:
    world = World()
    queue = world.queue("q", "a/>")
    world.publish("a/0", "before the log")
    logged(world)
    world.publish("a/1", "1", "2")
    world.publish("b", "not for the queue")
    consumer, again = Consumer(), Consumer()
    world.bind(queue, consumer)
    start(world, queue)
    assert consumer.ended == ["Replay Started"]
    world.publish("a/1", "live")
    world.bind(queue, again)
    assert [(payload, redelivered) for payload, redelivered, _ in again.sent] == [
        ("1", False),
        ("2", False),
        ("live", False),
    ]
    assert queue.stats.redelivered_msg_count == 0


def test_the_subscriptions_of_now_decide_what_is_replayed() -> None:
    world = World()
    logged(world)
    world.publish("a", "1")
    world.publish("b", "2")
    world.publish("b/secret", "3")
    late = world.queue("late", "b", "b/>", "!b/secret")
    start(world, late)
    assert [entry.spooled.message.topic for entry in late.entries] == ["b"]


def test_what_was_sent_to_a_queue_by_its_name_is_replayed_to_that_queue() -> None:
    world = World()
    logged(world)
    named, other = world.queue("named"), world.queue("other", ">")
    world.publish("#P2P/QUE/named", "1")
    start(world, named)
    start(world, other)
    assert (len(named), len(other)) == (1, 0)


def test_a_replay_starts_at_a_time_or_after_a_message() -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a")
    for number in range(4):
        world.now += 1000
        world.publish("a", str(number))
    start(world, queue, Since(world.now - 1000))
    assert [entry.id for entry in queue.entries] == [3, 4]
    start(world, queue, After(ReplicationGroupMessageId(world.broker.spool_id, 3)))
    assert [entry.id for entry in queue.entries] == [4]
    start(world, queue, Since(world.now + 1))
    assert (len(queue), queue.replay.state) == (0, "complete")


def test_start_points_that_are_not_in_the_log_are_refused() -> None:
    world = World()
    queue = world.queue("q", "a")
    assert refusal(world, queue) == "Replay Disabled"
    log = logged(world)
    world.publish("a", "1", "2")
    log.forget([1])
    spool = world.broker.spool_id
    assert refusal(world, queue, Since(log.created_at_ms - 1000)) == "Replay Start Time Not Available"
    assert refusal(world, queue, After(ReplicationGroupMessageId(spool, 1))) == "Replay Start Message Unavailable"
    assert refusal(world, queue, After(ReplicationGroupMessageId(spool ^ 1, 2))) == "Replay Start Message Unavailable"
    configuration.change_replay_log(world.broker, world.vpn, log, ReplayLogSettings(ingress_enabled=True))
    assert refusal(world, queue) == "Replay Disabled"


@pytest.mark.parametrize("limit", [{"max_msg_size": 2}, {"max_msg_spool_usage": 0}])
def test_a_replay_that_the_queue_has_no_room_for_is_refused_before_anything_is_deleted(limit: dict[str, int]) -> None:
    world = World()
    logged(world)
    world.publish("a", "large")
    queue = world.queue("q", "a", **limit)
    assert refusal(world, queue) == "Replayed Message Rejected by Queue"
    assert queue.replay.state is None


def test_a_message_that_is_replayed_while_it_waits_for_a_consumer_is_held_once() -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a")
    world.publish("a", "1")
    start(world, queue)
    start(world, queue)
    assert len(queue) == 1
    queue.delete_all()
    assert world.vpn.spooled_count == 1


def test_nothing_is_replayed_before_the_journal_knows_of_it() -> None:
    log = MemoryLog()
    world = World(log)
    logged(world)
    queue = world.queue("q", "a")
    consumer = Consumer()
    world.publish("a", "1")
    log.automatic = False
    start(world, queue)
    world.bind(queue, consumer)
    assert consumer.sent == []
    world.sync()
    assert consumer.payloads == ["1"]


# -- states


def test_a_replay_is_active_until_sent_pending_until_settled_then_complete() -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a")
    consumer = Consumer()
    world.publish("a", "1", "2")
    states = [queue.replay.state]
    start(world, queue)
    states.append(queue.replay.state)
    world.now += 5000
    world.bind(queue, consumer)
    states.append(queue.replay.state)
    assert queue.replay.last_transmitted_at_ms == world.now
    settle_all(world, consumer, queue)
    assert [*states, queue.replay.state] == [None, "active", "pending-complete", "complete"]
    assert queue.replay.completed_at_ms == world.now
    stats = queue.stats
    assert (stats.replay_start_count, stats.replay_success_count, stats.replay_failure_count) == (1, 1, 0)
    assert (stats.replayed_tx_msg_count, stats.replayed_acked_msg_count) == (2, 2)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda world, queue: log_of(world).trim_older_than(world.now + 1), "Replay Message Unavailable"),
        (
            lambda world, queue: world.configure(ConfigDeleted(configuration.REPLAY_LOG, ("default", "log"))),
            "Replay Log Modified",
        ),
        (
            lambda world, queue: configuration.change_replay_log(
                world.broker, world.vpn, log_of(world), ReplayLogSettings(max_spool_usage=1)
            ),
            "Replay Log Modified",
        ),
        (lambda world, queue: replay.fail(queue, Refused(503, "Replay Cancelled"), world.now), "Replay Cancelled"),
    ],
    ids=["trimmed", "deleted", "shut", "cancelled"],
)
def test_a_replay_that_fails_takes_its_messages_along_and_leaves_the_live_ones(spoil: object, reason: str) -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a")
    consumer = Consumer()
    world.publish("a", "1", "2", "3")
    start(world, queue)
    world.bind(queue, consumer, window=1)
    configuration.change_replay_log(
        world.broker, world.vpn, log_of(world), ReplayLogSettings(egress_enabled=True, max_spool_usage=1)
    )
    world.publish("a", "live")
    spoil(world, queue)  # type: ignore[operator]
    assert consumer.ended == [reason]
    assert (queue.replay.state, queue.replay.failure_reason) == ("failed", reason)
    assert [entry.spooled.message.body for entry in queue.entries] == [b"live"]
    assert (queue.stats.replay_failure_count, queue.stats.replay_success_count) == (1, 0)


def test_trimming_does_not_disturb_a_replay_that_has_passed_the_place() -> None:
    world = World()
    log = logged(world)
    queue = world.queue("q", "a")
    consumer = Consumer()
    world.publish("a", "1")
    start(world, queue)
    world.bind(queue, consumer)
    log.trim_older_than(world.now + 1)
    assert (consumer.ended, queue.replay.state, len(queue)) == ([], "pending-complete", 1)


def test_every_start_ends_in_success_or_failure() -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a")
    world.publish("a", "1")
    start(world, queue)
    start(world, queue)
    replay.refuse(queue, Refused(503, "Replay Start Time Not Available"), world.now)
    start(world, queue)
    queue.delete_all()
    stats = queue.stats
    assert (stats.replay_start_count, stats.replay_failure_count, stats.replay_success_count) == (4, 3, 1)


# -- clients


def test_clients_may_replay_to_exclusive_durable_queues_that_nobody_else_consumes_only() -> None:
    world = World()

    def text(queue: Queue, *, browser: bool = False) -> str:
        with pytest.raises(Refused) as caught:
            replay.check_client(queue, browser=browser)
        assert caught.value.code == 403
        return caught.value.text

    plain, taken = world.queue("plain"), world.queue("taken")
    shared = world.queue("shared", access_type="non-exclusive")
    temporary = configuration.create_queue(
        world.broker, world.vpn, "#P2P/QTMP/t", plain.settings, durable=False, managed=False
    )
    world.bind(taken, Consumer())
    replay.check_client(plain, browser=False)
    assert text(plain, browser=True) == "Client Initiated Replay from Browser Flow Not Allowed"
    assert text(shared) == "Client Initiated Replay Not Allowed on Non-Exclusive Queue"
    assert text(taken) == "Client Initiated Replay from Inactive Flow Not Allowed"
    assert text(temporary) == "Replay Not Supported on Temporary Queue"


# -- codecs


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_replication_group_message_id_is_read_as_it_is_written(spool: int, number: int) -> None:
    written = ReplicationGroupMessageId(spool, number)
    assert ReplicationGroupMessageId.parse(str(written).upper().replace("RMID", "rmid")) == written


@pytest.mark.parametrize("wrong", ["", "rmid1:", "rmid2:00000-00000000000-00000000-00000001", "x" * 41])
def test_what_is_no_replication_group_message_id_is_said_so(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no replication group message id like rmid1:"):
        ReplicationGroupMessageId.parse(wrong)


SEEN = bytes.fromhex("0118867251edfa0000")  # what the official client sends for 2026-01-01


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (b"\0", Beginning()),
        (SEEN, Since(1_767_225_600_000)),
        (b"\1" + (1_000_001).to_bytes(8, "big"), Since(2)),
        (b"\2" + bytes(7) + b"\5" + bytes(7) + b"\6", After(ReplicationGroupMessageId(5, 6))),
    ],
)
def test_the_start_points_of_a_bind_are_read(asked: bytes, where: Start) -> None:
    assert start_of_replay({assured.START_REPLAY: asked}) == where


@pytest.mark.parametrize("asked", [b"", b"\0\0", b"\1", b"\1" + bytes(7), b"\2" + bytes(8), b"\3", b"\xff" + bytes(40)])
def test_an_unknown_start_point_is_refused_as_such(asked: bytes) -> None:
    assert start_of_replay({}) is None
    with pytest.raises(Refused, match="403 Unknown Start Location Type"):
        start_of_replay({assured.START_REPLAY: asked})


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_a_record_of_a_replay_is_read_as_it_is_written(queue: int, ids: list[int]) -> None:
    record = Added(queue, tuple(ids))
    assert decode(encode(record)) == record

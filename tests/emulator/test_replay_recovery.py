"""The replay log and what was replayed, through crashes, a full disk and compaction."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.core import configuration, replay
from crep.solace_emulator.core.log import ConfigDeleted
from crep.solace_emulator.core.refusal import Refused
from crep.solace_emulator.core.replay import After, Beginning, ReplicationGroupMessageId
from crep.solace_emulator.core.settings import ReplayLogSettings
from tests.emulator.fakes import Consumer, MemoryLog, World, message
from tests.emulator.test_compaction import Running
from tests.emulator.test_replay import log_of, logged, payloads, settle_all, start


def test_the_log_its_filter_and_replayed_messages_survive_a_crash() -> None:
    world = World()
    log = logged(world, "a/>")
    queue = world.queue("q", "a/>", respect_ttl_enabled=True)
    consumer = Consumer()
    world.bind(queue, consumer)
    world.publish("a/1", "1", "2", ttl=60_000)
    settle_all(world, consumer, queue)
    start(world, queue)
    queue.forget([1])
    again = world.restarted()
    found = again.vpn.queues["q"]
    assert [entry.id for entry in found.entries] == [2]
    assert [entry.expires_at_ms for entry in found.entries] == [entry.expires_at_ms for entry in queue.entries]
    assert payloads(log_of(again)) == ["1", "2"]
    assert log_of(again).created_at_ms == log.created_at_ms
    assert list(log_of(again).subscriptions) == ["a/>"]
    assert again.broker.spool_id == world.broker.spool_id != World().broker.spool_id
    again.publish("b", "filtered")
    start(again, found)
    assert [entry.id for entry in found.entries] == [1, 2]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["a", "b"])),
        st.tuples(st.sampled_from(["settle", "trim", "replay"]), st.integers(0, 12)),
        st.sampled_from([("compact", 0), ("fail", 0), ("restart", 0)]),
    ),
    max_size=25,
)


@given(ACTIONS)
def test_a_queue_has_after_a_crash_what_it_had_before_whatever_was_replayed_into_it(
    actions: list[tuple[str, str | int]],
) -> None:
    world = World()
    logged(world)
    world.queue("q", "a")
    for action, argument in actions:
        if action == "restart":
            before = contents(world)
            world = world.restarted()
            assert contents(world) == before
        else:
            act(world, action, argument)
        held, kept = contents(world)
        assert world.vpn.spooled_count == len({*held, *kept})


def contents(world: World) -> tuple[list[int], list[int]]:
    """The messages of the queue and of the log, in order."""
    held, kept = [entry.id for entry in world.vpn.queues["q"].entries], [one.id for one in log_of(world).messages]
    assert held == sorted(held)
    assert kept == sorted(kept)
    return held, kept


def act(world: World, action: str, argument: str | int) -> None:
    """Do something to the queue or the log; ``argument`` is a topic or a message."""
    queue, log = world.vpn.queues["q"], log_of(world)
    if isinstance(argument, str):
        world.publish(argument, "x")
    elif action == "settle":
        queue.forget([argument])
    elif action == "trim":
        log.forget([argument])
    elif action == "fail" and queue.replay.unsettled:
        replay.fail(queue, Refused(503, "Replay Failed"), world.now)
    elif action == "compact" and (found := next(iter(queue.entries), None)) is not None:
        world.broker.respool(found.spooled)
    elif action == "replay":
        where = After(ReplicationGroupMessageId(world.broker.spool_id, argument)) if log.find(argument) else None
        start(world, queue, where)


def test_a_deleted_log_is_gone_with_its_messages_also_after_a_crash() -> None:
    world = World()
    logged(world)
    world.publish("a", "1")
    world.configure(ConfigDeleted(configuration.REPLAY_LOG, ("default", "log")))
    for one in (world, world.restarted()):
        assert one.vpn.replay_log is None
        assert one.vpn.spooled_count == 0


def test_a_deleted_vpn_takes_its_log_along() -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a")
    world.publish("a", "1")
    start(world, queue)
    world.configure(ConfigDeleted(configuration.VPN, ("default",)))
    assert world.broker.vpns == world.broker.replay_logs_by_number == world.broker.queues_by_number == {}
    assert world.broker.live.count(world.log.segment) == 0


def test_a_message_refused_for_a_full_disk_leaves_the_log_and_the_queues_that_it_was_replayed_to() -> None:
    log = MemoryLog()
    world = World(log)
    replay_log = logged(world)
    log.automatic = False
    world.publish("a", "1")
    late = world.queue("late", "a")
    start(world, late)
    unwritten = log.records[log.durable :]
    del log.records[log.durable :]
    world.broker.on_full(log.durable, unwritten)
    assert (len(replay_log), len(late), world.vpn.spooled_count) == (0, 0, 0)


def test_the_log_and_what_is_replayed_survive_compaction(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        running = Running(tmp_path)
        running.make("q")
        queue, vpn = running.vpn.queues["q"], running.vpn
        configuration.subscribe_queue(running.broker, vpn, queue, "a")
        settings = ReplayLogSettings(ingress_enabled=True, egress_enabled=True, max_spool_usage=1)
        configuration.create_replay_log(running.broker, vpn, "log", settings)
        assert vpn.replay_log is not None
        for _ in range(5):
            running.broker.spool(vpn, message("a", "x" * 1000), [vpn.replay_log], None, 0)
        first = running.journal.oldest
        for turn in range(60):
            if turn in (2, 30):
                replay.begin(queue, replay.plan(vpn, queue, Beginning()), 0)
                queue.forget([2])
            running.broker.spool(vpn, message("b", "y" * 10_000), [vpn.replay_log], None, 0)
            vpn.replay_log.forget([one.id for one in vpn.replay_log.messages if one.topic == "b"])
            for _ in range(3):
                await running.settled()
                running.compaction.step()
        assert running.journal.oldest > first + 10
        kept = [entry.id for entry in queue.entries]
        running.commit.close()
        return kept

    async def again() -> tuple[list[int], list[int]]:
        running = Running(tmp_path)
        assert running.vpn.replay_log is not None
        held = [entry.id for entry in running.vpn.queues["q"].entries]
        found = [one.id for one in running.vpn.replay_log.messages]
        assert [one.spooled.message.topic for one in running.vpn.replay_log.messages] == ["a"] * 5
        running.commit.close()
        return held, found

    assert asyncio.run(scenario()) == [1, 3, 4, 5]
    assert asyncio.run(again()) == ([1, 3, 4, 5], [1, 2, 3, 4, 5])

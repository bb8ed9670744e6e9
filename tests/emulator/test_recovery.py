"""A broker rebuilt from its records is the broker that wrote them."""

from __future__ import annotations

import pytest

from crep.solace_emulator.core import access, configuration
from crep.solace_emulator.core.log import ConfigDeleted, ConfigSet
from crep.solace_emulator.core.settings import UsernameSettings
from tests.emulator.fakes import Consumer, MemoryLog, World


def bodies(world: World, name: str) -> list[str]:
    """What a queue holds, in order."""
    return [entry.spooled.message.body.decode() for entry in world.vpn.queues[name].entries]


def test_queues_made_after_a_restart_are_not_taken_for_those_before_it() -> None:
    world = World()
    world.queue("first", "a")
    world = world.restarted()
    world.queue("second", "b")
    world.publish("a", "1")
    world.publish("b", "2")
    world = world.restarted()
    assert (bodies(world, "first"), bodies(world, "second")) == (["1"], ["2"])


def test_a_snapshot_says_the_whole_configuration() -> None:
    world = World()
    world.queue("q", "a/>", "!a/b", max_redelivery_count=3)
    world.configure(ConfigSet(configuration.ACL_EXCEPTION, ("default", "default", access.PUBLISH, "x/>"), {}))
    world.queue("gone", "z")
    world.configure(ConfigDeleted(configuration.QUEUE, ("default", "gone")))
    snapshot = list(world.broker.snapshot())
    rebuilt = World(MemoryLog(snapshot, durable=len(snapshot)))
    assert list(configuration.snapshot(rebuilt.broker)) == list(configuration.snapshot(world.broker))
    assert set(rebuilt.vpn.queues) == {"q"}
    assert not rebuilt.vpn.acl_profiles["default"].may_publish("x/y", "anybody")


def test_a_deleted_queue_and_its_messages_stay_gone_and_a_new_one_of_its_name_is_empty() -> None:
    world = World()
    queue = world.queue("q", "a")
    world.publish("a", "1")
    configuration.delete_queue(world.broker, world.vpn, queue)
    world.queue("q", "a")
    world.publish("a", "2")
    assert bodies(world.restarted(), "q") == ["2"]


def damaged(world: World, keep: int) -> World:
    """Restart on the first ``keep`` records and what a new segment after all of them begins with."""
    left = world.log.records[:keep] + list(world.broker.snapshot())
    return World(MemoryLog(left, durable=len(left)))


def test_what_was_deleted_within_a_damaged_part_does_not_come_back() -> None:
    world = World()
    world.queue("gone", "a")
    kept = world.queue("kept", "a", "b")
    world.configure(ConfigSet(configuration.ACL_EXCEPTION, ("default", "default", access.PUBLISH, "x"), {}))
    whole = len(world.log.records)
    world.configure(ConfigDeleted(configuration.QUEUE, ("default", "gone")))
    world.configure(ConfigDeleted(configuration.ACL_EXCEPTION, ("default", "default", access.PUBLISH, "x")))
    configuration.unsubscribe_queue(world.broker, world.vpn, kept, "b")
    rebuilt = damaged(world, whole)
    assert list(configuration.snapshot(rebuilt.broker)) == list(configuration.snapshot(world.broker))
    assert set(rebuilt.vpn.queues) == {"kept"}


def test_a_queue_made_anew_within_a_damaged_part_takes_what_was_sent_to_the_new_one() -> None:
    world = World()
    old = world.queue("q", "a")
    world.publish("a", "to the old one")
    whole = len(world.log.records)
    configuration.delete_queue(world.broker, world.vpn, old)
    world.queue("q", "a")
    rebuilt = damaged(world, whole)
    rebuilt.publish("a", "to the new one")
    assert bodies(rebuilt.restarted(), "q") == ["to the new one"]
    assert rebuilt.vpn.queues["q"].number == world.vpn.queues["q"].number


def test_a_message_moved_to_the_dead_message_queue_is_in_exactly_one_queue_and_does_not_expire_there() -> None:
    world = World()
    world.queue("grave", respect_ttl_enabled=True)
    queue = world.queue("q", "a", dead_msg_queue="grave", respect_ttl_enabled=True)
    world.publish("a", "old", ttl=1000)
    world.now += 1001
    world.broker.tick()
    assert len(queue) == 0
    world = world.restarted()
    world.now += 1_000_000
    world.broker.tick()
    assert (bodies(world, "q"), bodies(world, "grave")) == ([], ["old"])


def test_after_a_clean_stop_only_delivered_messages_are_flagged_and_their_count_goes_on() -> None:
    world = World()
    queue = world.queue("q", "a", max_redelivery_count=1)
    world.bind(queue, Consumer(), window=1)
    world.publish("a", "delivered", "not delivered")
    for record in world.broker.last_words():
        world.log.append(record)
    stopped = world.restarted()
    consumer = Consumer()
    flow = stopped.bind(stopped.vpn.queues["q"], consumer)
    assert [(payload, redelivered) for payload, redelivered, _ in consumer.sent] == [
        ("delivered", True),
        ("not delivered", False),
    ]
    flow.queue.give_back(flow.take(0, consumer.sent[-1][2]))
    assert bodies(stopped, "q") == ["not delivered"]


def test_after_a_crash_everything_is_flagged_for_it_may_have_been_delivered() -> None:
    world = World()
    world.queue("q", "a")
    world.publish("a", "1")
    for record in world.broker.last_words():
        world.log.append(record)
    world = world.restarted().restarted()
    consumer = Consumer()
    world.bind(world.vpn.queues["q"], consumer)
    assert [(payload, redelivered) for payload, redelivered, _ in consumer.sent] == [("1", True)]


def test_a_copy_written_by_a_compaction_changes_nothing() -> None:
    world = World()
    one = world.queue("one", "a")
    world.queue("two", "a")
    world.publish("a", "1", "2")
    first = next(iter(one.entries))
    one.accept([first])
    world.log.segment = 2
    world.broker.respool(first.spooled)
    rebuilt = world.restarted()
    assert (bodies(rebuilt, "one"), bodies(rebuilt, "two")) == (["2"], ["1", "2"])
    assert rebuilt.vpn.spool_usage == world.vpn.spool_usage


@pytest.mark.parametrize(("given", "opens"), [("right", True), ("wrong", False), ("", False)])
def test_passwords_survive_as_seals(given: str, opens: bool) -> None:
    world = World()
    sealed = access.seal("right")
    settings = UsernameSettings(enabled=True, password=sealed)
    world.configure(
        ConfigSet(
            configuration.USERNAME,
            ("default", "u"),
            {"enabled": True, "password": sealed}
            | {"acl_profile_name": settings.acl_profile_name, "client_profile_name": settings.client_profile_name},
        )
    )
    assert access.opens(world.restarted().vpn.usernames["u"].password, given) is opens

"""A large replay is prepared step by step, and so is a large deletion: here with one message in each step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.core import configuration, replay
from crep.solace_emulator.core import queue as queues
from crep.solace_emulator.core.log import ConfigDeleted
from crep.solace_emulator.core.queue import Queue
from crep.solace_emulator.core.refusal import Refused
from crep.solace_emulator.session.consuming import Consuming
from crep.solace_emulator.smf import assured
from tests.emulator.fakes import Consumer, MemoryLog, World
from tests.emulator.test_replay import log_of, logged, settle_all, start

MANY_TURNS = 200


@pytest.fixture(autouse=True, scope="module")
def _one_message_in_a_step() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queues, "_STEP", 1)
        yield


def through(world: World, queue: Queue) -> int:
    """Let turns pass until a queue's tasks are through; return how many."""
    for turn in range(MANY_TURNS):
        if not queue.tasks.busy:
            return turn
        world.broker.work()
    raise AssertionError("the queue's tasks do not end")


def bodies(queue: Queue) -> list[str]:
    """What a queue has, in order."""
    return [entry.spooled.message.body.decode() for entry in queue.entries]


def prepared(world: World, *, consumer: Consumer | None = None, count: int = 3) -> Queue:
    """A queue with some logged messages, into which a replay has begun."""
    logged(world)
    queue = world.queue("q", "a")
    world.publish("a", *(str(number) for number in range(1, count + 1)))
    replay.begin(queue, replay.plan(world.vpn, queue, replay.Beginning()), world.now)
    if consumer is not None:
        world.bind(queue, consumer)
    return queue


def test_others_have_their_turn_between_two_steps() -> None:
    world = World()
    queue = prepared(world)
    assert queue.replay.state == "initializing"
    other, consumer = world.queue("other", "b"), Consumer()
    world.bind(other, consumer)
    world.publish("b", "served")
    assert (consumer.payloads, queue.tasks.busy) == (["served"], True)
    assert through(world, queue) > 0
    assert queue.replay.state == "active"


def test_live_messages_wait_behind_those_that_are_still_to_be_put_in() -> None:
    world, consumer = World(), Consumer()
    queue = prepared(world, consumer=consumer, count=5)
    world.publish("a", "live 0", "live 1")
    world.publish("a", "live 2", "live 3")
    assert queue.tasks.busy
    assert consumer.sent == []
    through(world, queue)
    world.broker.work()
    assert consumer.payloads == ["1", "2", "3", "4", "5", "live 0", "live 1", "live 2", "live 3"]
    assert not any(redelivered for _, redelivered, _ in consumer.sent)
    assert bodies(queue) == consumer.payloads
    settle_all(world, consumer, queue)
    assert queue.replay.state == "complete"


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("how", ["cancelled", "trimmed", "deleted", "queue deleted"])
def test_a_replay_that_fails_while_it_is_prepared_leaves_what_was_published_and_no_trace(how: str, turns: int) -> None:
    world, consumer = World(), Consumer()
    queue = prepared(world, consumer=consumer)
    for _ in range(turns):
        world.broker.work()
    world.publish("a", "live")
    initializing = queue.replay.state == "initializing"
    if how == "cancelled":
        replay.fail(queue, Refused(503, "Replay Cancelled"), world.now)
    elif how == "trimmed":
        log_of(world).forget([3])
        replay.fail(queue, Refused(503, "Replay Message Unavailable"), world.now)
    elif how == "deleted":
        world.configure(ConfigDeleted(configuration.REPLAY_LOG, ("default", "log")))
    else:
        configuration.delete_queue(world.broker, world.vpn, queue)
    through(world, queue)
    for _ in range(MANY_TURNS):
        world.broker.work()
    if initializing:
        assert len(consumer.ended) == 1
    held = [] if how == "queue deleted" else ["live"]
    if how == "deleted" and not initializing:  # sent already: the replay goes on without its log
        held = ["1", "2", "3", "live"]
    assert bodies(queue) == held
    for one in (world, world.restarted()):
        kept = log_of(one).messages if one.vpn.replay_log is not None else ()
        found = one.vpn.queues["q"].entries if "q" in one.vpn.queues else ()
        assert one.vpn.spooled_count == len({m.id for m in kept} | {entry.id for entry in found})
        assert [entry.spooled.message.body.decode() for entry in found] == held


def test_a_second_replay_takes_the_place_of_one_that_is_being_prepared() -> None:
    world, consumer = World(), Consumer()
    queue = prepared(world)
    world.broker.work()
    world.publish("a", "live, and replayed")
    start(world, queue)
    world.publish("a", "live")
    through(world, queue)
    world.bind(queue, consumer)
    assert consumer.payloads == ["1", "2", "3", "live, and replayed", "live"]
    assert (queue.stats.replay_start_count, queue.stats.replay_failure_count) == (2, 1)


def test_a_crash_while_a_replay_is_prepared_loses_nothing_that_was_published() -> None:
    world = World()
    queue = prepared(world)
    while queue.tasks.busy:
        world.publish("a", "live")
        again = world.restarted()
        found = bodies(again.vpn.queues["q"])
        assert found.count("live") == bodies(queue).count("live")
        assert found == sorted(found)
        assert len(log_of(again)) == len(log_of(world))


def test_expiry_and_new_partitions_wait_for_a_deletion_or_bring_it_to_its_end() -> None:
    world = World()
    queue = world.queue("q", "a", respect_ttl_enabled=True, dead_msg_queue="grave")
    grave = world.queue("grave")
    world.publish("a", "1", "2", "3", ttl=1000)
    queue.delete_all()
    world.now += 2000
    world.broker.tick()
    through(world, queue)
    assert (len(queue), len(grave), queue.stats.deleted_msg_count) == (0, 0, 3)
    world.publish("a", "4", "5", "6")
    queue.delete_all()
    world.publish("a", "7")
    settings = dataclasses.replace(queue.settings, access_type="non-exclusive", partition_count=2)
    configuration.change_queue(world.broker, world.vpn, queue, settings)
    assert (bodies(queue), queue.tasks.busy) == (["7"], False)


ACTIONS = st.lists(
    st.sampled_from(["publish", "turn", "replay", "cancel", "delete", "settle", "restart"]), min_size=4, max_size=30
)


@given(ACTIONS)
def test_whatever_happens_between_two_steps_the_queue_ends_with_what_it_should_have(actions: list[str]) -> None:
    """Against a model that does everything at once."""
    world, log, held, replayed = World(), list[str](), list[str](), set[str]()
    logged(world)
    queue = world.queue("q", "a")
    for number, action in enumerate(actions):
        if action == "publish":
            name = f"{number:03}"
            world.publish("a", name)
            log.append(name)
            held.append(name)
        elif action == "turn":
            world.broker.work()
        elif action == "replay":
            replay.begin(queue, replay.plan(world.vpn, queue, replay.Beginning()), world.now)
            held, replayed = list(log), set(log)
        elif action == "cancel" and queue.replay.under_way:
            replay.fail(queue, Refused(503, "Replay Cancelled"), world.now)
            held = [name for name in held if name not in replayed]
        elif action == "delete" and not queue.replay.preparing:
            queue.delete_all()
            held = []
        elif action == "settle" and not queue.tasks.busy and held:
            queue.forget([next(iter(queue.entries)).id])
            held = held[1:]
        elif action == "restart" and not queue.tasks.busy:
            world = world.restarted()
            queue, replayed = world.vpn.queues["q"], set()
    through(world, queue)
    consumer = Consumer()
    world.bind(queue, consumer)
    world.broker.work()
    assert bodies(queue) == held == consumer.payloads
    assert world.vpn.spooled_count == len(log) == len(log_of(world))


class Bind:
    """A client's bind with a replay of everything. ``answers`` notes what it is told, ``frames`` counts what else."""

    def __init__(self, world: World) -> None:
        self.answers: list[str] = []
        self.frames: list[bytes] = []
        self.peer = "127.0.0.1:1"
        self.buffered = 0
        self.certificate_name: str | None = None
        consuming = Consuming(world.broker, world.vpn, world.publisher, self)
        asked = ((assured.QUEUE_NAME, b"q\0"), (assured.START_REPLAY, assured.REPLAY_ALL))
        request = assured.AssuredCtrl(4, assured.BIND, asked)
        consuming.bind(
            request, lambda _: self.answers.append("bound"), lambda refused: self.answers.append(refused.text)
        )

    def send(self, frame: bytes) -> None:
        """Note a frame."""
        self.frames.append(frame)

    def close(self, _: str) -> None:
        """Do nothing."""

    def accept_large_frames(self) -> None:
        """Do nothing."""

    def expect_keep_alives(self, _: int) -> None:
        """Do nothing."""


def with_replay() -> tuple[World, Queue, Bind]:
    """A client that has just asked for a replay of three messages."""
    log = MemoryLog()
    world = World(log)
    logged(world)
    queue = world.queue("q", "a")
    world.publish("a", "1", "2", "3")
    log.automatic = False
    return world, queue, Bind(world)


def test_a_client_is_bound_when_its_replay_is_prepared_and_durable() -> None:
    world, queue, bind = with_replay()
    through(world, queue)
    world.broker.work()
    assert (bind.answers, len(queue)) == ([], 3)
    world.sync()
    assert bind.answers == ["bound"]
    assert len(world.restarted().vpn.queues["q"]) == 3


@pytest.mark.parametrize("prepared", [False, True])
def test_a_client_whose_replay_fails_before_it_is_bound_is_refused_and_told_nothing_else(prepared: bool) -> None:
    world, queue, bind = with_replay()
    if prepared:
        through(world, queue)
    replay.fail(queue, Refused(503, "Replay Cancelled"), world.now)
    through(world, queue)
    world.sync()
    assert (bind.answers, bind.frames, queue.flows) == (["Replay Cancelled"], [], ())

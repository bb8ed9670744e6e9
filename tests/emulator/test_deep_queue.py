"""A queue may be much larger than the memory: what is not needed soon lies in the journal, and comes back whole."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path

import pytest

from bench.emulator_depth import measure
from crep.solace_emulator.core import configuration
from crep.solace_emulator.core.bodies import Bodies
from crep.solace_emulator.core.broker import Broker
from crep.solace_emulator.core.entry import Live, SpooledMessage
from crep.solace_emulator.core.flow import ConsumerFlow
from crep.solace_emulator.core.log import Unreadable, decode
from crep.solace_emulator.core.queue import Queue
from crep.solace_emulator.core.recovery import RecoveryLog, recover
from crep.solace_emulator.core.settings import QueueSettings
from crep.solace_emulator.journal import segments
from crep.solace_emulator.journal.commit import GroupCommit
from crep.solace_emulator.journal.compaction import Compaction
from crep.solace_emulator.journal.store import Journal, read_all
from tests.emulator.fakes import Consumer, MemoryLog, World, message
from tests.emulator.test_replay import logged, start

SEGMENT = 256 * 1024
BUDGET = 64 * 1024


class Disk:
    """A broker over a real journal, with little memory for messages; every step of the event loop is the test's."""

    def __init__(self, folder: Path, *, budget: int = BUDGET, segment_bytes: int = SEGMENT) -> None:
        self.folder = folder
        self.scheduled = 0
        self.now = 1_000_000
        log = RecoveryLog(segments.Reader(folder).read)
        self.broker = Broker(log, lambda: self.now, self._schedule, router="test", resident_bytes=budget)
        self.recovered = recover(self.broker, log, ((place, decode(record)) for place, record in read_all(folder)))
        self.journal = Journal(folder, self.broker.snapshot, segment_bytes=segment_bytes)
        self.commit = GroupCommit(self.journal, "never", self.broker, self._fail)
        self.compaction = Compaction(self.broker, self.journal, self.commit, segment_bytes=segment_bytes)
        self.broker.start(self.commit)

    def _schedule(self) -> None:
        self.scheduled += 1

    @staticmethod
    def _fail(error: OSError) -> None:
        raise error

    def queue(self, name: str = "q", **settings: object) -> Queue:
        """The queue of this name, made if need be."""
        vpn = self.broker.vpns["default"]
        if name not in vpn.queues:
            values = QueueSettings(**({"ingress_enabled": True, "egress_enabled": True} | settings))  # type: ignore[arg-type]
            configuration.create_queue(self.broker, vpn, name, values, durable=True, managed=True)
        return vpn.queues[name]

    async def spool(self, queue: Queue, first: int, count: int, *, ttl: int = 0, size: int = 1000) -> None:
        """Spool numbered messages of one size."""
        for number in range(first, first + count):
            payload = f"{number}:".ljust(size, "x")
            self.broker.spool(self.broker.vpns["default"], message("a", payload, ttl=ttl), [queue], None, 0)
            if number % 200 == 0:
                await self.turn()
        await self.turn()

    async def turn(self) -> None:
        """Let what was appended be written, and the broker do its work."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.broker.work()

    async def close(self) -> None:
        """Write the rest and close."""
        await self.turn()
        self.commit.close()

    def bind(self, queue: Queue, consumer: Consumer, *, window: int = 255, browser: bool = False) -> ConsumerFlow:
        """Bind a flow with an open window."""
        number = self.broker.next_number()
        flow = ConsumerFlow(consumer, queue, number, browser=browser, now_ms=self.now)
        flow.active = queue.attach(flow, None)
        flow.transport_ack(None, window)
        return flow

    async def drain(self, queue: Queue, consumer: Consumer) -> None:
        """Accept everything that comes; at most as many turns as there are messages."""
        flow = self.bind(queue, consumer)
        for _ in range(len(queue) + 1):
            if not len(queue):
                return
            await self.turn()
            if flow.unacked:
                last = flow.last_sent
                queue.accept(flow.take(0, last))
                flow.transport_ack(last, 255)
                self.broker.wake(queue)
        raise AssertionError("the queue does not become empty")


def numbers(consumer: Consumer) -> list[int]:
    """The numbers of the messages that came; each must be whole."""
    assert {len(payload) for payload in consumer.payloads} <= {1000}
    return [int(payload.partition(":")[0]) for payload in consumer.payloads]


def resident(queue: Queue) -> int:
    """How many of a queue's messages are in memory."""
    return sum(entry.spooled.resident for entry in queue.entries)


@pytest.mark.emulator
def test_a_deep_queue_takes_a_fraction_of_its_size_in_memory_and_comes_back_in_order_after_a_kill() -> None:
    count, size = 30_000, 8192
    depth = measure(count, size, lambda _: None)  # fails where a message is missing or out of order
    payload_mb = count * size / 2**20
    assert depth.filled_mb < payload_mb / 2
    assert depth.recovered_mb < payload_mb / 3
    assert depth.drained_mb < payload_mb / 2
    assert depth.journal_full_mb > payload_mb
    assert depth.journal_empty_mb < payload_mb / 3


def test_a_deep_queue_is_delivered_whole_and_in_order_before_and_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path)
        await disk.spool(disk.queue(), 0, 2000)
        assert resident(disk.queue()) * 1000 <= BUDGET
        consumer = Consumer()
        flow = disk.bind(disk.queue(), consumer, window=100)
        await disk.turn()
        disk.queue().accept(flow.take(0, flow.last_sent))
        assert numbers(consumer) == list(range(100))
        await disk.close()

    async def again() -> list[int]:
        disk = Disk(tmp_path)
        consumer = Consumer()
        await disk.drain(disk.queue(), consumer)
        await disk.close()
        return numbers(consumer)

    asyncio.run(scenario())
    assert asyncio.run(again()) == list(range(100, 2000))


def test_the_journal_of_a_drained_queue_shrinks_to_what_a_new_one_takes(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path)
        await disk.spool(disk.queue(), 0, 3000)
        full = disk.journal.total_bytes
        await disk.drain(disk.queue(), Consumer())
        await disk.turn()
        disk.compaction.step()
        assert full > 10 * SEGMENT
        assert disk.journal.total_bytes < 2 * SEGMENT
        assert len(list(tmp_path.glob("journal-*"))) <= 2
        await disk.close()

    asyncio.run(scenario())


def test_a_consumer_that_keeps_up_is_served_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path)
        await disk.spool(disk.queue("deep"), 0, 500)
        queue, consumer = disk.queue(), Consumer()
        flow = disk.bind(queue, consumer)
        reads: list[int] = []
        monkeypatch.setattr(disk.journal, "read", lambda *place: reads.append(place[0]))
        for first in range(0, 600, 20):
            await disk.spool(queue, first, 20)
            await disk.turn()
            queue.accept(flow.take(0, flow.last_sent))
            flow.transport_ack(flow.last_sent, 255)
        assert numbers(consumer) == list(range(600))
        assert reads == []
        await disk.close()

    asyncio.run(scenario())


def test_one_turn_reads_no_more_than_keeps_it_short_and_no_queue_waits_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path, budget=0)
        size = 100_000
        consumers = {name: Consumer() for name in ("one", "two", "three")}
        for name in consumers:
            await disk.spool(disk.queue(name), 0, 60, size=size)
        for name, consumer in consumers.items():
            disk.bind(disk.queue(name), consumer)
        for turns in range(1, 20):
            before, disk.scheduled = sum(len(one.sent) for one in consumers.values()), 0
            disk.broker.work()
            read = sum(len(one.sent) for one in consumers.values()) - before
            assert read * size <= 1024 * 1024 + size
            if turns == 3:
                assert all(one.sent for one in consumers.values())
            if all(len(one.sent) == 60 for one in consumers.values()):
                break
            assert disk.scheduled, "there is more, and nobody goes on with it"
        assert [len(one.sent) for one in consumers.values()] == [60, 60, 60]
        await disk.close()

    asyncio.run(scenario())


def test_a_browser_and_a_dead_message_queue_get_what_lies_on_the_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path)
        disk.queue("grave")
        queue = disk.queue(dead_msg_queue="grave", respect_ttl_enabled=True)
        await disk.spool(queue, 0, 1500, ttl=1000)
        browser = Consumer()
        disk.bind(queue, browser, window=1500, browser=True)
        for _ in range(5):
            await disk.turn()
        assert numbers(browser) == list(range(1500))
        disk.now += 2000
        disk.broker.tick()
        assert 0 < len(queue) < 1500, "a turn buries only so many"
        for _ in range(5):
            await disk.turn()
        assert len(queue) == 0
        heir = Consumer()
        await disk.drain(disk.queue("grave"), heir)
        assert numbers(heir) == list(range(1500))
        await disk.close()

    asyncio.run(scenario())


def test_compaction_copies_what_lies_on_the_disk_and_the_segment_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path)
        slow, fast = disk.queue("slow"), disk.queue("fast")
        await disk.spool(slow, 0, 20)
        for _ in range(30):
            await disk.spool(fast, 0, 100)
            fast.delete_all()
            await disk.turn()
            disk.compaction.step()
            await disk.turn()
        assert disk.journal.oldest > 1
        assert disk.journal.total_bytes < 8 * SEGMENT
        await disk.spool(fast, 0, 100)
        assert resident(slow) < 20, "a copy does not stay in memory for good"
        await disk.close()

    async def again() -> list[int]:
        disk = Disk(tmp_path)
        consumer = Consumer()
        await disk.drain(disk.queue("slow"), consumer)
        await disk.close()
        return numbers(consumer)

    asyncio.run(scenario())
    assert asyncio.run(again()) == list(range(20))


@pytest.mark.parametrize("harm", ["length", "body", "other", "cut"])
def test_a_message_that_is_damaged_on_the_disk_is_named_and_never_delivered_as_something_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    async def scenario() -> tuple[list[int], SpooledMessage]:
        disk = Disk(tmp_path, segment_bytes=32 * 1024 * 1024)
        queue, other = disk.queue(), disk.queue("other")
        await disk.spool(queue, 0, 300)
        await disk.spool(other, 0, 1)
        harmed = list(queue.entries)[10].spooled
        path = segments.path_of(tmp_path, harmed.segment)
        raw = bytearray(path.read_bytes())
        if harm == "length":
            raw[harmed.offset : harmed.offset + 4] = b"\xff\xff\xff\xff"
        elif harm == "body":
            raw[harmed.offset + 500] ^= 1
        elif harm == "other":
            neighbour = list(queue.entries)[11].spooled.offset
            raw[harmed.offset : neighbour] = raw[neighbour : 2 * neighbour - harmed.offset]
        else:
            del raw[harmed.offset + 100 :]
        path.write_bytes(raw)
        consumer = Consumer()
        await disk.drain(queue, consumer)
        return numbers(consumer), harmed

    with caplog.at_level(logging.ERROR):
        came, harmed = asyncio.run(scenario())
    assert 10 not in came
    assert came == sorted(set(came))
    if harm != "cut":
        assert came == [*range(10), *range(11, 300)]
    lost = [record.getMessage() for record in caplog.records]
    assert f"message {harmed.id} is lost: journal segment {harmed.segment}, bytes {harmed.offset} to" in lost[0]


def test_a_damaged_message_of_two_queues_leaves_both_and_stays_gone_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = Disk(tmp_path, budget=0)
        vpn, queues = disk.broker.vpns["default"], [disk.queue("one"), disk.queue("two")]
        for payload in ("first", "second"):
            disk.broker.spool(vpn, message("a", payload), queues, None, 0)
        await disk.turn()
        first = next(iter(queues[0].entries)).spooled
        first.evict()
        first.placed(first.offset + 1)
        consumer = Consumer()
        disk.bind(queues[0], consumer)
        await disk.turn()
        assert consumer.payloads == ["second"]
        assert [len(queue) for queue in queues] == [1, 1]
        assert vpn.spooled_count == 1
        await disk.close()

    async def again() -> list[int]:
        disk = Disk(tmp_path)
        depths = [len(disk.queue("one")), len(disk.queue("two"))]
        disk.commit.close()
        return depths

    asyncio.run(scenario())
    assert asyncio.run(again()) == [1, 1]


def spooled(number: int, bodies: Bodies, segment: int = 1) -> SpooledMessage:
    """A message of about 1 KB as a broker keeps it."""
    body = message("a", "x" * 1000)
    return SpooledMessage(
        number, body, (1,), bodies, size=body.size, flags=body.flags, segment=segment, spooled_at_ms=0, expires=True
    )


def test_what_is_not_durable_or_has_no_place_stays_in_memory() -> None:
    log = MemoryLog(automatic=False, durable=1)
    bodies = Bodies(log, budget=0)
    first, second, third = (spooled(number, bodies) for number in (1, 2, 3))
    for position, one in enumerate((first, second, third), 1):
        one.position = position
        one.placed(100)
        bodies.keep(one)
    assert [one.resident for one in (first, second, third)] == [False, True, True]
    second.placed(0)  # copied by a compaction, and not written yet
    log.durable = 3
    bodies.keep(spooled(4, bodies))
    assert [one.resident for one in (first, second, third)] == [False, True, False]
    with pytest.raises((Unreadable, IndexError)):
        _ = first.message


def test_a_message_keeps_size_flags_and_place_apart() -> None:
    one = spooled(1, Bodies(MemoryLog()))
    size = one.message.size
    for offset in (8, 40 * 1024 * 1024, 0, 2**31):
        one.placed(offset)
        assert (one.size, one.offset, one.expires, one.dmq_eligible) == (size, offset, True, True)


def test_a_segment_that_a_message_needs_cannot_be_forgotten() -> None:
    live, bodies = Live(), Bodies(MemoryLog())
    kept, moved = spooled(1, bodies), spooled(2, bodies)
    live.add(kept)
    live.add(moved)
    live.move(moved, 2)
    assert (live.some(1, 10), live.some(2, 10)) == ([kept], [moved])
    with pytest.raises(ValueError, match="needed by 1 message"):
        live.forget(1)
    kept.queues = ()
    live.remove(kept)
    live.forget(1)
    assert (live.count(1), live.count(2)) == (0, 1)


def test_those_that_are_gone_are_not_remembered_by_the_one_that_stays() -> None:
    live, bodies = Live(), Bodies(MemoryLog())
    for number in range(10_000):
        one = spooled(number, bodies)
        live.add(one)
        if number:
            one.queues = ()
            live.remove(one)
    gc.collect()
    assert sum(isinstance(one, SpooledMessage) for one in gc.get_objects()) < 3000
    assert len(live.some(1, 10)) == 1


def test_what_was_replayed_into_partitions_is_in_the_same_ones_after_a_crash() -> None:
    world = World()
    logged(world)
    queue = world.queue("q", "a", access_type="non-exclusive", partition_count=3)
    world.publish("a", *"123456")
    queue.delete_all()
    start(world, queue)
    partitions = {entry.id: entry.partition for entry in queue.entries}
    assert len(partitions) == 6
    again = world.restarted().vpn.queues["q"]
    assert {entry.id: entry.partition for entry in again.entries} == partitions

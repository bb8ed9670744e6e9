"""A disk without space is a state that publishers are told of and that ends; a failing one ends the emulator.

The disk is filled by a limit on the size of a file, which the journal meets as it would meet a full disk.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.resources.topic import Topic

from crep.solace_emulator.core.refusal import Refused
from crep.solace_emulator.journal.commit import GroupCommit
from crep.solace_emulator.journal.files import AppendedFile, OsFiles
from crep.solace_emulator.journal.store import Journal
from tests.emulator.fakes import Acknowledged, Consumer, World, message
from tests.emulator.messaging import Receipts, drain, end, eventually, persistent_publisher, receiver, send, text
from tests.emulator.process import Emulator, running

Connect = Callable[..., Any]


def fill(emulator: Emulator, up_to: int = 300_000) -> None:
    """Let the disk take files of this size and no larger ones."""
    resource.prlimit(emulator.pid, resource.RLIMIT_FSIZE, (up_to, resource.RLIM_INFINITY))


def make_room(emulator: Emulator) -> None:
    """End the shortage."""
    resource.prlimit(emulator.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(params=["always", "batch", "never"])
def filling(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Emulator]:
    """An emulator with a queue whose disk is about to be full."""
    with running(tmp_path / "data", "--sync", request.param) as started:
        started.queue("filling", "filling/>")
        fill(started)
        yield started


def publish_until_full(emulator: Emulator, connect: Connect, total: int = 500) -> tuple[Any, Receipts]:
    """Publish more than there is room for; return the publisher, and what became of the messages."""
    publisher = persistent_publisher(connect(emulator, "filler"))
    receipts = Receipts()
    publisher.set_message_publish_receipt_listener(receipts)
    for number in range(total):
        payload = str(number).encode().ljust(1000)
        publisher.publish(bytearray(payload), Topic.of("filling/x"), user_context=number)
    assert eventually(lambda: receipts.count == total, 20)
    return publisher, receipts


@pytest.mark.emulator
def test_a_full_disk_refuses_messages_lets_consumers_go_on_and_ends(filling: Emulator, connect: Connect) -> None:
    publisher, receipts = publish_until_full(filling, connect)
    assert 0 < len(receipts.acknowledged) < 500
    assert all("Spool Over Quota" in str(refusal) for refusal in receipts.refused.values())
    assert filling.depth("filling") == len(receipts.acknowledged)
    source = receiver(connect(filling, "emptier"), "filling")
    found = [int(text(one)) for one in drain(source, len(receipts.acknowledged))]
    assert found == sorted(receipts.acknowledged)
    assert eventually(lambda: filling.depth("filling") == 0)
    answer = filling.semp("POST", "config/msgVpns/default/queues", {"queueName": "another"})
    assert "the disk has no space" in answer.json()["meta"]["error"]["description"]
    make_room(filling)
    assert eventually(lambda: "the disk has space again" in filling.log)
    send(publisher, "filling/x", "after")
    assert [text(one) for one in drain(source, 1)] == ["after"]
    end(source)
    assert filling.stop() == 0


@pytest.mark.emulator
def test_a_kill_while_the_disk_is_full_costs_nothing_acknowledged_and_brings_back_nothing_refused(
    filling: Emulator, connect: Connect
) -> None:
    publisher, receipts = publish_until_full(filling, connect)
    filling.kill()
    filling.start()
    source = receiver(connect(filling, "reader"), "filling")
    found = [int(text(one)) for one in drain(source, len(receipts.acknowledged))]
    assert found == sorted(receipts.acknowledged)
    assert source.receive_message(300) is None
    assert eventually(publisher.is_ready)
    send(publisher, "filling/x", "after")
    assert [text(one) for one in drain(source, 1)] == ["after"]
    end(source)


@pytest.mark.emulator
def test_a_stop_while_the_disk_is_full_says_that_something_is_missing(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path / "data") as emulator:
        emulator.queue("filling", "filling/>")
        fill(emulator)
        _, receipts = publish_until_full(emulator, connect)
        fill(emulator, 1)  # not even for the last words
        assert emulator.stop() == 3
        assert os.strerror(errno.EFBIG) in emulator.log
        emulator.start()
        assert emulator.depth("filling") == len(receipts.acknowledged)


@pytest.mark.emulator
@pytest.mark.parametrize("room", [10, 500])
def test_a_start_on_a_full_disk_names_the_directory_and_is_exit_code_3(tmp_path: Path, room: int) -> None:
    """There is no room for the first segment's head, or none for what a fresh broker is configured with."""
    limited = (
        "import resource, runpy, sys;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}));"
        "sys.argv[0] = 'emulator';"
        "runpy.run_module('crep.solace_emulator', run_name='__main__')"
    )
    options = ["--data-dir", str(tmp_path / "data"), "--log-level", "error"]
    options += [part for name in ("smf", "semp", "health") for part in (f"--{name}-port", "0")]
    line = [sys.executable, "-c", limited, *options]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "data directory" in ended.stderr.splitlines()[-1]


def test_what_could_not_be_written_is_refused_and_no_later_acknowledge_covers_it() -> None:
    world = World()
    world.log.automatic = False
    queue = world.queue("q", "a")
    world.sync()
    flow, told = world.broker.open_publisher(world.vpn), Acknowledged()
    flow.owner = told
    for number in (1, 2):
        world.publish_id(flow, number, message("a", str(number)))
    written = world.log.position
    for number in (3, 4):
        world.publish_id(flow, number, message("a", str(number)))
    unwritten = world.log.records[written:]
    kept = world.broker.on_full(written, unwritten)
    world.log.records[written:] = kept
    world.publish_id(flow, 5, message("a", "5"))
    world.broker.work()
    assert told.told == []
    world.log.durable = written
    world.broker.work()
    assert told.told == [(2, ""), (3, "Spool Over Quota"), (4, "Spool Over Quota"), (5, "Spool Over Quota")]
    assert len(queue) == 2
    assert queue.stats.spooled_msg_count == 2
    world.broker.on_space()
    world.publish_id(flow, 6, message("a", "6"))
    rebuilt = world.restarted()
    assert [entry.spooled.message.body for entry in rebuilt.vpn.queues["q"].entries] == [b"1", b"2", b"6"]
    assert list(rebuilt.broker.publishers[flow.number].refused) == [3, 4, 5]


def test_a_promise_is_made_when_it_can_be_kept() -> None:
    world = World()
    world.log.automatic = False
    made: list[str] = []
    world.queue("q", "a")
    world.broker.when_durable(lambda: made.append("q"))
    world.broker.work()
    assert made == []
    world.sync()
    assert made == ["q"]
    world.sync()
    assert made == ["q"]


def test_an_acknowledge_made_while_the_disk_is_full_is_kept_for_the_journal() -> None:
    world = World()
    queue = world.queue("q", "a")
    world.publish("a", "1")
    flow = world.bind(queue, Consumer())
    written = world.log.position
    queue.accept(flow.take(0, flow.last_sent))
    kept = world.broker.on_full(written, world.log.records[written:])
    assert kept == world.log.records[written:]
    assert len(world.restarted().vpn.queues["q"]) == 0


def test_a_full_disk_has_always_something_to_try_again_with() -> None:
    world = World()
    flow = world.broker.open_publisher(world.vpn)
    world.queue("q", "a")
    written = world.log.position
    world.publish_id(flow, 1, message("a", "1"))
    assert len(world.broker.on_full(written, world.log.records[written:])) == 1
    with pytest.raises(Refused, match="Spool Over Quota"):
        world.vpn.publish_guaranteed(world.publisher, message("a", "2"), flow, 2)


class BrokenFile:
    """A file that cannot be synced once its journal is open: the disk fails."""

    def __init__(self, file: AppendedFile) -> None:
        self.write, self.truncate, self.sync, self.close = file.write, file.truncate, file.sync, file.close

    def prepare_sync(self) -> Callable[[], None]:
        """Return a function that fails."""
        return self._fail

    def _fail(self) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class BrokenFiles(OsFiles):
    """Files of that kind."""

    def create(self, path: Path) -> AppendedFile:
        """Create a file."""
        return BrokenFile(super().create(path))


def test_a_sync_that_failed_is_final_and_makes_nothing_durable(tmp_path: Path) -> None:
    async def told() -> tuple[list[OSError], int]:
        failures: list[OSError] = []
        world = World()
        journal = Journal(tmp_path, list, files=BrokenFiles())
        commit = GroupCommit(journal, "always", world.broker, failures.append)
        for record in (b"one", b"two"):
            commit.append(record)
            commit.commit()
            await asyncio.sleep(0.05)
        commit.close()
        return failures, commit.durable

    failures, durable = asyncio.run(told())
    assert ([failure.errno for failure in failures], durable) == ([errno.EIO], 0)

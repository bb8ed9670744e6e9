"""The journal does not grow for ever, and nothing that lives goes with an old segment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from crep.solace_emulator.core import configuration
from crep.solace_emulator.core.broker import Broker
from crep.solace_emulator.core.log import decode
from crep.solace_emulator.core.recovery import RecoveryLog, recover
from crep.solace_emulator.core.settings import QueueSettings
from crep.solace_emulator.journal.commit import GroupCommit, SyncMode
from crep.solace_emulator.journal.compaction import Compaction
from crep.solace_emulator.journal.segments import Reader
from crep.solace_emulator.journal.store import Journal, read_all
from tests.emulator.fakes import message

SEGMENT = 20_000


class Running:
    """A broker over a real journal in small segments."""

    def __init__(self, folder: Path, mode: SyncMode = "always") -> None:
        log = RecoveryLog(Reader(folder).read)
        self.broker = Broker(log, lambda: time.time_ns() // 1_000_000, lambda: None, router="test")
        recover(self.broker, log, ((place, decode(record)) for place, record in read_all(folder)))
        self.journal = Journal(folder, self.broker.snapshot, segment_bytes=SEGMENT)
        self.commit = GroupCommit(self.journal, mode, self.broker, self.fail)
        self.compaction = Compaction(self.broker, self.journal, self.commit, segment_bytes=SEGMENT)
        self.broker.start(self.commit)
        self.vpn = self.broker.vpns["default"]

    def fail(self, error: OSError) -> None:
        """Let the test fail."""
        raise error

    async def settled(self) -> None:
        """Wait until everything is durable."""
        self.commit.commit()
        target = self.commit.position
        for _ in range(5000):
            if self.commit.durable >= target:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the journal does not become durable")

    def spool(self, name: str, count: int) -> None:
        """Spool messages of about 1 KB."""
        for _ in range(count):
            self.broker.spool(self.vpn, message("a", "x" * 1000), [self.vpn.queues[name]], None, 0)

    def make(self, name: str) -> None:
        """Make a queue."""
        opened = QueueSettings(ingress_enabled=True, egress_enabled=True)
        configuration.create_queue(self.broker, self.vpn, name, opened, durable=True, managed=True)


def test_the_journal_stays_in_proportion_to_what_lives(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        running = Running(tmp_path)
        running.make("slow")
        running.make("fast")
        running.spool("slow", 5)
        for _ in range(60):
            running.spool("fast", 10)
            await running.settled()
            running.vpn.queues["fast"].delete_all()
            for _ in range(3):
                running.compaction.step()
                await running.settled()
        assert running.journal.total_bytes < 8 * SEGMENT
        kept = [entry.id for entry in running.vpn.queues["slow"].entries]
        running.spool("slow", 1)
        await running.settled()
        running.commit.close()
        return kept

    async def again() -> list[int]:
        running = Running(tmp_path)
        assert len(running.vpn.queues["fast"]) == 0
        return [entry.id for entry in running.vpn.queues["slow"].entries]

    kept = asyncio.run(scenario())
    found = asyncio.run(again())
    assert found[:5] == kept
    assert len(found) == 6
    assert found == sorted(found)


def test_one_sync_serves_all_that_wait_in_a_turn(tmp_path: Path) -> None:
    async def scenario() -> int:
        running = Running(tmp_path)
        running.make("q")
        await running.settled()
        syncs = 0
        prepare = running.journal.prepare_sync

        def counted() -> Callable[[], None]:
            nonlocal syncs
            syncs += 1
            return prepare()

        running.journal.prepare_sync = counted  # type: ignore[method-assign]
        running.spool("q", 100)
        assert running.commit.durable < running.commit.position
        await running.settled()
        running.commit.close()
        return syncs

    assert asyncio.run(scenario()) <= 2

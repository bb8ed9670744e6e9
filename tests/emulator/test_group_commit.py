"""Group commit: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from crep.solace_emulator.journal import commit
from crep.solace_emulator.journal.commit import GroupCommit, SyncMode
from crep.solace_emulator.journal.store import Journal

PATIENCE_SECONDS = 10.0
FOR_EVER_SECONDS = 3600.0


class Waiting:
    """Storage that notices when more is durable."""

    def __init__(self) -> None:
        self.durable = asyncio.Event()

    def on_durable(self) -> None:
        """Note it."""
        self.durable.set()

    def on_full(self, written: int, unwritten: Sequence[bytes]) -> list[bytes]:
        """A disk that is full has no place in these tests."""
        raise AssertionError(f"full at {written}, {len(unwritten)} records left")

    def on_space(self) -> None:
        """See :meth:`on_full`."""
        raise AssertionError


async def synced(folder: Path, mode: SyncMode, *turns: int, within_seconds: float = PATIENCE_SECONDS) -> int:
    """Append so many records in each turn of the loop; return up to which position they become durable in time."""
    journal, storage = Journal(folder, list), Waiting()
    group = GroupCommit(journal, mode, storage, lambda error: pytest.fail(str(error)))
    try:
        for count in turns:
            for _ in range(count):
                group.append(b"record")
                group.commit()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        while group.durable < sum(turns):
            storage.durable.clear()
            await asyncio.wait_for(storage.durable.wait(), within_seconds)
    except TimeoutError:
        pass
    finally:
        durable = group.durable
        group.close()
    return durable


def test_many_records_do_not_wait_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_BATCH_SECONDS", FOR_EVER_SECONDS)
    assert asyncio.run(synced(tmp_path, "batch", 200)) == 200


def test_records_of_several_turns_are_many_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_BATCH_SECONDS", FOR_EVER_SECONDS)
    assert asyncio.run(synced(tmp_path, "batch", 1, 60, 67)) == 128


def test_a_single_record_waits_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_BATCH_SECONDS", FOR_EVER_SECONDS)
    assert asyncio.run(synced(tmp_path, "batch", 1, within_seconds=0.1)) == 0


def test_it_does_not_wait_for_long(tmp_path: Path) -> None:
    assert asyncio.run(synced(tmp_path, "batch", 2)) == 2


def test_nobody_waits_for_others_where_every_record_is_synced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "_BATCH_SECONDS", FOR_EVER_SECONDS)
    assert asyncio.run(synced(tmp_path, "always", 3)) == 3

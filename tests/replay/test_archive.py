"""An archive gives back what it was given, whatever a kill leaves of its last write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crep.harness.brokers.contract import Message
from crep.harness.config.errors import EnvironmentFailure
from crep.replay.archive import Archive, verify_archive
from crep.replay.selection import Reader, Selection, Summary

SOURCE = {"target": "t", "place": "orders", "system": "kafka"}


def message(n: int, **more: object) -> Message:
    fields: dict[str, Any] = {
        "payload": b"%d" % n,
        "key": b"\xff\x00",
        "properties": {"raw": b"\x00", "n": n},
        "position": f"orders[0]@{n}",
        "stored_ms": n,
    }
    return Message("orders/eu", **{**fields, **more})


def captured(*numbers: int) -> list[tuple[int, Message]]:
    return [(1_000_000 * n, message(n)) for n in numbers]


def test_what_was_captured_comes_back_byte_for_byte_and_by_time(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a", SOURCE)
    archive.append([*captured(0, 1, 2), (3_000_000, message(3, null_payload=True, payload=b"", key=None))])
    archive.close()
    reader = Reader(tmp_path / "a")
    found = [one.message for one in reader.messages(Selection())]
    assert found[:3] == [message(0), message(1), message(2)]
    assert (found[3].null_payload, found[3].key) == (True, None)
    assert [one.sequence for one in reader.messages(Selection(from_us=1_000_000, until_us=3_000_000))] == [1, 2]
    assert reader.summary(Selection(topic="orders/*")).count == 4
    first = Selection(limit=2)
    assert [one.sequence for one in reader.messages(first)] == [0, 1]
    assert reader.summary(first) == Summary(2, 2, 0, 1_000_000, (("orders/eu", 2),), end_sequence=2)
    assert verify_archive(tmp_path / "a") == []


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_write_is_set_aside_and_what_comes_again_is_stored_once(tmp_path: Path, cut: int) -> None:
    archive = Archive(tmp_path / "a", SOURCE)
    archive.append(captured(0, 1, 2))
    archive._lock.close()  # as a kill leaves it
    journal = tmp_path / "a" / "journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    said: list[str] = []
    again = Archive(tmp_path / "a", SOURCE, say=said.append)
    assert again.append(captured(0, 1, 2, 3)) == 2
    assert again.doubled == 2
    again.close()
    assert [one.message.payload for one in Reader(tmp_path / "a").messages(Selection())] == [b"0", b"1", b"2", b"3"]
    assert "set aside" in said[0]


def test_a_topic_that_was_made_anew_is_refused_and_not_taken_for_known(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a", SOURCE)
    archive.append(captured(0, 1))
    with pytest.raises(EnvironmentFailure, match="made anew"):
        archive.append([(9, message(0, stored_ms=99))])

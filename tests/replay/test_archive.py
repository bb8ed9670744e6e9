"""An archive gives back what it was given, whatever a kill leaves of its last write."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from crep.harness.brokers.contract import Message
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.archive import Archive, Rolling, verify_archive
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


def rmid(n: int) -> str:
    return f"rmid1:00000-00000000000-00000000-{n:08x}"


def test_what_comes_again_after_a_kill_is_known_though_its_segment_was_closed(tmp_path: Path) -> None:
    """Rolled, and killed before the source had accepted: on a broker without offsets each position must be known."""
    archive = Archive(tmp_path / "a", SOURCE)
    archive.append([(n, message(n, position=rmid(n))) for n in range(5)])
    archive.roll()
    archive.leave()  # as a kill leaves it
    again = Archive(tmp_path / "a", SOURCE)
    assert again.last_position() == rmid(4)
    assert again.append([(9, message(n, position=rmid(n))) for n in (3, 4, 5)]) == 1
    again.close()


@pytest.mark.parametrize("zeros", [1, 8, 4096])
def test_zeros_behind_the_last_write_are_no_messages(tmp_path: Path, zeros: int) -> None:
    """What a crash of the machine may leave of a file that was extended and not written."""
    archive = Archive(tmp_path / "a", SOURCE)
    archive.append(captured(0, 1))
    archive.leave()
    with (tmp_path / "a" / "journal").open("ab") as journal:
        journal.write(bytes(zeros))
    again = Archive(tmp_path / "a", SOURCE)
    assert again.append(captured(1, 2)) == 1
    again.close()
    with Reader(tmp_path / "a") as reader:
        assert [one.sequence for one in reader.messages(Selection())] == [0, 1, 2]


def test_two_writes_that_were_cut_off_are_both_kept(tmp_path: Path) -> None:
    for size in (10, 20):
        Archive(tmp_path / "a", SOURCE).leave()
        with (tmp_path / "a" / "journal").open("ab") as journal:
            journal.write(b"x" * size)
    Archive(tmp_path / "a", SOURCE).leave()
    assert [path.stat().st_size for path in sorted((tmp_path / "a").glob("journal.torn-*"))] == [10, 20]


def test_a_segment_that_lost_its_end_is_set_aside_with_a_message_and_the_rest_goes_on(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a", SOURCE)
    for n in range(3):
        archive.append(captured(n))
        archive.roll()
    archive.close()
    damaged = tmp_path / "a" / "000000000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert verify_archive(tmp_path / "a")[0].startswith("000000000001.parquet is cut off")
    said: list[str] = []
    again = Archive(tmp_path / "a", SOURCE, say=said.append)
    again.append(captured(3))
    again.close()
    assert "its 1 messages (sequences 1 to 1) are left out" in said[0]
    assert damaged.with_suffix(".damaged").exists()
    with Reader(tmp_path / "a") as reader:
        assert [one.sequence for one in reader.messages(Selection())] == [0, 2, 3]


def test_small_segments_become_one_and_a_reader_that_has_begun_does_not_notice(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a", SOURCE)
    for n in range(7):
        archive.append(captured(n))
        archive.roll()
    with Reader(tmp_path / "a") as reader:
        reading = reader.messages(Selection())
        assert next(reading).sequence == 0
        archive.append(captured(7))
        archive.roll()  # the eighth: they are merged, and the files that the reader knows are gone
        assert len(list((tmp_path / "a").glob("*.parquet"))) == 1
        assert [one.sequence for one in reading][:6] == [1, 2, 3, 4, 5, 6]
        assert reader.summary(Selection(until_sequence=7)).count == 7
    archive.close()
    assert verify_archive(tmp_path / "a") == []


def test_retention_removes_the_oldest_by_size_and_by_age_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    archive = Archive(tmp_path / "a", SOURCE, Rolling(keep_s=3600.0, merge_below=0), said.append)
    now_us = time.time_ns() // 1000
    for n, at_us in enumerate((now_us - 9_000_000_000, now_us, now_us)):
        archive.append([(at_us, message(n))])
        archive.roll()
    archive.close()
    assert said == ["retention removed 1 messages in 1 segment(s)"]
    archive = Archive(tmp_path / "a", SOURCE, Rolling(keep_bytes=1, merge_below=0))
    archive.append(captured(3))
    archive.close()
    with Reader(tmp_path / "a") as reader:
        assert [one.sequence for one in reader.messages(Selection())] == [3]
        assert reader.first_sequence == 3


def test_an_archive_is_of_one_source_and_one_process(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a", SOURCE)
    with pytest.raises(EnvironmentFailure, match="another process"):
        Archive(tmp_path / "a", SOURCE)
    archive.close()
    with pytest.raises(UsageError, match="holds messages of orders of t, not of other of t"):
        Archive(tmp_path / "a", {**SOURCE, "place": "other"})
    with pytest.raises(UsageError, match="is no archive"):
        Reader(tmp_path)

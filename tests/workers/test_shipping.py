"""Records on their way to the master's run folder: whole, in order, in its time, and never more than bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.background import HistoryWriter
from crep.harness.metrics.history import (
    DONE,
    MARK,
    OUTCOME,
    RECEIVED,
    SENT,
    Records,
    outcomes_file,
    publisher_marks,
    read_records,
    sent_file,
)
from crep.harness.runs.streams import last_mark
from crep.harness.workers import shipping
from crep.harness.workers.shipping import ClientFiles, Intake, Shipper, translated
from tests.workers.tasks import publisher

AHEAD = 50_000_000
FILES = ClientFiles.of(publisher(0))
SENDS, OUTCOMES = sent_file(0), outcomes_file(0)


def sends(first: int, count: int) -> Records:
    records = np.zeros(count, SENT)
    records["sequence"] = np.arange(first, first + count)
    records["intended_ns"] = records["sequence"] * 1000 + AHEAD
    records["sent_ns"] = records["intended_ns"] + 7
    return records


def outcomes(first: int, count: int) -> Records:
    records = np.zeros(count, OUTCOME)
    records["sequence"] = np.arange(first, first + count)
    records["at_ns"] = records["sequence"] + AHEAD
    return records


def wait_for(what: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Way:
    """From a worker's folder to a master's."""

    def __init__(self, folder: Path, *, keep: bool = True) -> None:
        self.here, self.there = folder / "worker", folder / "master"
        self.here.mkdir()
        self.writer = HistoryWriter(
            self.here, {SENDS: SENT, OUTCOMES: OUTCOME}, marks=publisher_marks(0), segment=None if keep else 1 << 18
        )
        self.intake = Intake(self.there, [FILES], keep=keep)
        self.arriving = threading.Event()
        self.arriving.set()
        self.posted: list[tuple[str, int]] = []
        self.shipper = Shipper(self.here, [FILES], self.post, ahead_ns=AHEAD, keep=keep)
        self.held: list[tuple[str, int, bytes]] = []

    def post(self, name: str, first: int, data: bytes) -> None:
        self.posted.append((name, len(data)))
        self.held.append((name, first, data))
        if self.arriving.is_set():
            self.arrive()

    def arrive(self) -> None:
        while self.held:
            self.intake.append(*self.held.pop(0))
            self.shipper.acknowledged()


def test_records_arrive_while_they_are_written_whole_and_in_the_masters_time(tmp_path: Path) -> None:
    way = Way(tmp_path)
    way.shipper.start()
    for turn in range(5):
        way.writer.append(SENDS, sends(turn * 100, 100))
        way.writer.append(OUTCOMES, outcomes(turn * 100, 90))
        way.writer.mark((turn + 1) * 1000 + AHEAD)
    wait_for(lambda: last_mark(way.there, publisher_marks(0)) == (5000, (500, 450)))
    assert len(read_records(way.there / SENDS, SENT)) == 500
    way.writer.append(OUTCOMES, outcomes(90, 10))
    way.writer.close(5)
    way.shipper.finish()
    assert way.shipper.done.wait(10)
    way.intake.close()
    arrived = read_records(way.there / SENDS, SENT)
    assert np.array_equal(arrived["intended_ns"], arrived["sequence"] * 1000)
    assert np.array_equal(arrived["sent_ns"], arrived["sequence"] * 1000 + 7)
    assert len(read_records(way.there / OUTCOMES, OUTCOME)) == 460
    assert read_records(way.there / publisher_marks(0), MARK)["until_ns"][-1] == DONE


def test_a_mark_never_arrives_before_what_it_vouches_for(tmp_path: Path) -> None:
    way = Way(tmp_path)
    way.writer.append(SENDS, sends(0, shipping.PIECE + 5))
    way.writer.mark(1)
    way.writer.close(5)
    way.shipper.start()
    way.shipper.finish()
    assert way.shipper.done.wait(10)
    names = [name for name, _ in way.posted]
    assert names.index(publisher_marks(0)) > max(place for place, name in enumerate(names) if name == SENDS)


def test_what_no_mark_vouches_for_arrives_at_the_end(tmp_path: Path) -> None:
    way = Way(tmp_path)  # its engine was killed before it could mark
    way.writer.append(SENDS, sends(0, 10))
    way.writer.flush()
    wait_for(lambda: (way.here / SENDS).stat().st_size == 10 * SENT.itemsize)
    way.shipper.start()
    time.sleep(0.3)
    assert way.posted == []
    way.shipper.finish()
    assert way.shipper.done.wait(10)
    assert len(read_records(way.there / SENDS, SENT)) == 10


def test_what_is_under_way_is_bounded_and_the_rest_waits_on_the_workers_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "PIECE", 100)
    monkeypatch.setattr(shipping, "CREDIT", 1000 * SENT.itemsize)
    way = Way(tmp_path)
    way.arriving.clear()
    way.writer.append(SENDS, sends(0, 5000))
    way.writer.close(5)
    way.shipper.start()
    way.shipper.finish()
    wait_for(lambda: len(way.posted) == 10)
    time.sleep(0.3)
    assert len(way.posted) == 10
    while not way.shipper.done.is_set():
        way.arrive()
        time.sleep(0.001)
    assert len(read_records(way.there / SENDS, SENT)) == 5000


def test_segments_that_have_arrived_leave_the_workers_disk(tmp_path: Path) -> None:
    way = Way(tmp_path, keep=False)
    count = (1 << 18) + 1000
    way.writer.append(SENDS, sends(0, count))
    way.writer.close(20)
    way.shipper.start()
    way.shipper.finish()
    assert way.shipper.done.wait(30)
    way.intake.close()
    assert not (way.here / SENDS).exists()
    assert (way.there / SENDS).stat().st_size == (1 << 18) * SENT.itemsize
    assert (way.there / f"{SENDS}.1").stat().st_size == 1000 * SENT.itemsize


def test_records_that_were_lost_on_the_way_are_missed(tmp_path: Path) -> None:
    intake = Intake(tmp_path, [FILES], keep=True)
    intake.append(SENDS, 0, sends(0, 10).tobytes())
    with pytest.raises(EnvironmentFailure, match=r"records of publisher-0\.sent were lost"):
        intake.append(SENDS, 11, sends(11, 10).tobytes())
    with pytest.raises(EnvironmentFailure, match="no file of this run"):
        intake.append("../elsewhere", 0, b"")


def test_stopping_does_not_wait_for_a_master_that_is_gone(tmp_path: Path) -> None:
    way = Way(tmp_path)
    way.arriving.clear()
    way.writer.append(SENDS, sends(0, 10))
    way.writer.close(5)
    way.shipper.start()
    way.shipper.finish()
    wait_for(lambda: bool(way.posted))
    way.shipper.stop()
    assert way.shipper.done.wait(5)


def test_a_receipt_is_translated_back_by_what_its_engine_added() -> None:
    received = np.zeros(2, RECEIVED)
    received["intended_ns"], received["received_ns"] = 100 + AHEAD, 107 + AHEAD
    here = translated(received, AHEAD)
    assert here["intended_ns"].tolist() == [100, 100]
    assert here["received_ns"].tolist() == [107, 107]
    assert received["received_ns"][0] == 107 + AHEAD

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load import background
from crep.harness.load.background import Background, HistoryWriter
from crep.harness.metrics.history import OUTCOME, read_records


def outcomes(count: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    records = np.zeros(count, OUTCOME)
    records["sequence"] = np.arange(count)
    return records


def test_work_is_done_in_order_and_never_waited_for() -> None:
    held, done = threading.Event(), list[int]()
    beside = Background("test")
    beside.submit(lambda: held.wait(5) and None)
    before = time.monotonic()
    for number in range(5):
        beside.submit(done.append, number)
    assert time.monotonic() - before < 1
    assert done == []
    held.set()
    beside.close(5)
    assert done == [0, 1, 2, 3, 4]


def test_a_write_that_hangs_is_an_error_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "STALLED_S", 0.05)
    held = threading.Event()
    beside = Background("test")
    beside.submit(lambda: held.wait(5) and None)
    time.sleep(0.1)
    with pytest.raises(TimeoutError, match="not ended"):
        beside.check()
    held.set()


def test_records_are_on_file_after_close_in_order(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, {"a": OUTCOME, "b": OUTCOME}, marks="m")
    records = outcomes(10_000)
    for first in range(0, 10_000, 700):
        writer.append("a", records[first : first + 700])
    writer.append("b", records[:3])
    writer.close(5)
    assert (read_records(tmp_path / "a", OUTCOME) == records).all()
    assert len(read_records(tmp_path / "b", OUTCOME)) == 3


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="gone"):
        HistoryWriter(tmp_path / "gone", {"a": OUTCOME}, marks="m")


def test_a_full_disk_is_named_with_what_is_free(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/dev/full")
    writer = HistoryWriter(tmp_path, {"a": OUTCOME}, marks="m")
    writer.append("a", outcomes(1))
    with pytest.raises(EnvironmentFailure, match=r"No space left on device \([\d,]+ B are free"):
        writer.close(5)

"""Work that must not hold up an engine: writing records and reports happens in a thread of its own, in order.

A disk that flushes a journal, or a parent that is slow to read, can block a write for seconds. In the engine's thread
that would look like a broker's latency.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.metrics.history import DONE, MARK, AheadFile, RecordFile, Records, joined

_P = ParamSpec("_P")

STALLED_S = 30.0
"""A write that has waited this long will not be waited for any more: memory would fill up instead."""

_FLUSH_AT = 4096  # records


class Background:
    """One thread that does what it is given, in order."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._pending: deque[tuple[float, Future[None]]] = deque()

    def submit(self, work: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Do this after all that was submitted before; never waits."""
        self._pending.append((time.monotonic(), self._executor.submit(work, *args, **kwargs)))

    def check(self) -> None:
        """Raise what a piece of work raised; TimeoutError when one has waited for ``STALLED_S``."""
        while self._pending and self._pending[0][1].done():
            self._pending.popleft()[1].result()
        if self._pending and time.monotonic() - self._pending[0][0] > STALLED_S:
            raise TimeoutError(f"a write has not ended within {STALLED_S:.0f} s")

    def close(self, timeout_s: float) -> None:
        """Wait for what is under way, at most ``timeout_s``; raises as ``check``. The thread is left to the exit."""
        late = wait([future for _, future in self._pending], timeout=timeout_s).not_done
        self._executor.shutdown(wait=False)
        self.check()
        if late:
            raise TimeoutError(f"{len(late)} writes have not ended within {timeout_s:.0f} s")


class HistoryWriter:
    """The record files of one client, written in the background; those of a client that may be killed, one of them
    *ahead*, in the caller's own thread.

    A client that was killed before finds its files as it left them, and goes on.

    Args:
        folder: where the files are.
        files: file name → layout (``metrics.history``).
        marks: name of the file of its marks.
        segment: records in a segment of a file; None: one file, however long.
        ahead: the file whose records are to survive the client: receipts that ``append`` writes before it returns, or
            sends that ``offer`` writes before they are handed over. Such a client may come back, so it never says that
            it is ``DONE``.

    Raises:
        EnvironmentFailure: here and in every method: the disk is full, the folder gone, a write hangs.
    """

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, np.dtype[Any]],
        *,
        marks: str,
        segment: int | None = None,
        ahead: str | None = None,
    ) -> None:
        self._folder = folder
        self._background = Background("history")
        self._gathered: dict[str, list[Records]] = {name: [] for name in files if name != ahead}
        self._count = 0
        self._ahead_name = ahead
        self._ahead: AheadFile | None = None
        try:
            if ahead is not None:
                self._ahead = AheadFile(folder / ahead, files[ahead])
            self._files = {
                name: RecordFile(folder / name, layout, segment) for name, layout in files.items() if name != ahead
            }
            self._marks = RecordFile(folder / marks, MARK)
        except OSError as error:
            raise self._failure(error) from error
        self._handed_on = {
            name: self._ahead.count if name == ahead and self._ahead is not None else self._files[name].count
            for name in files
        }

    @property
    def writes_ahead(self) -> bool:
        """Whether records are to be written before what they tell of is done."""
        return self._ahead is not None

    def held(self, name: str) -> int:
        """Records of the file ``name``, those of an earlier life and those that are on their way included."""
        return self._handed_on[name]

    def offer(self, first: int, records: Records) -> None:
        """Write records ahead, the first of which is number ``first`` of its file: what they tell of may happen now.

        What does not may be offered again; what has is told by ``append``, in order.
        """
        assert self._ahead is not None  # noqa: S101 - asked for ``writes_ahead``
        try:
            self._ahead.put(first, records)
        except OSError as error:
            raise self._failure(error) from error

    def append(self, name: str, records: Records) -> None:
        """Keep records of the file ``name``; the next ``flush`` hands them to the operating system.

        Of the file that is written ahead they are there when this returns, as they were offered where they were.
        """
        if not len(records):
            return
        if name == self._ahead_name and self._ahead is not None:
            if self._handed_on[name] + len(records) > self._ahead.count:
                self.offer(self._handed_on[name], records)
            self._handed_on[name] += len(records)
            return
        self._gathered[name].append(records)
        self._count += len(records)
        if self._count >= _FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Hand what has gathered to the background thread."""
        for name, gathered in self._gathered.items():
            if gathered:
                file = self._files[name]
                records = joined(gathered, file.layout)
                self._background.submit(file.append, records)
                self._handed_on[name] += len(records)
                gathered.clear()
        self._count = 0
        try:
            self._background.check()
        except OSError as error:  # TimeoutError is one
            raise self._failure(error) from error

    def mark(self, until_ns: int) -> None:
        """Flush, and say that all which the client did until then has been appended (``metrics.history.MARK``)."""
        self.flush()
        mark = np.zeros(1, MARK)
        mark["until_ns"] = until_ns
        mark["records"][0, : len(self._handed_on)] = list(self._handed_on.values())
        self._background.submit(self._marks.append, mark)

    def close(self, timeout_s: float) -> None:
        """Flush, wait for the writes at most ``timeout_s``, take back what was offered and never happened, close."""
        self.mark(DONE if self._ahead is None else time.monotonic_ns())
        try:
            self._background.close(timeout_s)
            if self._ahead is not None and self._ahead_name is not None:
                self._ahead.cut(self._handed_on[self._ahead_name])
        except OSError as error:
            raise self._failure(error) from error
        self.release()

    def release(self) -> None:
        """Close the files as they are, which is what happens to those of a client that is killed. Idempotent."""
        for file in (*self._files.values(), self._marks):
            file.close()
        if self._ahead is not None:
            self._ahead.close()

    def _failure(self, error: OSError) -> EnvironmentFailure:
        gone = not self._folder.is_dir()
        free = "that folder is gone" if gone else f"{shutil.disk_usage(self._folder).free:,} B are free there"
        return EnvironmentFailure(
            f"the message records cannot be written to {self._folder}: {error.strerror or error} ({free})",
            hint="free some space, or choose another results folder",
        )

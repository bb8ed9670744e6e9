"""Capture: from a source into an archive. A message is accepted at its source when it is on the disk of the archive.

Two threads: one receives and stamps, so that the gaps between messages are those of their arrival; the other writes and
flushes. Bounded: at most ``under_way`` messages are received and not yet on the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from crep.harness.brokers.contract import Message
from crep.harness.brokers.streams import Source
from crep.harness.config.errors import EnvironmentFailure
from crep.replay.archive import Archive, Captured

_BATCH = 2000
_WAIT_S = 0.05
_TEND_S = 1.0
_FINISH_WITHIN_S = 30.0


@dataclass
class Progress:
    """What a capture has done so far."""

    received: int = 0
    stored: int = 0
    doubled: int = 0  # came again, and were in the archive already


class Capture:
    """One source into one archive.

    Args:
        source: not open.
        archive: open; it is closed by ``run``.
        limit: end after so many new messages; None: none.
        idle_s: end when nothing came for so long; None: go on.
        ended: says, while nothing is under way, whether the source will give nothing more; None: it never ends.
        under_way: messages received and not yet stored, at most.
    """

    def __init__(
        self,
        source: Source,
        archive: Archive,
        *,
        limit: int | None = None,
        idle_s: float | None = None,
        ended: Callable[[], bool] | None = None,
        under_way: int = 20_000,
    ) -> None:
        self._source, self._archive = source, archive
        self._limit, self._idle_s, self._ended, self._under_way = limit, idle_s, ended, under_way
        self._to_store: SimpleQueue[Captured | None] = SimpleQueue()
        self._stored: SimpleQueue[list[Message]] = SimpleQueue()
        self._broken: BaseException | None = None
        self.progress = Progress()

    def run(self, stopping: Callable[[], bool]) -> Progress:
        """Capture until told to stop, or until a limit is met; what was received is stored and accepted.

        Raises:
            BrokerError: the source is out of reach for good.
            EnvironmentFailure: the disk does not take it, or the archive does not fit the source.
        """
        writer = threading.Thread(target=self._write, name="archive", daemon=True)
        try:
            self._source.open(self._settle_all)
        except BaseException:
            self._archive.close()
            raise
        writer.start()
        try:
            self._receive(stopping)
        finally:
            self._to_store.put(None)
            writer.join(_FINISH_WITHIN_S)
            self._accept()
            self._source.close()
            if writer.is_alive():
                self._broken = self._broken or EnvironmentFailure(
                    f"the disk of {self._archive.folder} has not taken the last messages for {_FINISH_WITHIN_S:.0f} s",
                    hint="they were not accepted at their source and come again",
                )
            if self._broken is not None:
                self._archive.leave()
                raise self._broken
            self._archive.close()
        return self.progress

    def _receive(self, stopping: Callable[[], bool]) -> None:
        progress, waiting, last_s = self.progress, 0, time.monotonic()
        while not stopping() and self._broken is None:
            room = min(_BATCH, self._under_way - waiting)
            if self._limit is not None:
                room = min(room, self._limit - progress.received + progress.doubled)
            messages = self._source.receive(room, 0.0 if waiting else _WAIT_S)
            now = time.time_ns() // 1000
            for message in messages:
                self._to_store.put((now, message))
            if messages:
                last_s = time.monotonic()
                progress.received += len(messages)
            elif waiting:
                time.sleep(0.0005)
            self._accept()
            waiting = progress.received - progress.stored - progress.doubled
            if self._limit is not None and progress.stored >= self._limit:
                return
            if self._idle_s is not None and not waiting and time.monotonic() - last_s >= self._idle_s:
                return
            if self._ended is not None and not waiting and not messages and self._ended():
                return

    def _accept(self) -> None:
        try:
            while True:
                self._source.accept(self._stored.get_nowait())
        except Empty:
            return

    def _settle_all(self) -> None:
        """Before another member reads: what is under way is stored and accepted first."""
        deadline = time.monotonic() + _FINISH_WITHIN_S
        progress = self.progress
        while progress.received > progress.stored + progress.doubled and time.monotonic() < deadline:
            if self._broken is not None:
                return
            self._accept()
            time.sleep(0.001)
        self._accept()

    def _write(self) -> None:
        """The other thread."""
        try:
            ended = False
            while not ended:
                batch: list[Captured] = []
                try:
                    one = self._to_store.get(timeout=_TEND_S)
                    while one is not None:
                        batch.append(one)
                        if len(batch) >= _BATCH or self._to_store.empty():
                            break
                        one = self._to_store.get()
                    ended = one is None
                except Empty:  # nothing comes, and yet what lies open is to become a segment in time
                    pass
                if batch:
                    new = self._archive.append(batch)
                    self.progress.stored += new
                    self.progress.doubled += len(batch) - new
                    self._stored.put([message for _, message in batch])
                self._archive.tend()
        except BaseException as error:  # noqa: BLE001 - raised again by ``run``
            self._broken = error

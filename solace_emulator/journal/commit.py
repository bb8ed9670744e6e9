"""Group commit: one write for each turn of the event loop, one sync for as many turns as a sync takes.

``always`` syncs as soon as somebody waits; ``batch`` lets others join for a few milliseconds first; ``never`` counts
what was handed to the operating system as durable: it survives the process, not the machine. Nothing is told to be
durable before that, in any mode.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

from .store import Journal

SyncMode = Literal["always", "batch", "never"]
_BATCH_SECONDS: Final = 0.005


class GroupCommit:
    """A journal on an event loop; :class:`..core.log.Log` for the rules.

    ``on_durable`` is called after each step forward, ``on_failure`` once when the disk refuses: then nothing is durable
    any more and the process has to stop.
    """

    def __init__(
        self,
        journal: Journal,
        mode: SyncMode,
        on_durable: Callable[[], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._journal = journal
        self._mode = mode
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync")
        self._durable = 0
        self._wanted = 0  # somebody waits for this position
        self._flush_scheduled = False
        self._syncing = False
        self._failed = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def durable(self) -> int:
        """Everything up to this position survives a crash."""
        return self._durable

    @property
    def position(self) -> int:
        """The position of the last record appended."""
        return self._journal.position

    @property
    def segment(self) -> int:
        """The segment that the next record goes to."""
        return self._journal.segment

    def append(self, record: bytes) -> int:
        """Append a record; it is written at the end of this turn."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        return self._journal.append(record)

    def commit(self) -> None:
        """Have everything appended so far made durable."""
        self._wanted = self._journal.position

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._failed or self._closed:
            return
        try:
            self._journal.write()
        except OSError as error:
            self._fail(error)
            return
        if self._mode == "never":
            self._advance(self._journal.written)
        elif self._wanted > self._durable and not self._syncing:
            self._syncing = True
            if self._mode == "always":
                self._start_sync()
            else:
                self._timer = self._loop.call_later(_BATCH_SECONDS, self._start_sync)

    def _start_sync(self) -> None:
        target = self._journal.written
        future = self._loop.run_in_executor(self._thread, self._journal.prepare_sync())
        future.add_done_callback(lambda done: self._synced(target, done))

    def _synced(self, target: int, done: "asyncio.Future[None]") -> None:
        self._syncing = False
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, OSError):
            self._fail(error)
            return
        if error is not None:
            raise error
        self._advance(target)
        if self._wanted > self._durable and not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _advance(self, position: int) -> None:
        if position > self._durable:
            self._durable = position
            self._on_durable()

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._on_failure(error)

    def close(self) -> None:
        """Wait for a sync under way, then write and sync the rest. Raises ``OSError``."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=True)
        if not self._failed:
            self._journal.close()
            self._advance(self._journal.position)

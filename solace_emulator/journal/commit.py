"""Group commit: one write for each turn of the event loop, one sync for as many turns as a sync takes.

``always`` syncs as soon as somebody waits; ``batch`` lets others join first, for a few milliseconds or until there are
many; ``never`` counts what was handed to the operating system as durable: it survives the process, not the machine.
Nothing is told to be durable before that, in any mode.

A disk without space is a state, not an end: what could not be written waits in memory and is tried again; the rules
(:class:`Storage`) are asked at once which records nobody needs then. Any other failure is final: after a sync that has
failed nobody knows what the disk holds.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, Protocol

from ..core.log import Placed, Unreadable
from .store import Journal

SyncMode = Literal["always", "batch", "never"]
_BATCH_SECONDS: Final = 0.005
_BATCH_RECORDS: Final = 128  # half a publisher's window: it fills the other half during the sync and never stands still
_RETRY_SECONDS: Final = 0.5
_ROOM_BYTES: Final = 1024 * 1024  # less is no end of a shortage: it would begin again with the next message
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOG: Final = logging.getLogger(__name__)


class Storage(Protocol):
    """Who writes to the journal, and hears how that goes."""

    def on_durable(self) -> None:
        """More of the log is durable."""
        ...

    def on_full(self, written: int, unwritten: Sequence[bytes]) -> list[bytes]:
        """There is no space for ``unwritten``, all records behind position ``written``; return those to keep.

        At least one is kept: writing it is how the end of the shortage is noticed.
        """
        ...

    def on_space(self) -> None:
        """There is space again."""
        ...


class GroupCommit:
    """A journal on an event loop; :class:`..core.log.Log` for the rules.

    ``on_failure`` is called once when the disk fails: then nothing is durable any more and the process has to stop.
    """

    def __init__(
        self, journal: Journal, mode: SyncMode, storage: Storage, on_failure: Callable[[OSError], None]
    ) -> None:
        self._journal = journal
        self._mode = mode
        self._storage = storage
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync")
        self._durable = 0
        self._wanted = 0  # somebody waits for this position
        self._flush_scheduled = False
        self._syncing = False
        self._full = False
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

    @property
    def full(self) -> bool:
        """The disk has no space at present."""
        return self._full

    def append(self, record: bytes, holder: Placed | None = None) -> int:
        """Append a record; it is written at the end of this turn, and ``holder`` is told its offset then."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        return self._journal.append(record, holder)

    def commit(self) -> None:
        """Have everything appended so far made durable."""
        self._wanted = self._journal.position

    def read(self, segment: int, offset: int, least: int) -> bytes:
        """Read a record back. Raises :class:`Unreadable`; a disk that cannot be read fails as one that refuses writes.

        Nothing is durable then any more, so what the rules do about the record does not last.
        """
        try:
            return self._journal.read(segment, offset, least)
        except OSError as error:
            self._fail(error)
            raise Unreadable(str(error)) from error

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._failed or self._closed:
            return
        try:
            if self._full:
                self._journal.check_room(_ROOM_BYTES)
            self._journal.write()
        except OSError as error:
            if error.errno not in _NO_SPACE:
                self._fail(error)
                return
            self._wait_for_space(error)
        else:
            if self._full and self._journal.written == self._journal.position:
                self._full = False
                _LOG.warning("the disk has space again")
                self._storage.on_space()
        if self._mode == "never":
            self._advance(self._journal.written)
        elif self._wanted > self._durable < self._journal.written and not self._syncing:
            if self._mode == "always" or self._journal.written - self._durable >= _BATCH_RECORDS:
                self._start_sync()
            elif self._timer is None:
                self._timer = self._loop.call_later(_BATCH_SECONDS, self._start_sync)

    def _wait_for_space(self, error: OSError) -> None:
        if not self._full:
            self._full = True
            _LOG.warning("no space on the disk: %s; refusing messages until there is", error)
            self._journal.put_back(self._storage.on_full(self._journal.written, self._journal.take_unwritten()))
        self._flush_scheduled = True  # by time, not by the next record
        self._loop.call_later(_RETRY_SECONDS, self._flush)

    def _start_sync(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._syncing = True
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
            self._storage.on_durable()

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

"""The open journal: append, write, sync, go on to the next segment, drop the oldest."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ..core.log import Placed
from . import segments
from .files import AppendedFile, Files, OsFiles

SEGMENT_BYTES: Final = 32 * 1024 * 1024
_LOG: Final = logging.getLogger(__name__)


def read_all(folder: Path, on_damage: Callable[[], None] = lambda: None) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield ((segment, offset), record), oldest first, and cut what cannot be read off the last segment.

    A damaged tail of an older segment is skipped: each segment starts with everything but the messages, so what follows
    makes sense without it. Raises ``OSError``.
    """
    found = segments.numbers(folder)
    for number in found:
        path = segments.path_of(folder, number)
        with path.open("rb") as file:
            contents = segments.Contents(file, path.stat().st_size)
            for offset, record in contents.records():
                yield (number, offset), record
        if contents.damaged:
            _LOG.warning(
                "%s: bytes %d to %d cannot be read and are lost", path, contents.good_length, contents.total_length
            )
            on_damage()
            if number == found[-1]:
                os.truncate(path, contents.good_length)


class Journal:
    """A journal that is appended to. ``head`` yields the records that every new segment starts with.

    Positions count records since the journal was opened. All I/O errors come out as ``OSError``.
    """

    def __init__(
        self,
        folder: Path,
        head: Callable[[], Iterable[bytes]],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        files: Files | None = None,
    ) -> None:
        self._folder = folder
        self._files = files or OsFiles()
        self._head = head
        self._segment_bytes = segment_bytes
        self._reader = segments.Reader(folder)
        self._sizes = {number: segments.path_of(folder, number).stat().st_size for number in segments.numbers(folder)}
        self._buffer: list[bytes] = []
        self._holders: list[Placed | None] = []  # of the records in the buffer
        self.position = 0
        self.written = 0
        self._file = self._open(max(self._sizes, default=0) + 1)

    @property
    def segment(self) -> int:
        """The number of the segment that the next record goes to."""
        return self._current

    @property
    def oldest(self) -> int:
        """The number of the oldest segment."""
        return next(iter(self._sizes))  # they were added in this order

    @property
    def total_bytes(self) -> int:
        """What all segments take on disk."""
        return sum(self._sizes.values())

    def append(self, record: bytes, holder: Placed | None = None) -> int:
        """Buffer a record for the next write; return its position. ``holder`` is told its offset when it is written."""
        self._buffer.append(record)
        self._holders.append(holder)
        self.position += 1
        return self.position

    def take_unwritten(self) -> list[bytes]:
        """Take the buffered records out, oldest first; see :meth:`put_back`. Their holders are told nothing."""
        taken, self._buffer = self._buffer, []
        self._holders = []
        return taken

    def put_back(self, records: list[bytes]) -> None:
        """Buffer records before everything that was appended since they were taken out."""
        self._buffer[:0] = records
        self._holders[:0] = [None] * len(records)

    def write(self) -> None:
        """Hand the buffered records to the operating system, as one batch; a full segment is followed by a new one.

        When it fails the records stay buffered, and nothing of them is in the file.
        """
        if not self._buffer:
            return
        batch = segments.pack(self._buffer)
        try:
            self._file.write(batch)
        except OSError:
            self._file.truncate(self._sizes[self.segment])  # or the next batch would stand behind half a one
            raise
        start = self._sizes[self.segment]
        for holder, offset in zip(self._holders, segments.offsets(map(len, self._buffer), start), strict=True):
            if holder is not None:
                holder.placed(offset)
        self._sizes[self.segment] = start + len(batch)
        self._buffer.clear()
        self._holders.clear()
        self.written = self.position
        if self._sizes[self.segment] >= self._segment_bytes:
            self._file.sync()
            self._roll()

    def read(self, segment: int, offset: int, least: int) -> bytes:
        """Return a record that was written, of ``least`` bytes or more. Raises ``OSError`` and :class:`Unreadable`."""
        return self._reader.read(segment, offset, least)

    def check_room(self, size: int) -> None:
        """Raise ``OSError`` when the disk has no room for ``size`` bytes; leaves the segment as it is.

        It writes zeros and cuts them off again. A crash in between leaves them, and reading stops there.
        """
        try:
            self._file.write(bytes(size))
        finally:
            self._file.truncate(self._sizes[self.segment])

    def prepare_sync(self) -> Callable[[], None]:
        """Return a function that forces everything written so far to the disk; call it once, from any thread.

        This thread may go on to the next segment meanwhile; what stands in former segments was synced when they were
        full.
        """
        return self._file.prepare_sync()

    def drop_oldest(self) -> None:
        """Delete the oldest segment; never the one that is written."""
        if self.oldest == self.segment:
            raise ValueError("the segment that is written cannot be dropped")
        self._reader.forget(self.oldest)
        segments.path_of(self._folder, self.oldest).unlink()
        del self._sizes[self.oldest]

    def close(self) -> None:
        """Write, sync and close."""
        self.write()
        self._file.sync()
        self._file.close()
        self._reader.close()

    def _roll(self) -> None:
        """Go on to the next segment, or stay where there is no room for one and try again at the next write."""
        try:
            following = self._open(self.segment + 1)
        except OSError as error:
            _LOG.warning("%s: no new segment: %s; going on in the former", self._folder, error)
            return
        self._file.close()
        self._file = following

    def _open(self, number: int) -> AppendedFile:
        """Create a segment with its head, wholly on disk before anything else goes there."""
        head = list(self._head())
        start = segments.MAGIC + (segments.pack(head) if head else b"")
        path = segments.path_of(self._folder, number)
        opened = self._files.create(path)
        try:
            opened.write(start)
            opened.sync()
            self._files.sync_folder(self._folder)
        except OSError:
            opened.close()
            path.unlink(missing_ok=True)
            raise
        self._sizes[number] = len(start)
        self._current = number
        return opened

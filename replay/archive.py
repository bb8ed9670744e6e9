"""An archive: a folder of closed segments, one open journal, and a manifest that says which files count.

::

    <archive>/manifest.json            which segments there are, with counts, times and check sums
    <archive>/000000000000.parquet …   named by their first sequence
    <archive>/journal                  captured, flushed, and not yet in a segment
    <archive>/lock                     held by the process that captures

A segment counts when the manifest names it, and the manifest is replaced as a whole. A kill between any two steps
leaves rows in the journal, in a segment, or in both; opening the archive takes each once.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from crep.harness.brokers.contract import Message
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.journal import Journal
from crep.replay.segment import Segment, digest, merge_segments, sync_folder, write_segment
from crep.replay.stored import COLUMNS, Row, Stored, to_row

SCHEMA = 1
_MANIFEST, _JOURNAL, _LOCK = "manifest.json", "journal", "lock"
_MICRO = 1_000_000
_MERGE_AT = 8  # small segments that follow each other
_POSITION, _STORED_MS = COLUMNS.index("position"), COLUMNS.index("stored_ms")

Captured = tuple[int, Message]
"""When a message was received (Unix microseconds), and the message."""


@dataclass(frozen=True)
class Rolling:
    """When the journal becomes a segment, and how long segments are kept. None: no such limit."""

    after_bytes: int = 64 << 20
    after_s: float = 300.0
    keep_s: float | None = None
    keep_bytes: int | None = None
    merge_below: int = 8 << 20  # segments smaller than this that follow each other become one


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself. ``source``: target, place and system that it was captured from."""

    name: str
    source: dict[str, str]
    segments: tuple[Segment, ...] = ()
    removed: int = 0  # messages that retention has removed
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)  # Kafka: partition → next offset, latest ms
    schema: int = SCHEMA

    @property
    def next_sequence(self) -> int:
        """Behind the last segment."""
        last = self.segments[-1] if self.segments else None
        return self.removed if last is None else last.first_sequence + last.count


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an archive.

    Raises:
        UsageError: there is none, it is damaged, or of a later version.
    """
    path = folder / _MANIFEST
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.get("schema") != SCHEMA:
            raise UsageError(
                f"{path}: schema {data.get('schema')!r} is not understood by this version, which has {SCHEMA}"
            )
        return Manifest(**{**data, "segments": tuple(Segment(**segment) for segment in data["segments"])})
    except FileNotFoundError:
        raise UsageError(f"{folder} is no archive: it has no {_MANIFEST}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is damaged: {error}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest as a whole."""
    draft = folder / f"{_MANIFEST}.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _MANIFEST)
    sync_folder(folder)


class Archive:
    """An archive that is being written. One process at a time; ``append`` returns when nothing can be lost any more.

    Args:
        folder: of the archive; made where it is not there.
        source: what is captured; an archive takes messages of one source only.
        rolling: when the journal becomes a segment.
        say: takes lines for people: what was recovered, set aside or removed.

    Raises:
        EnvironmentFailure: another process captures into it.
        UsageError: it holds messages of another source, or is damaged.
    """

    def __init__(
        self,
        folder: Path,
        source: dict[str, str],
        rolling: Rolling | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self._rolling, self._say = folder, rolling or Rolling(), say
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        if not (folder / _MANIFEST).exists():
            write_manifest(folder, Manifest(folder.name, source))
        self.manifest = read_manifest(folder)
        if self.manifest.source != source:
            raise UsageError(
                f"{folder} holds messages of {self.manifest.source}, not of {source}: name another archive"
            )
        self._journal = Journal(folder / _JOURNAL)
        self._opened_s = time.monotonic()
        self._recover()
        self._known = _Known(self.manifest, self._journal)
        self.doubled = 0  # came again from the source and are in the archive already

    def _recover(self) -> None:
        if self._journal.set_aside is not None:
            self._say(
                f"the last write was cut off by a kill; its {self._journal.set_aside.stat().st_size} bytes are set "
                f"aside in {self._journal.set_aside} (their message was not accepted and comes again)"
            )
        if self._journal.rows and self._journal.rows[0][0] < self.manifest.next_sequence:
            self._journal.remove()  # its segment was written and named before a kill
            self._journal = Journal(self.folder / _JOURNAL)
        elif self._journal.rows:
            self._say(f"{len(self._journal.rows)} messages of the capture before are recovered")
        named = {segment.file for segment in self.manifest.segments}
        for path in self.folder.glob("*.parquet*"):
            if path.name not in named:
                path.unlink()  # a draft, or a segment that the manifest does not name yet: its rows are in the journal

    @property
    def next_sequence(self) -> int:
        """Of the next message."""
        rows = self._journal.rows
        return self.manifest.next_sequence if not rows else int(rows[-1][0]) + 1

    def append(self, messages: Sequence[Captured]) -> int:
        """Store messages; those that are in the archive already (they came again) are only counted.

        Returns:
            How many were new.

        Raises:
            EnvironmentFailure: a topic was deleted and made again, so that positions mean other messages now.
        """
        sequence, rows = self.next_sequence, list[Row]()
        for captured_us, message in messages:
            if self._known.has(message):
                self.doubled += 1
                continue
            self._known.add(message.position, message.stored_ms)
            rows.append(to_row(Stored(sequence + len(rows), captured_us, message)))
        if rows:
            self._journal.append(rows)
        return len(rows)

    def tend(self) -> None:
        """Roll the journal where it is due, and keep what retention says. To be called now and then."""
        aged = time.monotonic() - self._opened_s >= self._rolling.after_s
        if self._journal.size >= self._rolling.after_bytes or (aged and self._journal.rows):
            self.roll()

    def roll(self) -> None:
        """Make a segment of the journal."""
        self._opened_s = time.monotonic()
        if not self._journal.rows:
            return
        segment = write_segment(self.folder, self._journal.rows)
        segments = (*self.manifest.segments, segment)
        self._write(replace(self.manifest, segments=segments, positions=self._known.partitions()))
        self._journal.remove()
        self._journal = Journal(self.folder / _JOURNAL)
        self._merge()
        self._retain()

    def _merge(self) -> None:
        """The last segments, where they are small, become one."""
        segments = self.manifest.segments
        small = len(segments)
        while small and segments[small - 1].bytes < self._rolling.merge_below:
            small -= 1
        parts = segments[small:]
        if len(parts) < _MERGE_AT:
            return
        merged = merge_segments(self.folder, parts)
        self._write(replace(self.manifest, segments=(*segments[:small], merged)))
        for part in parts:
            (self.folder / part.file).unlink()

    def _retain(self) -> None:
        kept = list(self.manifest.segments)
        limit_us = None if self._rolling.keep_s is None else (time.time() - self._rolling.keep_s) * _MICRO
        gone: list[Segment] = []
        while len(kept) > 1 and (
            (limit_us is not None and kept[0].last_us < limit_us)
            or (self._rolling.keep_bytes is not None and sum(one.bytes for one in kept) > self._rolling.keep_bytes)
        ):
            gone.append(kept.pop(0))
        if gone:
            count = sum(one.count for one in gone)
            self._write(replace(self.manifest, segments=tuple(kept), removed=self.manifest.removed + count))
            for segment in gone:
                (self.folder / segment.file).unlink()
            self._say(f"retention removed {count} messages in {len(gone)} segment(s)")

    def _write(self, manifest: Manifest) -> None:
        write_manifest(self.folder, manifest)
        self.manifest = manifest

    def close(self) -> None:
        """Make a segment of what is open, and let others in."""
        self.roll()
        self._journal.remove()
        self._lock.close()


class _Known:
    """Which messages the archive holds, as far as they can come again: what was captured and not accepted in time.

    A Kafka position is ``topic[partition]@offset``: the highest offset of each partition says it all. Other brokers'
    positions are remembered one by one, for the latest messages.
    """

    MOST = 100_000

    def __init__(self, manifest: Manifest, journal: Journal) -> None:
        self._partitions = {name: (int(at[0]), int(at[1])) for name, at in manifest.positions.items()}
        self._positions: dict[str, None] = {}
        for row in journal.rows:
            self.add(row[_POSITION], row[_STORED_MS])

    def has(self, message: Message) -> bool:
        """Whether it is there; a message without a position never is.

        Raises:
            EnvironmentFailure: its offset is known and its time is later than all that is known of the partition.
        """
        position = message.position
        if position is None:
            return False
        partition, at, offset = position.rpartition("@")
        if not at:
            return position in self._positions
        following, latest_ms = self._partitions.get(partition, (0, 0))
        if int(offset) >= following:
            return False
        if message.stored_ms is not None and message.stored_ms > latest_ms:
            raise EnvironmentFailure(
                f"{position} is a later message than the one of that place in the archive: the topic was made anew",
                hint="capture it into another archive",
            )
        return True

    def add(self, position: str | None, stored_ms: int | None) -> None:
        """It is there now."""
        if position is None:
            return
        partition, at, offset = position.rpartition("@")
        if at:
            _, latest_ms = self._partitions.get(partition, (0, 0))
            self._partitions[partition] = int(offset) + 1, max(latest_ms, stored_ms or 0)
            return
        self._positions[position] = None
        while len(self._positions) > self.MOST:
            del self._positions[next(iter(self._positions))]

    def partitions(self) -> dict[str, tuple[int, int]]:
        """Kafka's partitions, each with its next offset and its latest time."""
        return dict(self._partitions)


def _locked(folder: Path) -> IO[str]:
    lock = (folder / _LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EnvironmentFailure(f"another process captures into {folder}") from None
    return lock


def verify_archive(folder: Path) -> list[str]:
    """What is wrong with an archive's files; nothing where all check sums are right."""
    wrong = []
    for segment in read_manifest(folder).segments:
        path = folder / segment.file
        if not path.exists():
            wrong.append(f"{segment.file} is missing: {segment.count} messages from sequence {segment.first_sequence}")
        elif digest(path) != segment.sha256:
            wrong.append(f"{segment.file} was changed: its SHA-256 is another one than the manifest's")
    return wrong

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
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import duckdb

from crep.harness.brokers.contract import Message
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.journal import Journal
from crep.replay.known import Known
from crep.replay.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from crep.replay.segment import Segment, digest, load_writer, merge_segments, write_segment
from crep.replay.stored import Row, Stored, to_row

JOURNAL, _LOCK = "journal", "lock"
_MICRO = 1_000_000
_MAGIC = b"PAR1"  # a Parquet file ends with it
_MERGE_AT = 8  # small segments that follow each other
_RETAIN_EVERY_S = 10.0

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
        load_writer()
        self.doubled = 0  # came again from the source and are in the archive already
        self._opened_s = self._retained_s = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
        except OSError as error:
            raise EnvironmentFailure(f"{folder} cannot be written: {error.strerror}") from None
        try:
            self._open(source)
        except BaseException:
            self._lock.close()
            raise

    def _open(self, source: dict[str, str]) -> None:
        if not (self.folder / MANIFEST).exists():
            write_manifest(self.folder, Manifest(self.folder.name, source))
        self.manifest = read_manifest(self.folder)
        if self.manifest.source != source:
            raise UsageError(
                f"{self.folder} holds messages of {told(self.manifest.source)}, not of {told(source)}",
                hint="name another archive",
            )
        self._journal = Journal(self.folder / JOURNAL)
        self._recover()
        self._known = Known(self.manifest, self._journal, self.folder)

    def _recover(self) -> None:
        for segment in self.manifest.segments:
            self._set_aside_if_damaged(segment)
        if self._journal.set_aside is not None:
            self._say(
                f"the last write was cut off; its {self._journal.set_aside.stat().st_size} bytes are set aside in "
                f"{self._journal.set_aside} (what they hold was not accepted at its source and comes again)"
            )
        if self._journal.rows and self._journal.rows[0][0] < self.manifest.next_sequence:
            self._journal.remove()  # its segment was written and named before a kill
            self._journal = Journal(self.folder / JOURNAL)
        elif self._journal.rows:
            self._say(f"{len(self._journal.rows)} messages of the capture before are recovered")
        named = {segment.file for segment in self.manifest.segments}
        for path in self.folder.glob("*.parquet*"):
            if path.name not in named:
                path.unlink()  # a draft, or a segment that the manifest does not name yet: its rows are in the journal

    def _set_aside_if_damaged(self, segment: Segment) -> None:
        path = self.folder / segment.file
        why = damage_of(path, segment)
        if why is None:
            return
        if path.exists():
            path.rename(path.with_suffix(".damaged"))
        kept = tuple(one for one in self.manifest.segments if one != segment)
        self._write(replace(self.manifest, segments=kept, damaged=self.manifest.damaged + segment.count))
        self._say(
            f"{segment.file} {why}: its {segment.count} messages (sequences {segment.first_sequence} to "
            f"{segment.end - 1}) are left out, the file is kept as *.damaged"
        )

    @property
    def next_sequence(self) -> int:
        """Of the next message."""
        rows = self._journal.rows
        return self.manifest.next_sequence if not rows else int(rows[-1][0]) + 1

    def reached(self) -> dict[str, int]:
        """Kafka: ``topic[partition]`` → the offset behind the last that is here."""
        return {partition: following for partition, (following, _) in self._known.partitions().items()}

    def last_position(self) -> str | None:
        """Other brokers: the position of the latest message that has one."""
        return self._known.last()

    def append(self, messages: Sequence[Captured]) -> int:
        """Store messages; those that are in the archive already (they came again) are only counted.

        Returns:
            How many were new.

        Raises:
            EnvironmentFailure: the disk does not take them; or a topic was deleted and made again, so that positions
                mean other messages now.
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
        elif time.monotonic() - self._retained_s >= _RETAIN_EVERY_S:
            self._retain()

    def roll(self) -> None:
        """Make a segment of the journal."""
        self._opened_s = time.monotonic()
        if not self._journal.rows:
            return
        try:
            segment = write_segment(self.folder, self._journal.rows)
        except (duckdb.Error, OSError) as error:
            raise EnvironmentFailure(
                f"no segment can be written in {self.folder}: {error}",
                hint="everything captured so far is in its journal and becomes a segment with the next capture",
            ) from error
        self._write(
            replace(
                self.manifest,
                segments=(*self.manifest.segments, segment),
                next_sequence=segment.end,
                positions=self._known.partitions(),
            )
        )
        self._journal.remove()
        self._journal = Journal(self.folder / JOURNAL)
        self._merge()
        self._retain()

    def _merge(self) -> None:
        """The last segments, where they are small, become one."""
        segments = self.manifest.segments
        small = len(segments)
        while small and segments[small - 1].bytes < self._rolling.merge_below:
            if small < len(segments) and segments[small - 1].end != segments[small].first_sequence:
                break  # a damaged one stood between
            small -= 1
        parts = segments[small:]
        if len(parts) < _MERGE_AT:
            return
        merged = merge_segments(self.folder, parts)
        self._write(replace(self.manifest, segments=(*segments[:small], merged)))
        for part in parts:
            (self.folder / part.file).unlink()

    def _retain(self) -> None:
        self._retained_s = time.monotonic()
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
        try:
            self.roll()
            self._journal.remove()
        finally:
            self._lock.close()

    def leave(self) -> None:
        """Let others in and leave everything as it is, as a kill does: the next capture recovers it."""
        self._journal.close()
        self._lock.close()


def _locked(folder: Path) -> IO[str]:
    lock = (folder / _LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EnvironmentFailure(f"another process captures into {folder}") from None
    return lock


def damage_of(path: Path, segment: Segment) -> str | None:
    """What a look at a segment's length and end tells: *is missing*, *is cut off*; None: nothing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size != segment.bytes:
                return f"is cut off: {size} of {segment.bytes} bytes are there" if size < segment.bytes else "has grown"
            file.seek(-len(_MAGIC), os.SEEK_END)
            return None if file.read() == _MAGIC else "has lost its end"
    except FileNotFoundError:
        return "is missing"


def verify_archive(folder: Path) -> list[str]:
    """What is wrong with an archive's files; nothing where all check sums are right."""
    wrong = []
    for segment in read_manifest(folder).segments:
        path = folder / segment.file
        what = damage_of(path, segment)
        if what is None and digest(path) != segment.sha256:
            what = "was changed: its SHA-256 is another one than the manifest's"
        if what is not None:
            wrong.append(f"{segment.file} {what} ({segment.count} messages from sequence {segment.first_sequence})")
    return wrong


def told(source: dict[str, str]) -> str:
    """A source for people: ``orders of kafka-local``."""
    return f"{source.get('place', '?')} of {source.get('target', '?')}"

"""Which messages of an archive, and the way to read them: DuckDB over the segments that can hold any.

Segments and the rows in them lie in the order of capture, so nothing is sorted and memory is bounded by a part of one
segment. Capture, compaction and retention may go on meanwhile: what was merged is read from the merged segment, what
was removed is not found any more, which the reader counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import duckdb

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.archive import JOURNAL
from crep.replay.journal import whole_rows
from crep.replay.manifest import Manifest, read_manifest
from crep.replay.remap import topic_expression
from crep.replay.segment import Segment, write_segment
from crep.replay.stored import COLUMNS, Row, Stored, from_row

FETCH = 256  # rows that are made Python objects at once: half a millisecond in which no other thread runs
_TRIES = 100
Times = Literal["captured", "broker", "none"]
TIMES: dict[Times, str] = {"captured": "captured_us", "broker": "stored_ms * 1000", "none": "NULL::BIGINT"}
"""Which time of a message counts, as SQL (microseconds): of its capture, the broker's own (Kafka's timestamp), or none
where neither says anything (read from Solace's replay log)."""


@dataclass(frozen=True)
class Selection:
    """Conditions that all hold. Times are Unix microseconds, ``until_us`` is behind the last.

    ``topic``: levels by ``/``, ``*`` within a level and a final ``>`` for all further ones; or a whole topic.
    ``properties``: name → value, both text. ``payload``: a regular expression (RE2), found anywhere in a payload that
    is UTF-8; others do not match. ``limit`` counts from behind ``after_sequence``.
    """

    from_us: int | None = None
    until_us: int | None = None
    topic: str | None = None
    key: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    payload: str | None = None
    after_sequence: int = -1
    until_sequence: int | None = None
    limit: int | None = None
    times: Times = "captured"

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL conditions and their values."""
        time = TIMES[self.times]
        found: list[tuple[str, list[Any]]] = [("sequence > ?", [self.after_sequence])]
        if self.until_sequence is not None:
            found.append(("sequence < ?", [self.until_sequence]))
        if self.from_us is not None:
            found.append((f"{time} >= ?", [self.from_us]))
        if self.until_us is not None:
            found.append((f"{time} < ?", [self.until_us]))
        if self.topic is not None:
            found.append(("regexp_full_match(topic, ?)", [topic_expression(self.topic)]))
        if self.key is not None:
            found.append(("key = ?", [self.key.encode()]))
        for name, value in self.properties:
            found.append(("json_extract_string(properties, ?) = ?", [_pointer(name), value]))
        if self.payload is not None:
            found.append(("regexp_matches(TRY(decode(payload)), ?)", [self.payload]))
        return [text for text, _ in found], [value for _, values in found for value in values]

    def may_hold(self, segment: Segment) -> bool:
        """Whether any message of a segment can be meant."""
        by_time = self.times == "captured"
        return not (
            (by_time and self.from_us is not None and segment.last_us < self.from_us)
            or (by_time and self.until_us is not None and segment.first_us >= self.until_us)
            or segment.end <= self.after_sequence + 1
            or (self.until_sequence is not None and segment.first_sequence >= self.until_sequence)
        )

    def check(self) -> None:
        """Raise UsageError where the expression for the payload is none."""
        if self.payload is None:
            return
        try:
            with duckdb.connect() as connection:
                connection.execute("SELECT regexp_matches('', ?)", [self.payload]).fetchall()
        except duckdb.Error as error:
            reason = str(error).removeprefix("Invalid Input Error: ")
            raise UsageError(f"payload: {self.payload!r} is no regular expression (RE2): {reason}") from None


def _pointer(name: str) -> str:
    """A JSON pointer (RFC 6901) to a property."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True)
class Summary:
    """What a selection holds: for a dry run. ``topics``: messages by topic, most first."""

    count: int
    bytes: int  # of payloads
    first_us: int | None
    last_us: int | None
    topics: tuple[tuple[str, int], ...] = ()
    end_sequence: int = 0  # behind the last one
    without_time: int = 0  # the broker told no time of theirs


class Reader:
    """What an archive holds when the reader is made: closed segments, and what a capture has flushed since.

    A context manager: what is not in a segment yet lies in a temporary file until the end.

    Raises:
        UsageError: there is no archive, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = TemporaryDirectory(prefix="crep-replay-")
        self.manifest, rows = _snapshot(folder)
        self._open = write_segment(Path(self._temporary.name), rows) if rows else None
        self.end = self.manifest.next_sequence + len(rows)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    @property
    def first_sequence(self) -> int:
        """Of the oldest message that retention has left."""
        return self.manifest.removed

    def summary(self, selection: Selection) -> Summary:
        """Counts and times, by a look at every message; nothing is sent."""
        selection.check()
        conditions, values = selection.conditions()
        # constants, and values as parameters
        inner = (
            f"SELECT topic, sequence, octet_length(payload) AS size, {TIMES[selection.times]} AS moment "  # noqa: S608
            f"FROM read_parquet(?) WHERE {' AND '.join(conditions)}"
        )
        if selection.limit is not None:
            inner += f" LIMIT {int(selection.limit)}"
        query = (
            "SELECT topic, count(*) AS messages, coalesce(sum(size), 0), min(moment), max(moment), "  # noqa: S608
            "count(*) - count(moment), max(sequence) "
            f"FROM ({inner}) GROUP BY topic ORDER BY messages DESC, topic"
        )
        found = self._asked(query, selection, values)
        starts, ends = ([row[place] for row in found if row[place] is not None] for place in (3, 4))
        return Summary(
            sum(row[1] for row in found),
            int(sum(row[2] for row in found)),
            min(starts, default=None),
            max(ends, default=None),
            tuple((row[0], row[1]) for row in found),
            max((row[6] + 1 for row in found), default=0),
            sum(row[5] for row in found),
        )

    def _asked(self, query: str, selection: Selection, values: list[Any]) -> list[Any]:
        """The answer over all segments; again where one was merged or removed meanwhile."""
        for _ in range(_TRIES):
            paths = [path for segment, path in self._segments() if selection.may_hold(segment)]
            if not paths:
                return []
            try:
                with duckdb.connect() as connection:
                    found: list[Any] = connection.execute(query, [paths, *values]).fetchall()
                    return found
            except duckdb.Error as error:
                if all(Path(path).exists() for path in paths):
                    raise EnvironmentFailure(f"{self._folder} cannot be read: {error}") from error
                self.manifest = read_manifest(self._folder)
        raise EnvironmentFailure(f"{self._folder} changes faster than it can be read, or misses a segment")

    def messages(self, selection: Selection) -> Iterator[Stored]:
        """The messages in the order of their capture."""
        for rows in self.rows(selection):
            yield from map(from_row, rows)

    def rows(self, selection: Selection) -> Iterator[list[Row]]:
        """The same as rows, some hundred at a time.

        Raises:
            EnvironmentFailure: a segment cannot be read.
        """
        selection.check()
        here, left, missing = selection, selection.limit, 0
        while left is None or left > 0:
            part = next(((one, path) for one, path in self._segments() if here.may_hold(one)), None)
            if part is None:
                return
            segment, path = part
            try:
                for rows in _fetched(path, replace(here, limit=left)):
                    yield rows
                    here = replace(here, after_sequence=rows[-1][0])
                    left = None if left is None else left - len(rows)
            except duckdb.Error as error:
                if Path(path).exists():
                    raise EnvironmentFailure(f"{path} cannot be read: {error}") from error
                missing += 1
                if missing > _TRIES:
                    raise EnvironmentFailure(f"{path} is missing", hint="crep replay archives --verify") from error
                self.manifest = read_manifest(self._folder)  # it was merged or removed
                continue
            here = replace(here, after_sequence=segment.end - 1)

    def _segments(self) -> list[tuple[Segment, str]]:
        closed = [(segment, str(self._folder / segment.file)) for segment in self.manifest.segments]
        if self._open is None:
            return closed
        behind = [one for one in closed if one[0].first_sequence < self._open.first_sequence]
        return [*behind, (self._open, str(Path(self._temporary.name) / self._open.file))]


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")  # rows come in order either way; a second thread would only run ahead
        yield connection


def _fetched(path: str, selection: Selection) -> Iterator[list[Row]]:
    conditions, values = selection.conditions()
    query = f"SELECT {', '.join(COLUMNS)} FROM read_parquet(?) WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants
    if selection.limit is not None:
        query += f" LIMIT {int(selection.limit)}"
    with _connected() as connection:
        found = connection.execute(query, [path, *values])
        while rows := found.fetchmany(FETCH):
            yield rows


def _snapshot(folder: Path) -> tuple[Manifest, list[Row]]:
    """The manifest, and the rows of the journal behind it; both of one moment, while a capture may go on."""
    for _ in range(_TRIES):
        manifest = read_manifest(folder)
        rows = whole_rows(folder / JOURNAL)
        if read_manifest(folder) == manifest:
            return manifest, [row for row in rows if row[0] >= manifest.next_sequence]
    raise EnvironmentFailure(f"{folder} changes faster than it can be read")

"""Which messages of an archive, and the way to read them: DuckDB over the segments that can hold any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from crep.replay.archive import Manifest, read_manifest
from crep.replay.segment import Segment
from crep.replay.stored import COLUMNS, Stored, from_row

_FETCH = 5000


@dataclass(frozen=True)
class Selection:
    """Conditions that all hold. Times are Unix microseconds of capture, ``until_us`` is behind the last.

    ``topic``: levels by ``/`` with ``*`` for any one level and a final ``>`` for all further ones; or a whole topic.
    ``properties``: name → value, both text. ``payload``: a regular expression (RE2) on the payload as text.
    """

    from_us: int | None = None
    until_us: int | None = None
    topic: str | None = None
    key: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    payload: str | None = None
    after_sequence: int = -1
    limit: int | None = None

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL conditions and their values."""
        found: list[tuple[str, list[Any]]] = [("sequence > ?", [self.after_sequence])]
        if self.from_us is not None:
            found.append(("captured_us >= ?", [self.from_us]))
        if self.until_us is not None:
            found.append(("captured_us < ?", [self.until_us]))
        if self.topic is not None:
            found.append(("regexp_full_match(topic, ?)", [topic_expression(self.topic)]))
        if self.key is not None:
            found.append(("key = ?", [self.key.encode()]))
        for name, value in self.properties:
            found.append(("json_extract_string(properties, ?) = ?", [f'$."{_escaped(name)}"', value]))
        if self.payload is not None:
            found.append(("regexp_matches(decode(payload), ?)", [self.payload]))
        return [text for text, _ in found], [value for _, values in found for value in values]

    def may_hold(self, segment: Segment) -> bool:
        """Whether any message of a segment can be meant."""
        return not (
            (self.from_us is not None and segment.last_us < self.from_us)
            or (self.until_us is not None and segment.first_us >= self.until_us)
            or segment.first_sequence + segment.count <= self.after_sequence + 1
        )


def topic_expression(pattern: str) -> str:
    """A pattern as a regular expression for the whole topic."""
    levels = pattern.split("/")
    parts = ["[^/]*" if level == "*" else re.escape(level) for level in levels]
    if levels[-1] == ">":
        parts[-1] = ".+"
    return "/".join(parts)


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


@dataclass(frozen=True)
class Summary:
    """What a selection holds: for a dry run."""

    count: int
    bytes: int  # of payloads
    first_us: int | None
    last_us: int | None


class Reader:
    """Reads the closed segments of an archive; capture may go on meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.manifest: Manifest = read_manifest(folder)

    def summary(self, selection: Selection) -> Summary:
        """Count, payload bytes and times; nothing is sent."""
        query, values = self._query(selection, "captured_us, octet_length(payload) AS size")
        if query is None:
            return Summary(0, 0, None, None)
        total = f"SELECT count(*), coalesce(sum(size), 0), min(captured_us), max(captured_us) FROM ({query})"  # noqa: S608
        with duckdb.connect() as connection:
            [(count, size, first, last)] = connection.execute(total, values).fetchall()
        return Summary(int(count), int(size), first, last)

    def messages(self, selection: Selection) -> Iterator[Stored]:
        """The messages in the order of their capture."""
        query, values = self._query(selection, ", ".join(COLUMNS))
        if query is None:
            return
        with duckdb.connect() as connection:
            found = connection.execute(query, values)
            while rows := found.fetchmany(_FETCH):
                yield from map(from_row, rows)

    def _query(self, selection: Selection, columns: str) -> tuple[str | None, list[Any]]:
        files = [str(self._folder / one.file) for one in self.manifest.segments if selection.may_hold(one)]
        if not files:
            return None, []
        conditions, values = selection.conditions()
        query = f"SELECT {columns} FROM read_parquet(?) WHERE {' AND '.join(conditions)} ORDER BY sequence"  # noqa: S608
        if selection.limit is None:
            return query, [files, *values]
        return f"{query} LIMIT ?", [files, *values, selection.limit]

"""The closed parts of an archive: Parquet files, written and read by DuckDB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

from crep.replay.stored import COLUMNS, Row

_CHUNK = 1 << 20
_ROWS = 5000  # that are handed to DuckDB at once: some milliseconds in which no other thread runs
_TYPES = {
    "sequence": "BIGINT",
    "captured_us": "BIGINT",
    "topic": "VARCHAR",
    "key": "BLOB",
    "key_is_text": "BOOLEAN",
    "payload": "BLOB",
    "properties": "VARCHAR",
    "ttl_ms": "BIGINT",
    "priority": "BIGINT",
    "stored_ms": "BIGINT",
}
_NUMBERS = frozenset(name for name, kind in _TYPES.items() if kind == "BIGINT")


@dataclass(frozen=True)
class Segment:
    """One file, as the manifest has it. Times are Unix microseconds of the first and last capture."""

    file: str
    count: int
    first_sequence: int
    first_us: int
    last_us: int
    bytes: int
    sha256: str

    @property
    def end(self) -> int:
        """The sequence behind its last message: within a segment none is left out."""
        return self.first_sequence + self.count


def write_segment(folder: Path, rows: Sequence[Row]) -> Segment:
    """Write rows (at least one, in the order of their sequence) as a file, whole or not at all."""
    file = f"{rows[0][0]:012d}.parquet"
    draft, path = folder / f"{file}.draft", folder / file
    with _connected() as connection:
        typed = ", ".join(f"{name} {_TYPES.get(name, 'VARCHAR')}" for name in COLUMNS)
        connection.execute(f"CREATE TABLE segment ({typed})")
        for start in range(0, len(rows), _ROWS):
            _insert(connection, rows[start : start + _ROWS])
        _copy(connection, "SELECT * FROM segment", draft)
    times = [row[1] for row in rows]  # a clock that is set may go back
    return _placed(draft, path, len(rows), first_sequence=rows[0][0], first_us=min(times), last_us=max(times))


def load_writer() -> None:
    """Import what only writing needs: a third of the start of a process, which one that replays does without, and a
    capture is to have before messages come."""
    import_module("pandas")


def _insert(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
    """Columns without any value, which most are, cost nothing."""
    pd = import_module("pandas")
    given: dict[str, Any] = {}
    for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True):
        if any(value is not None for value in values):
            whole = name in _NUMBERS
            given[name] = pd.array(values, dtype="Int64") if whole else pd.Series(values, dtype=object)
    frame = pd.DataFrame(given)
    connection.register("frame", frame)
    names = ", ".join(given)
    connection.execute(f"INSERT INTO segment ({names}) SELECT {names} FROM frame")  # noqa: S608 - our own names
    connection.unregister("frame")


def merge_segments(folder: Path, parts: Sequence[Segment]) -> Segment:
    """One file out of several that follow each other; the old ones stay until the manifest names the new one."""
    file = f"{parts[0].first_sequence:012d}-{parts[-1].first_sequence:012d}.parquet"
    draft, path = folder / f"{file}.draft", folder / file
    with _connected() as connection:
        paths = ", ".join(_quoted(folder / part.file) for part in parts)
        _copy(connection, f"SELECT * FROM read_parquet([{paths}])", draft)  # noqa: S608 - our own names
    return _placed(
        draft,
        path,
        sum(part.count for part in parts),
        first_sequence=parts[0].first_sequence,
        first_us=min(part.first_us for part in parts),
        last_us=max(part.last_us for part in parts),
    )


def arrange_segments(folder: Path, parts: Sequence[Segment]) -> Segment:
    """One file with new sequences: ordered by the broker's times, each Kafka partition in its own order.

    A message that is older than its forerunner in the partition (publishers set the times) stands right behind it.
    """
    file = f"{parts[0].first_sequence:012d}-arranged.parquet"
    draft, path = folder / f"{file}.draft", folder / file
    paths = ", ".join(_quoted(folder / part.file) for part in parts)
    others = ", ".join(name for name in COLUMNS if name != "sequence")
    running = (
        "max(coalesce(stored_ms, 0)) OVER (PARTITION BY regexp_extract(position, '^(.*)@', 1) ORDER BY sequence "
        "ROWS UNBOUNDED PRECEDING)"
    )
    query = (
        f"SELECT row_number() OVER (ORDER BY due, sequence) - 1 AS sequence, {others} "  # noqa: S608 - our own names
        f"FROM (SELECT *, {running} AS due FROM read_parquet([{paths}])) ORDER BY due, sequence"
    )
    with _connected() as connection:
        connection.execute(f"SET temp_directory = {_quoted(folder / 'temporary')}")
        _copy(connection, query, draft)
    first, last = min(part.first_us for part in parts), max(part.last_us for part in parts)
    return _placed(draft, path, sum(part.count for part in parts), first_sequence=0, first_us=first, last_us=last)


def _copy(connection: duckdb.DuckDBPyConnection, query: str, draft: Path) -> None:
    connection.execute(f"COPY ({query}) TO {_quoted(draft)} (FORMAT parquet, COMPRESSION zstd)")


def _placed(draft: Path, path: Path, count: int, *, first_sequence: int, first_us: int, last_us: int) -> Segment:
    """Give a whole file its name, so that it outlives a crash of the machine."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)
    return Segment(path.name, count, first_sequence, first_us, last_us, path.stat().st_size, digest(path))


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        yield connection


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"

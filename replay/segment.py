"""The closed parts of an archive: Parquet files, written and read by DuckDB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from crep.replay.stored import COLUMNS, Row

_CHUNK = 1 << 20
_WHOLE_NUMBERS = frozenset({"ttl_ms", "priority", "stored_ms"})
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
SELECT_TYPED = ", ".join(f"{name}::{_TYPES.get(name, 'VARCHAR')} AS {name}" for name in COLUMNS)


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


def write_segment(folder: Path, rows: Sequence[Row]) -> Segment:
    """Write rows (at least one, in the order of their sequence) as a file, whole or not at all."""
    file = f"{rows[0][0]:012d}.parquet"
    draft, path = folder / f"{file}.draft", folder / file
    columns: dict[str, Any] = {}
    for place, name in enumerate(COLUMNS):
        values = [row[place] for row in rows]
        columns[name] = pd.array(values, dtype="Int64") if name in _WHOLE_NUMBERS else pd.Series(values, dtype=object)
    frame = pd.DataFrame(columns)
    with _connected() as connection:
        connection.register("frame", frame)
        _copy(connection, f"SELECT {SELECT_TYPED} FROM frame ORDER BY sequence", draft)  # noqa: S608 - constants
    return _placed(draft, path, len(rows), first_sequence=rows[0][0], first_us=rows[0][1], last_us=rows[-1][1])


def merge_segments(folder: Path, parts: Sequence[Segment]) -> Segment:
    """One file out of several that follow each other; the old ones stay until the manifest names the new one."""
    file = f"{parts[0].first_sequence:012d}-{parts[-1].first_sequence:012d}.parquet"
    draft, path = folder / f"{file}.draft", folder / file
    with _connected() as connection:
        paths = ", ".join(_quoted(folder / part.file) for part in parts)
        _copy(connection, f"SELECT * FROM read_parquet([{paths}]) ORDER BY sequence", draft)  # noqa: S608 - our own names
    count, first = sum(part.count for part in parts), parts[0]
    return _placed(
        draft, path, count, first_sequence=first.first_sequence, first_us=first.first_us, last_us=parts[-1].last_us
    )


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

"""A CSV or Parquet file in memory, read by DuckDB, and read again in the background when the file has changed."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import duckdb

from crep.enrichment.lookups import Row

_READERS = {".csv": "read_csv", ".parquet": "read_parquet"}
_Mark = tuple[int, int, int]  # mtime ns, size, inode


class Table:
    """Rows by one column. Keys are compared as text, so that 7 in a message finds 7 in a file.

    While a new version is being read, and when it cannot be read, the old one answers; the failure is counted.
    """

    def __init__(self, path: Path, key: str, reload_s: float) -> None:
        if path.suffix not in _READERS:
            raise ValueError(f"{path.name}: a table is a .csv or a .parquet file")
        self._path, self._key, self._reload_s = path, key, reload_s
        self._mark = _mark_of(path)
        if self._mark is None:
            raise ValueError(f"there is no table {path}")
        self._rows = self._read()
        self._looked_s = time.monotonic()
        self._reading = threading.Lock()
        self._counts = {"reloads": 0, "reload_failures": 0}
        self.last_failure: str | None = None

    def get(self, value: Any) -> Row | None:
        """A dictionary's answer; at most once in ``reload`` one look at the file."""
        now = time.monotonic()
        if now - self._looked_s >= self._reload_s and self._reading.acquire(blocking=False):
            self._looked_s = now
            threading.Thread(target=self._renew, name=f"reload-{self._path.name}", daemon=True).start()
        return self._rows.get(value if isinstance(value, str) else str(value))

    def _renew(self) -> None:
        """Runs with ``_reading`` held."""
        try:
            mark = _mark_of(self._path)
            if mark is None or mark == self._mark:
                return
            self._rows = self._read()
            self._mark = mark
            self._counts["reloads"] += 1
            self.last_failure = None
        except ValueError as error:
            self._counts["reload_failures"] += 1
            self.last_failure = str(error)
        finally:
            self._reading.release()

    def _read(self) -> dict[str, Row]:
        reader = _READERS[self._path.suffix]
        try:
            with duckdb.connect() as connection:
                found = connection.execute(f"SELECT * FROM {reader}(?)", [str(self._path)])  # noqa: S608 - a constant
                columns = [column[0] for column in found.description or ()]
                rows = found.fetchall()
        except duckdb.Error as error:
            raise ValueError(f"{self._path.name} cannot be read: {str(error).splitlines()[0]}") from None
        if self._key not in columns:
            raise ValueError(f"{self._path.name} has no column {self._key!r}; it has: {', '.join(columns)}")
        at = columns.index(self._key)
        table = {_text(row[at]): dict(zip(columns, row, strict=True)) for row in rows}
        if len(table) < len(rows):
            raise ValueError(f"{self._path.name}: {len(rows) - len(table)} of {len(rows)} rows repeat a {self._key!r}")
        return table

    def state(self) -> dict[str, int | float | str]:
        """Rows and reloads."""
        return {"rows": len(self._rows), **self._counts}

    def close(self) -> None:
        """Nothing is held open."""


def _mark_of(path: Path) -> _Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)

"""A SQLite database, asked row by row and remembered for a while: changes are seen when the memory is over."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from crep.enrichment.lookups import LookupFailed, Row
from crep.enrichment.lookups.cached import Cache

_BUSY_S = 2.0


class Database:
    """One read-only connection per thread."""

    def __init__(self, path: Path, query: str, cache_s: float) -> None:
        if not path.exists():
            raise ValueError(f"there is no database {path}")
        self._path, self._query = path, query
        self._local = threading.local()
        self._cache = Cache(cache_s, self._ask)
        self._failures = 0
        try:
            self._connection().execute(f"EXPLAIN {query}", (None,))
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ValueError(f"the query on {path.name} is wrong: {error}") from None

    def get(self, value: Any) -> Row | None:
        """The first row."""
        return self._cache.get(value)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=_BUSY_S)
            connection.row_factory = sqlite3.Row
            self._local.connection = connection
        return connection

    def _ask(self, value: Any) -> Row | None:
        try:
            row = self._connection().execute(self._query, (value,)).fetchone()
        except sqlite3.Error as error:
            self._failures += 1
            raise LookupFailed(f"{self._path.name}: {error}") from None
        return None if row is None else dict(row)

    def state(self) -> dict[str, int | float | str]:
        """Cache and failures."""
        return {
            "cached": len(self._cache),
            "hits": self._cache.hits,
            "misses": self._cache.misses,
            "failures": self._failures,
        }

    def close(self) -> None:
        """This thread's connection; those of others end with their threads."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

"""Lookups: what is known of a value, from a table in memory, a database or an HTTP service.

``get`` may be called from several threads at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from crep.enrichment.config import HttpLookup, SqliteLookup, TableLookup

Row = dict[str, Any]


class LookupFailed(Exception):
    """The source of a lookup does not answer: not the same as *not found*. The message may be tried again."""


class Lookup(Protocol):
    """One source."""

    def get(self, value: Any) -> Row | None:
        """What is known of the value; None: nothing. Do not change it.

        Raises:
            LookupFailed: the source does not answer.
        """

    def state(self) -> dict[str, int | float | str]:
        """Counters and states for the metrics: names in small letters with ``_``."""

    def close(self) -> None:
        """Release files and connections."""


def open_lookup(spec: TableLookup | SqliteLookup | HttpLookup, folder: Path) -> Lookup:
    """The lookup; its files lie in ``folder``.

    Raises:
        ValueError: a file, column or query is missing or wrong, with the reason.
    """
    if isinstance(spec, TableLookup):
        from crep.enrichment.lookups.table import Table  # noqa: PLC0415

        return Table(folder / spec.table, spec.key, spec.reload)
    if isinstance(spec, SqliteLookup):
        from crep.enrichment.lookups.database import Database  # noqa: PLC0415

        return Database(folder / spec.sqlite, spec.query, spec.cache)
    from crep.enrichment.lookups.web import Web  # noqa: PLC0415

    return Web(spec)

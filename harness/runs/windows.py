"""``windows/``: what each client did in each second, as Parquet parts that a killed run leaves whole.

::

    windows/0000.parquet, 0001.parquet, …   one for each 5 s, while running
    windows/merged.parquet                  all of them, at the end; where it stands, the parts are ignored

One row is one client and one second; rows of the same client and second add up. ``counters`` is a map of names to
counts, ``histograms`` a map of metric names to sparse histograms (``metrics.histogram``: buckets and their counts).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from crep.harness.metrics.histogram import Histogram
from crep.harness.runs.parquet import read_frame, write_query

if TYPE_CHECKING:
    import pandas as pd

EVERY_S = 5.0
WHO = ("second", "client", "role", "channel", "reader", "publisher", "member")
_LAYOUT = json.dumps(
    [
        {
            "second": "INTEGER",
            "client": "VARCHAR",
            "role": "VARCHAR",
            "channel": "VARCHAR",
            "reader": "VARCHAR",
            "publisher": "INTEGER",
            "member": "INTEGER",
            "counters": "MAP(VARCHAR, BIGINT)",
            "histograms": "MAP(VARCHAR, STRUCT(buckets UINTEGER[], counts UBIGINT[]))",
        }
    ]
)

Sparse = tuple[NDArray[np.uint32], NDArray[np.uint64]]


class WindowRow(Protocol):
    """What one client did in one second, as the load engines tell it (``load.engines.Window``)."""

    @property
    def second(self) -> int:
        """Whole seconds since t0; negative while warming up."""

    @property
    def client(self) -> str:
        """Its unique name."""

    @property
    def role(self) -> str:
        """``publisher`` or ``subscriber``."""

    @property
    def channel(self) -> str:
        """The channel's name."""

    @property
    def reader(self) -> str | None:
        """The logical reader; None for publishers."""

    @property
    def publisher(self) -> int | None:
        """The publisher's number; None for subscribers."""

    @property
    def member(self) -> int | None:
        """Which member of the reader; None for publishers."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts of this second."""

    @property
    def histograms(self) -> Mapping[str, Sparse]:
        """Metric → (buckets, counts)."""


class WindowWriter:
    """Collects rows and writes one part each ``EVERY_S`` seconds. Used by one thread."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._rows: list[WindowRow] = []
        self._due = clock() + EVERY_S
        self._part = len(list(folder.glob("[0-9]*.parquet")))

    def add(self, rows: Iterable[WindowRow]) -> None:
        """Keep rows; write a part when one is due.

        Raises:
            EnvironmentFailure: the disk is full, or the folder is gone or not writable.
        """
        self._rows.extend(rows)
        if self._clock() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected as a part, if anything. Raises like ``add``."""
        self._due = self._clock() + EVERY_S
        if not self._rows:
            return
        rows = json.dumps([_plain(row) for row in self._rows])
        query = "SELECT row.* FROM (SELECT unnest(from_json_strict($rows::JSON, $layout)) AS row)"
        write_query(self._folder / f"{self._part:04d}.parquet", query, {"rows": rows, "layout": _LAYOUT})
        self._part += 1
        self._rows.clear()

    def merge(self) -> None:
        """Flush, then put all parts into one file and remove them. Raises like ``add``."""
        self.flush()
        parts, merged = _parts(self._folder), self._folder / "merged.parquet"
        if not parts or merged.exists():
            return
        query = "SELECT * FROM read_parquet($files) ORDER BY second, client"
        write_query(merged, query, {"files": [str(part) for part in parts]})
        for part in parts:
            part.unlink()


def _plain(row: WindowRow) -> dict[str, object]:
    histograms = {
        metric: {"buckets": buckets.tolist(), "counts": counts.tolist()}
        for metric, (buckets, counts) in row.histograms.items()
    }
    return {name: getattr(row, name) for name in WHO} | {"counters": dict(row.counters), "histograms": histograms}


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.parquet"))


def window_files(folder: Path) -> list[Path]:
    """The files that hold each row once: the merged one, or the parts; none when nothing was written."""
    merged = folder / "merged.parquet"
    return [merged] if merged.exists() else _parts(folder)


def read_counters(folder: Path) -> pd.DataFrame:
    """One row per client and second: the columns of ``WHO``, then one per counter (0 where a client has none of it).

    Raises:
        UsageError: a file is damaged.
    """
    import pandas as pd  # noqa: PLC0415 - half a second, which a run's first message need not wait for

    files = window_files(folder)
    if not files:
        return pd.DataFrame(columns=list(WHO))
    rows = read_frame(files, "SELECT * EXCLUDE (histograms) FROM read_parquet($files) ORDER BY second, client")
    counters = pd.DataFrame(rows.pop("counters").tolist(), index=rows.index).fillna(0).astype("int64")
    whole = pd.concat([rows, counters], axis=1)
    return whole.groupby(list(WHO), dropna=False, sort=False, as_index=False).sum()


def read_by_second(folder: Path, metric: str, channel: str, reader: str) -> dict[int, Histogram]:
    """Samples of a reader's metric, merged over its clients, by the second of the messages' intended times.

    Raises:
        UsageError: a file is damaged.
    """
    files = window_files(folder)
    if not files:
        return {}
    query = (
        "SELECT second, unnest(found.buckets) AS bucket, unnest(found.counts) AS number FROM ("
        "SELECT second, map_extract(histograms, $metric)[1] AS found FROM read_parquet($files)"
        " WHERE channel = $channel AND reader = $reader) ORDER BY second"
    )
    cells = read_frame(files, query, {"metric": metric, "channel": channel, "reader": reader})
    return {
        int(str(second)): Histogram.from_sparse(part["bucket"].to_numpy(np.uint32), part["number"].to_numpy(np.uint64))
        for second, part in cells.groupby("second")
    }


def read_histogram(
    folder: Path, metric: str, channel: str, reader: str | None = None, seconds: Collection[int] | None = None
) -> Histogram:
    """All samples of a metric, merged over clients (of one reader, or all) and over ``seconds`` (None: every one).

    Raises:
        UsageError: a file is damaged.
    """
    files = window_files(folder)
    if not files:
        return Histogram()
    query = (
        "SELECT unnest(found.buckets) AS bucket, unnest(found.counts) AS number FROM ("
        "SELECT map_extract(histograms, $metric)[1] AS found FROM read_parquet($files) WHERE channel = $channel"
        " AND ($reader::VARCHAR IS NULL OR reader = $reader)"
        " AND ($seconds::INTEGER[] IS NULL OR list_contains($seconds, second)))"
    )
    wanted = {"metric": metric, "channel": channel, "reader": reader}
    cells = read_frame(files, query, wanted | {"seconds": None if seconds is None else sorted(seconds)})
    return Histogram.from_sparse(cells["bucket"].to_numpy(np.uint32), cells["number"].to_numpy(np.uint64))

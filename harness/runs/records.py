"""Records that are kept: every send, outcome and receipt, as engines append them (``metrics.history``), or as Parquet.

``publisher-0.sent`` becomes ``publisher-0.sent.parquet``: the same records in the same order, a fraction of the bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crep.harness.config.errors import UsageError
from crep.harness.metrics.history import OUTCOME, RECEIVED, SENT, Records, read_records
from crep.harness.runs.parquet import read_columns, write_columns


def layout_of(name: str) -> np.dtype[Any] | None:
    """The layout of a record file by its name; None for other files."""
    if name.startswith("publisher-") and name.endswith(".sent"):
        return SENT
    if name.startswith("publisher-") and name.endswith(".outcomes"):
        return OUTCOME
    return RECEIVED if name.startswith("reader-") and not name.endswith((".parquet", ".marks")) else None


def compact(folder: Path) -> None:
    """Turn every record file of a finished run into its Parquet form; a crash between leaves the one or the other.

    Raises:
        EnvironmentFailure: the disk is full, or the folder is gone or not writable.
    """
    for path in sorted(folder.iterdir()):
        layout = layout_of(path.name)
        if layout is None:
            continue
        records = read_records(path, layout)
        write_columns(compacted(path), {name: records[name] for name in _columns(layout)})
        path.unlink()


def load_records(folder: Path, name: str, layout: np.dtype[Any]) -> Records:
    """The records of one file in either form; empty where it was never written (a client that did nothing).

    Raises:
        UsageError: the file is damaged.
    """
    raw = folder / name
    packed = compacted(raw)
    if raw.exists():  # still there beside the packed one only when compacting was cut off: both hold the same
        return read_records(raw, layout)
    if not packed.exists():
        return np.empty(0, layout)
    columns = read_columns(packed)
    if set(columns) != set(_columns(layout)):
        raise UsageError(f"{packed}: has columns {', '.join(columns)}; expected {', '.join(_columns(layout))}")
    records = np.empty(len(columns[_columns(layout)[0]]), layout)
    for column, values in columns.items():
        records[column] = values
    return records


def compacted(path: Path) -> Path:
    """The Parquet form of a record file."""
    return path.with_name(f"{path.name}.parquet")


def _columns(layout: np.dtype[Any]) -> tuple[str, ...]:
    return tuple(layout.names or ())

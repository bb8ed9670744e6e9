"""``ledger/replayed.<channel>.parquet``: what came again of a channel, one row for each message, as it was read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crep.harness.checks.replays import REPLAYED_RECORD
from crep.harness.metrics.history import Records
from crep.harness.runs.parquet import read_columns, write_columns


def replayed_file(ledger: Path, channel: str) -> Path:
    """Where it is kept."""
    return ledger / f"replayed.{channel}.parquet"


def write_replayed(ledger: Path, channel: str, records: Records) -> None:
    """Keep what was read (layout ``checks.replays.REPLAYED_RECORD``).

    Raises:
        EnvironmentFailure: the disk is full, or the folder is gone or not writable.
    """
    columns = {name: np.ascontiguousarray(records[name]) for name in REPLAYED_RECORD.names or ()}
    write_columns(replayed_file(ledger, channel), columns)


def read_replayed(ledger: Path, channel: str) -> Records:
    """What ``write_replayed`` kept.

    Raises:
        UsageError: the file is damaged, or not there.
    """
    columns = read_columns(replayed_file(ledger, channel))
    records = np.zeros(len(columns["sequence"]), REPLAYED_RECORD)
    for name in REPLAYED_RECORD.names or ():
        records[name] = columns[name]
    return records

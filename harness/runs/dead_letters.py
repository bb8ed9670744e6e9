"""``ledger/dead-letters.<channel>.<reader>.parquet``: what lay in a reader's dead letter place after the drain.

One row is one letter: the identity of its stamp, how whole it was (``fault``, see ``metrics.history``), and what the
broker, or the client that wrote it there, says of it: ``deliveries`` (-1: nothing) and ``reason`` (empty: nothing).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crep.harness.checks.dead_letters import LETTER
from crep.harness.metrics.history import Records
from crep.harness.runs.parquet import read_columns, write_columns


def dead_letters_file(ledger: Path, channel: str, reader: str) -> Path:
    """Where the letters of a reader are kept."""
    return ledger / f"dead-letters.{channel}.{reader}.parquet"


def write_dead_letters(ledger: Path, channel: str, reader: str, letters: Records, reasons: Sequence[str]) -> None:
    """Keep letters (layout ``checks.dead_letters.LETTER``) with a reason each.

    Raises:
        EnvironmentFailure: the disk is full, or the folder is gone or not writable.
    """
    columns = {name: np.ascontiguousarray(letters[name]) for name in LETTER.names or ()}
    write_columns(dead_letters_file(ledger, channel, reader), columns | {"reason": np.array(reasons, dtype=object)})


def read_dead_letters(ledger: Path, channel: str, reader: str) -> Records:
    """What ``write_dead_letters`` kept, without the reasons.

    Raises:
        UsageError: the file is damaged.
    """
    columns = read_columns(dead_letters_file(ledger, channel, reader))
    letters = np.zeros(len(columns["sequence"]), LETTER)
    for name in LETTER.names or ():
        letters[name] = columns[name]
    return letters

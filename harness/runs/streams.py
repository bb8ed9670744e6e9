"""Reading what engines append while they append it: records by their number in the file, and the clients' marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crep.harness.metrics.history import DONE, MARK, SEGMENT, Records, segment_path, whole_records
from crep.harness.runs.records import compacted, load_records


class Mark(NamedTuple):
    """So many records of each file hold all that the client did until ``until_ns``."""

    until_ns: int
    records: tuple[int, int]

    @property
    def done(self) -> bool:
        """The client has ended in order."""
        return self.until_ns == DONE


def last_mark(folder: Path, name: str) -> Mark | None:
    """The latest mark in a file of marks; None before the first."""
    path = folder / name
    count = whole_records(path, MARK)
    if not count:
        return None
    mark = np.fromfile(path, MARK, count=1, offset=(count - 1) * MARK.itemsize)[0]
    first, second = mark["records"].tolist()
    return Mark(int(mark["until_ns"]), (first, second))


class RecordStream:
    """One record file, as one piece, in segments (the first of which may be gone already), or compacted."""

    def __init__(self, folder: Path, name: str, layout: np.dtype[Any]) -> None:
        self._folder, self._name, self._layout = folder, name, layout
        self._path = folder / name
        self._compacted: Records | None = None

    def read(self, first: int, limit: int) -> Records:
        """At most ``limit`` records from number ``first`` on; fewer at a segment's end, none where no more are there.

        Raises:
            UsageError: a compacted file is damaged.
        """
        if self._compacted is not None or compacted(self._path).exists():
            if self._compacted is None:
                self._compacted = load_records(self._folder, self._name, self._layout)
            return self._compacted[first : first + limit]
        path = self._path
        held = whole_records(path, self._layout)
        if held <= first:
            path = segment_path(self._path, first // SEGMENT)
            held, first = whole_records(path, self._layout), first % SEGMENT
        count = min(limit, held - first)
        if count <= 0:
            return np.empty(0, self._layout)
        return np.fromfile(path, self._layout, count=count, offset=first * self._layout.itemsize)

    def drop_before(self, number: int) -> None:
        """Remove the segments that end before record ``number``, lowest last: what is missing is missing in front."""
        gone = number // SEGMENT - 1
        while gone >= 0 and (path := segment_path(self._path, gone)).exists():
            path.unlink()
            gone -= 1

    def drop(self) -> None:
        """Remove every segment."""
        for path in [self._path, *self._folder.glob(f"{self._name}.[0-9]*")]:
            path.unlink(missing_ok=True)

"""What an archive must recognise when it comes again."""

from __future__ import annotations

from pathlib import Path

import duckdb

from crep.harness.brokers.contract import Message
from crep.harness.config.errors import EnvironmentFailure
from crep.replay.journal import Journal
from crep.replay.manifest import Manifest
from crep.replay.stored import COLUMNS

_POSITION, _STORED_MS = COLUMNS.index("position"), COLUMNS.index("stored_ms")


class Known:
    """Which messages the archive holds, as far as they can come again: what was captured and not accepted in time.

    A Kafka position is ``topic[partition]@offset``: the highest offset of each partition says it all. Other brokers'
    positions are remembered one by one, for the latest messages: more than can be under way.
    """

    MOST = 100_000

    def __init__(self, manifest: Manifest, journal: Journal, folder: Path) -> None:
        self._partitions = {name: (int(at[0]), int(at[1])) for name, at in manifest.positions.items()}
        self._positions: dict[str, None] = {}
        if not self._partitions:
            self._read(manifest, folder)
        for row in journal.rows:
            self.add(row[_POSITION], row[_STORED_MS])

    def _read(self, manifest: Manifest, folder: Path) -> None:
        """The latest positions of the closed segments: their messages may not have been accepted before a kill."""
        paths = [str(folder / segment.file) for segment in manifest.segments]
        if not paths:
            return
        least = manifest.next_sequence - self.MOST
        query = "SELECT position FROM read_parquet(?) WHERE sequence >= ? AND position IS NOT NULL ORDER BY sequence"
        try:
            with duckdb.connect() as connection:
                found = connection.execute(query, [paths, least]).fetchall()
        except duckdb.Error as error:
            raise EnvironmentFailure(
                f"{folder} cannot be read: {error}", hint="'crep replay archives --verify' says which file is damaged"
            ) from error
        for (position,) in found:
            self.add(position, None)

    def has(self, message: Message) -> bool:
        """Whether it is there; a message without a position never is.

        Raises:
            EnvironmentFailure: its offset is known and its time is later than all that is known of the partition.
        """
        position = message.position
        if position is None:
            return False
        partition, at, offset = position.rpartition("@")
        if not at:
            return position in self._positions
        following, latest_ms = self._partitions.get(partition, (0, 0))
        if int(offset) >= following:
            return False
        if message.stored_ms is not None and message.stored_ms > latest_ms:
            raise EnvironmentFailure(
                f"{position} is a later message than the one of that place in the archive: the topic was made anew",
                hint="capture it into another archive",
            )
        return True

    def add(self, position: str | None, stored_ms: int | None) -> None:
        """It is there now."""
        if position is None:
            return
        partition, at, offset = position.rpartition("@")
        if at:
            _, latest_ms = self._partitions.get(partition, (0, 0))
            self._partitions[partition] = int(offset) + 1, max(latest_ms, stored_ms or 0)
            return
        self._positions[position] = None
        while len(self._positions) > self.MOST:
            del self._positions[next(iter(self._positions))]

    def last(self) -> str | None:
        """The latest position that is no offset."""
        return next(reversed(self._positions), None)

    def partitions(self) -> dict[str, tuple[int, int]]:
        """Kafka's partitions, each with its next offset and its latest time."""
        return dict(self._partitions)

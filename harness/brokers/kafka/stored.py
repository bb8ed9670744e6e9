"""What a topic's partitions hold of certain publishers' messages, and what that says of one that was lost. Pure.

A record carries the epoch of the leader that wrote it. An acknowledged message that is missing between two records of
different epochs was in the log of the former leader only: the next one went on from where its own copy ended.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from crep.harness.brokers.locating import Location, Sought, sequence_of


@dataclass(frozen=True)
class Record:
    """One stored message: its sequence, its offset, and the epoch of the leader that wrote it (None: not told)."""

    sequence: int
    offset: int
    epoch: int | None


@dataclass
class PartitionLog:
    """One partition from ``start`` to ``end``, as far as it was read: records by owner and by identity."""

    start: int
    end: int
    whole: bool = False  # it was read to its end
    of_owner: dict[bytes, list[Record]] = field(default_factory=dict)
    by_identity: dict[bytes, Record] = field(default_factory=dict)
    last_epoch: int | None = None

    def add(self, owner_bytes: int, identity: bytes, offset: int, epoch: int | None) -> None:
        """Take in the next record; a further copy of a message changes nothing."""
        record = Record(sequence_of(identity), offset, epoch)
        if self.by_identity.setdefault(identity, record) is record:
            self.of_owner.setdefault(identity[:owner_bytes], []).append(record)
        self.last_epoch = epoch if epoch is not None else self.last_epoch


@dataclass(frozen=True)
class TopicLog:
    """All partitions of a topic, and in which of them a key's messages lie (by the key's number)."""

    topic: str
    replicas: int
    partitions: dict[int, PartitionLog]
    place_of: dict[int, int]

    @property
    def whole(self) -> bool:
        """Every partition was read to its end."""
        return all(log.whole for log in self.partitions.values())

    def find(self, sought: Sought) -> tuple[int, Record] | None:
        """Partition and record of a message that is stored."""
        for number, log in self.partitions.items():
            record = log.by_identity.get(sought.identity)
            if record is not None:
                return number, record
        return None

    def missing(self, sought: Sought) -> Location:
        """What is said of a message that is not stored here, the topic having been read to its end."""
        number = self.place_of.get(sought.key)
        if number is None:
            if any(log.start > 0 for log in self.partitions.values()):
                return Location("not-found", self.topic, "what the log began with is deleted already")
            return Location("never-stored", self.topic, "no message of its key is in the log")
        log = self.partitions[number]
        before, after = _neighbours(log.of_owner.get(sought.owner, []), sought.sequence)
        place = f"{self.topic}[{number}]"
        if before is None and log.start > 0:
            return Location("not-found", place, f"the log begins at offset {log.start}: what was before is deleted")
        return Location("never-stored", _gap(place, log, before, after), self._why(log, before, after))

    def _why(self, log: PartitionLog, before: Record | None, after: Record | None) -> str:
        """Only what the epochs show."""
        if before is None or before.epoch is None:
            return ""
        then = log.last_epoch if after is None else after.epoch
        if then is None or then <= before.epoch:
            return ""
        ended = f"the log of leader epoch {before.epoch} ends before it, and epoch {then} went on without it"
        return f"never replicated: {ended}" if self.replicas > 1 else f"lost when its only broker failed: {ended}"


def _neighbours(records: list[Record], sequence: int) -> tuple[Record | None, Record | None]:
    """The stored messages of one publisher before and after a sequence."""
    ordered = sorted(records, key=lambda record: record.sequence)
    place = bisect_right(ordered, sequence, key=lambda record: record.sequence)
    return (ordered[place - 1] if place else None), (ordered[place] if place < len(ordered) else None)


def _gap(place: str, log: PartitionLog, before: Record | None, after: Record | None) -> str:
    if after is None:
        return (
            f"{place} ends at offset {log.end}, before it"
            if before is None
            else (f"{place}: after offset {before.offset} there is no later message of its publisher; end {log.end}")
        )
    if before is None:
        return f"{place}: its publisher's messages begin at offset {after.offset}, behind it"
    return f"{place}: between offsets {before.offset} and {after.offset}, where it is missing"

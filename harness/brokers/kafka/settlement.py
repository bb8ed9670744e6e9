"""From acknowledged deliveries to committed offsets. Pure.

Kafka keeps one offset per partition: committing it settles everything before it. So a delivery may be stored for commit
only when every earlier delivery of this client is acknowledged, in whatever order the acknowledges come. Deliveries
that the reader's filter left empty count as acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Mapping

Partition = tuple[str, int]  # topic, number


class Settlement:
    """Tokens in order of receipt; ``acknowledge`` gives the offsets that may now be stored (next offset to read)."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, Mapping[Partition, int]] = OrderedDict()
        self._acknowledged: set[int] = set()
        self._next = 0

    def received(self, offsets: Mapping[Partition, int]) -> int:
        """Open a delivery whose highest offsets + 1 are ``offsets``; returns its token."""
        token = self._next
        self._next += 1
        self._open[token] = offsets
        return token

    def forget(self, partitions: Container[Partition]) -> None:
        """Partitions that are another member's now: no delivery settles anything of theirs any more."""
        for token, offsets in self._open.items():
            self._open[token] = {at: offset for at, offset in offsets.items() if at not in partitions}

    def acknowledge(self, token: int) -> dict[Partition, int]:
        """Settle a delivery; an unknown or settled token changes nothing."""
        if token in self._open:
            self._acknowledged.add(token)
        settled: dict[Partition, int] = {}
        while self._open:
            first = next(iter(self._open))
            if first not in self._acknowledged:
                break
            self._acknowledged.remove(first)
            settled.update(self._open.pop(first))
        return settled

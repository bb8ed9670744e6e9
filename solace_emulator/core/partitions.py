"""Partitioned queues: which partition a message belongs to, and which flow a partition.

Documented: messages with the same key (user property ``JMSXGroupID``) go to the same partition, those without to any;
a partition has one flow at a time; shares differ by at most one, surplus flows wait; a rebalance starts some seconds
after the event and lets the former flow settle what it has, within bounds. Assumed, not verified: the hash; that
partitions without a flow are given to a newly bound one at once, up to its share.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..smf import sdt

if TYPE_CHECKING:
    from ..smf.message import Message
    from .flow import ConsumerFlow

KEY_PROPERTY: Final = "JMSXGroupID"


def partition_of(message: Message, message_id: int, count: int) -> int:
    """Return the partition of a message, the same one after a restart; 0 where there are no partitions."""
    if count == 0:
        return 0
    key = sdt.properties(message).get(KEY_PROPERTY)
    return (message_id if key is None else zlib.crc32(str(key).encode())) % count


def balanced(flows: Sequence[ConsumerFlow], owners: Sequence[ConsumerFlow | None]) -> list[ConsumerFlow | None]:
    """Return the owner of each partition when shares are even, moving as few as possible.

    ``flows`` in bind order; beyond as many as there are partitions they are surplus.
    """
    count = len(owners)
    taking = list(flows[:count])
    if not taking:
        return [None] * count
    shares = _shares(taking, owners)
    plan: list[ConsumerFlow | None] = []
    for owner in owners:
        keeps = owner is not None and shares.get(owner, 0) > 0
        if keeps and owner is not None:
            shares[owner] -= 1
        plan.append(owner if keeps else None)
    spare = [flow for flow in taking for _ in range(shares[flow])]
    return [flow if flow is not None else spare.pop(0) for flow in plan]


def _shares(taking: list[ConsumerFlow], owners: Sequence[ConsumerFlow | None]) -> dict[ConsumerFlow, int]:
    """An even share for each flow; the larger shares go to those that own most already."""
    least, larger = divmod(len(owners), len(taking))
    by_owned = sorted(taking, key=lambda flow: -sum(owner is flow for owner in owners))
    return {flow: least + (rank < larger) for rank, flow in enumerate(by_owned)}


class PartitionMap:
    """Who owns which partition now, and the rebalance under way. Times in milliseconds."""

    def __init__(self, count: int) -> None:
        self.owners: list[ConsumerFlow | None] = [None] * count
        self._plan: list[ConsumerFlow | None] | None = None  # where a rebalance wants to get
        self._due_ms: int | None = None
        self._handoff_ends_ms = 0

    def may_deliver(self, partition: int) -> ConsumerFlow | None:
        """Return the flow that gets a partition's messages now; none while it is handed over."""
        owner = self.owners[partition]
        return owner if self._plan is None or self._plan[partition] is owner else None

    def bound(self, flows: Sequence[ConsumerFlow], now_ms: int, delay_ms: int) -> None:
        """A flow has bound: it gets what nobody owns, up to its share; the rest when the delay is over."""
        plan = balanced(flows, self.owners)
        newest = flows[-1]
        self.owners = [
            newest if owner is None and planned is newest else owner
            for owner, planned in zip(self.owners, plan, strict=True)
        ]
        self._fall_due(now_ms + delay_ms if self.owners != plan else None)

    def unbound(self, flow: ConsumerFlow, flows: Sequence[ConsumerFlow], now_ms: int, delay_ms: int) -> None:
        """A flow has left: a surplus flow takes its partitions at once, else they wait for a rebalance."""
        surplus = next((other for other in flows if other not in self.owners), None)
        self.owners = [surplus if owner is flow else owner for owner in self.owners]
        self._plan = None
        self._fall_due(now_ms + delay_ms if balanced(flows, self.owners) != self.owners else None)

    def _fall_due(self, due_ms: int | None) -> None:
        if due_ms is None or self._due_ms is None:
            self._due_ms = due_ms

    def step(self, flows: Sequence[ConsumerFlow], now_ms: int, handoff_ms: int) -> list[tuple[int, ConsumerFlow]]:
        """Go on with a rebalance; return (partition, former flow) of those that change hands now."""
        if self._due_ms is not None and now_ms >= self._due_ms:
            self._due_ms = None
            self._plan = balanced(flows, self.owners)
            self._handoff_ends_ms = now_ms + handoff_ms
        if self._plan is None:
            return []
        moved: list[tuple[int, ConsumerFlow]] = []
        for partition, (owner, planned) in enumerate(zip(self.owners, self._plan, strict=True)):
            if owner is planned:
                continue
            if owner is None or now_ms >= self._handoff_ends_ms or not _holds(owner, partition):
                self.owners[partition] = planned
                if owner is not None:
                    moved.append((partition, owner))
        if self.owners == self._plan:
            self._plan = None
        return moved


def _holds(flow: ConsumerFlow, partition: int) -> bool:
    return any(entry.partition == partition for entry in flow.unacked.values())

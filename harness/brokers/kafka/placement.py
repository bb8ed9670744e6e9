"""Who leads a channel and who follows, from the metadata of its topic's partitions. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """One partition: node ids of its leader (None while there is none), of its replicas, and of those in sync."""

    leader: int | None
    replicas: frozenset[int]
    in_sync: frozenset[int]


def leader_of(partitions: Sequence[Placement]) -> int | None:
    """The broker that leads most of the partitions; of equals the one that leads the first. None: nobody leads any.

    A channel has several partitions, so a broker that is failed takes its share of the keys along, not all: which
    share is largest decides.
    """
    led = Counter(one.leader for one in partitions if one.leader is not None)
    return led.most_common(1)[0][0] if led else None


def followers_of(partitions: Sequence[Placement]) -> tuple[int, ...]:
    """The brokers that follow the channel's leader in a partition that it leads: those in sync first, then by id."""
    leader = leader_of(partitions)
    led = [one for one in partitions if one.leader == leader and leader is not None]
    behind = {broker: sum(broker not in one.in_sync for one in led) for one in led for broker in one.replicas}
    return tuple(sorted(behind.keys() - {leader}, key=lambda broker: (behind[broker], broker)))

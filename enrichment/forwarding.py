"""What the service sees of a route's flow, whatever its guarantee."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from crep.enrichment.failure import Failure
from crep.enrichment.ledger import Ledger
from crep.harness.brokers.contract import Message

SINK = "sink"
"""The step's name of a message that the broker rejected."""
DUPLICATE = "duplicate"
"""The step's name of a message that was forwarded before, within the time of ``deduplicate``."""

Note = Callable[[str, Message | None, Failure], None]
"""Takes an event for the log: ``dead-lettered`` or ``resent`` of a message, ``source down`` of a connection …"""


@dataclass(frozen=True)
class State:
    """What other threads may know of a flow: made by its own thread, a few times a second."""

    ledger: dict[str, Any]
    waiting: int  # parts for which the sink has no room

    @property
    def in_flight(self) -> int:
        """Parts under way."""
        return int(self.ledger["in_flight"])


class Forwarding(Protocol):
    """One route at work. ``run`` has a thread of its own; the rest may be asked from any other."""

    @property
    def ledger(self) -> Ledger:
        """What became of every message."""

    @property
    def state(self) -> State:
        """The latest word of the flow's own thread."""

    @property
    def added_ns(self) -> deque[int]:
        """Latency that the bridge added, of the latest messages."""

    @property
    def in_flight(self) -> int:
        """Parts under way."""

    def run(self) -> None:
        """Open, forward until stopped, close. Raises BrokerError, LedgerBroken."""

    def stop(self, *, at_once: bool = False) -> None:
        """Receive nothing more and end when everything taken is settled; at once: settle nothing more either."""

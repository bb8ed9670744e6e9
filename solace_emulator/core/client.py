"""A connected client: its identity, its direct subscriptions, its counters."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Protocol


class Outlet(Protocol):
    """The session behind a client."""

    def send_direct(self, frame: bytes) -> bool:
        """Send a direct message; False when the egress buffer is full and it was discarded."""
        ...

    def disconnect(self, reason: str) -> None:
        """Close the connection."""
        ...


@dataclass(slots=True)
class ClientStats:
    """Counters of one connection; names are SEMP's monitor attributes in snake case."""

    data_rx_msg_count: int = 0
    data_rx_byte_count: int = 0
    data_tx_msg_count: int = 0
    data_tx_byte_count: int = 0
    rx_discarded_msg_count: int = 0
    tx_discarded_msg_count: int = 0
    no_subscription_match_rx_discarded_msg_count: int = 0
    publish_topic_acl_rx_discarded_msg_count: int = 0
    topic_parse_error_rx_discarded_msg_count: int = 0
    msg_spool_rx_discarded_msg_count: int = 0

    def add(self, other: ClientStats, times: int = 1) -> None:
        """Add another client's counters; ``times`` -1 takes them off."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + times * getattr(other, one.name))


@dataclass(slots=True, eq=False)
class Client:
    """A logged-in client. Profiles are looked up by name at each use, so that a change reaches it at once."""

    name: str
    username: str
    profile_name: str
    acl_name: str
    address: str
    outlet: Outlet
    connected_at_ms: int
    description: str = ""
    platform: str = ""
    software_version: str = ""
    number: int = 0
    p2p_topic: str = ""
    subscriptions: dict[str, None] = field(default_factory=dict)
    stats: ClientStats = field(default_factory=ClientStats)

    def deliver(self, frame: bytes) -> None:
        """Hand a direct message to the client, or count it as discarded."""
        if self.outlet.send_direct(frame):
            self.stats.data_tx_msg_count += 1
            self.stats.data_tx_byte_count += len(frame)
        else:
            self.stats.tx_discarded_msg_count += 1

"""Recognition of the product and the closed table of capabilities. Pure.

A broker says in SEMP ``about/api`` on which platform it runs. The vendor's values are the closed list below (the
official Terraform provider tells the same two apart); any other value, or none, is *emulated*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crep.harness.brokers.contract import Capability, Genuineness

PLATFORMS = {
    "VMR": "Solace PubSub+ software event broker",
    "Appliance": "Solace PubSub+ event broker appliance",
}
_SEMP_VERSION = re.compile(r"2\.\d+")


@dataclass(frozen=True)
class Recognition:
    """What the broker is and by which evidence."""

    product: str
    genuineness: Genuineness
    evidence: str


def recognise(platform: str | None, semp_version: str | None, *, client_seen: bool | None) -> Recognition:
    """*Genuine* needs the vendor's platform name, a SEMP 2 version, and a messaging client that SEMP shows.

    Args:
        platform, semp_version: from ``about/api``; None where absent.
        client_seen: whether a client that logged in at the SMF address appeared in SEMP's list of clients (both
            addresses are then the same broker); None where that was not tried.
    """
    stated = f"SEMP about/api says platform {platform!r}, version {semp_version!r}"
    if platform not in PLATFORMS or not _SEMP_VERSION.fullmatch(semp_version or ""):
        return Recognition("unrecognised broker with the Solace protocols", "emulated", stated)
    if not client_seen:
        return Recognition(
            "unrecognised broker with the Solace protocols",
            "emulated",
            f"{stated}, but a client at the messaging address does not show in that broker's list of clients",
        )
    return Recognition(
        PLATFORMS[platform], "genuine", f"{stated}; its list of clients shows the messaging address's client"
    )


CAPABILITIES_OF_SOLACE: dict[str, Capability] = {
    "wildcard-topics": Capability("native", "topic subscriptions, matched by the broker at publish time"),
    "exclusive-consumer": Capability("native", "exclusive queue: the first bound flow is active, the others stand by"),
    "consumer-group": Capability("native", "non-exclusive queue, round robin over its flows"),
    "partitions": Capability("native", "partitioned queue, key in the user property JMSXGroupID"),
    "ordered-group": Capability("native", "partitioned queue: order per key, one flow per partition at a time"),
    "per-message-acknowledge": Capability("native", "client acknowledge per message"),
    "negative-acknowledge": Capability("native", "settlement outcomes failed and rejected"),
    "redelivered-flag": Capability("native", "redelivered flag of a message"),
    "dead-letter-queue": Capability("native", "dead message queue after the queue's redelivery limit"),
    "time-to-live": Capability("native", "per message, on queues that respect it"),
    "priority": Capability("native", "0 to 9, on queues that respect it"),
    "selectors": Capability("native", "SQL-92 selectors on queue flows (not on partitioned queues)"),
    "native-replay": Capability("native", "replay log of the message VPN"),
    "transactions": Capability("native", "local transactions"),
    "at-most-once-delivery": Capability("native", "direct messages"),
}

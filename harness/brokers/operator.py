"""What an administrator can do to a running channel: the fifth protocol of the contract.

Each *act* has its *probe* (does it hold now, as the broker itself says?) and its *undo*, which gives back what
``provision`` made, so that a fresh ``Operator`` of the same run can undo what another one did. Acts touch only objects
that carry the run's id, and rules that name such objects. Doing an act twice is no error, nor is undoing what was not
done.

=============  ======================================  ===================================================
act            on Solace, over SEMP v2                 on Kafka
=============  ======================================  ===================================================
deny publish   exception of the user's ACL profile     deny rule of its authorizer: Write on the topic
deny receive   the queues' permission                  deny rule: Read on the topic
limit          the queue's spool quota                 none: a topic's retention deletes, it refuses nothing
throttle       none: a broker has no rate quota        client quota ``producer_byte_rate``
disconnect     action ``disconnect`` of a client       none
shut           the queue's ingress or egress           none
=============  ======================================  ===================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

Act = Literal["deny publish", "deny receive", "limit", "throttle", "disconnect", "shut"]
Side = Literal["publish", "receive"]
Gate = Literal["in", "out"]
Discard = Literal["never", "when-queue-enabled", "always"]
"""When a publisher is told that its message was discarded, in Solace's words (rejectMsgToSenderOnDiscardBehavior)."""


class Operator(Protocol):
    """The administrator of one site's channels. ``reader`` is a logical reader of ``channel``.

    It lives as long as the `Admin` that made it. Every method raises `NotSupported` where the system, or this
    deployment of it, has no such act, with the reason and what there is instead; and `BrokerError` where the broker
    does not answer or refuses.
    """

    def check(self, act: Act, channel: str, reader: str | None = None) -> None:
        """Raise `NotSupported` where the act cannot be done to this channel. Asks the broker; changes nothing."""

    def deny(self, channel: str, side: Side) -> None:
        """Take the permission to publish to the channel, or to receive from it, from the clients of the scenario.

        They stay connected: what they do from now on is refused.
        """

    def allow(self, channel: str, side: Side) -> None:
        """Give it back."""

    def denied(self, channel: str, side: Side) -> bool:
        """Whether the permission is taken."""

    def limit(self, channel: str, reader: str, size: int, discard: Discard | None = None) -> None:
        """Lower the place that a reader's messages may take to ``size`` bytes, rounded up to what the broker can say.

        What is stored beyond it stays; what comes is discarded. ``discard``: whether its publisher is told; None: as
        provisioned.
        """

    def unlimit(self, channel: str, reader: str) -> None:
        """Give back the place, and what publishers are told, as provisioned."""

    def limited(self, channel: str, reader: str) -> bool:
        """Whether the limit is another than the provisioned one."""

    def throttle(self, clients: Sequence[str], bytes_per_s: int) -> None:
        """Let each of these publishing clients send no more than so many bytes a second: it is slowed, not refused."""

    def unthrottle(self, clients: Sequence[str]) -> None:
        """Let them send as they can."""

    def throttled(self, clients: Sequence[str]) -> bool:
        """Whether all of them have a limit."""

    def disconnect(self, clients: Sequence[str]) -> int:
        """End the connections of these clients, by their names; returns how many there were. Nothing to undo."""

    def shut(self, channel: str, reader: str, gate: Gate, discard: Discard | None = None) -> None:
        """Let a reader's queue take nothing (``in``), or give nothing (``out``: its members are unbound).

        ``discard``: whether publishers are told of what a queue does not take; None: as provisioned.
        """

    def open(self, channel: str, reader: str, gate: Gate) -> None:
        """Let it take or give again; publishers are told as provisioned."""

    def is_shut(self, channel: str, reader: str, gate: Gate) -> bool:
        """Whether that side is shut."""

"""A consumer flow: its window, and what it has been sent and not settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .entry import Entry
    from .queue import Queue
    from .refusal import Refused


class FlowOwner(Protocol):
    """The session that a flow belongs to."""

    @property
    def client_name(self) -> str:
        """The client's name, its identity across reconnects."""
        ...

    def can_take(self) -> bool:
        """Whether its egress buffer has room."""
        ...

    def deliver(self, flow: ConsumerFlow, entry: Entry, delivery_id: int) -> None:
        """Send a message on a flow."""
        ...

    def flow_activity(self, flow: ConsumerFlow) -> None:
        """The flow has become the active one of its queue."""
        ...

    def flow_ended(self, flow: ConsumerFlow, refusal: Refused) -> None:
        """The broker has ended the flow."""
        ...


class ConsumerFlow:
    """A consumer or browser flow of one session on one queue.

    Every delivery has an id higher than all before it, also a repeated one: clients drop ids that they have seen. The
    *transport* window counts deliveries that the client's library has not received yet; *settlement* by the
    application is told apart from it.
    """

    def __init__(self, owner: FlowOwner, queue: Queue, number: int, *, browser: bool, now_ms: int) -> None:
        self.owner = owner
        self.queue = queue
        self.number = number
        self.browser = browser
        self.bound_at_ms = now_ms
        self.active = True
        self.wants_changes = False
        self.window_size = 0  # nothing may be sent before the client opens the window
        self.last_sent = 0
        self.last_settled = 0
        self.unacked: dict[int, Entry] = {}  # by delivery id, in order of delivery
        self.backlog: deque[Entry] = deque()  # what a browser has still to see
        self.acked_msg_count = 0
        self.redelivered_msg_count = 0
        self._in_flight: deque[int] = deque()

    def can_take(self, unacked_limit: int | None = None) -> bool:
        """Whether one more message may be sent."""
        return (
            len(self._in_flight) < self.window_size
            and (unacked_limit is None or len(self.unacked) < unacked_limit)
            and self.owner.can_take()
        )

    @property
    def used_window(self) -> int:
        """Deliveries that the client has not confirmed to have received."""
        return len(self._in_flight)

    def deliver(self, entry: Entry) -> None:
        """Send an entry whose delivery id is set."""
        if entry.redelivered:
            self.redelivered_msg_count += 1
        self._send(entry, entry.delivery_id)

    def show(self, entry: Entry, delivery_id: int) -> None:
        """Send a copy of an entry to a browser; the entry itself stays as it is."""
        self._send(entry, delivery_id)

    def _send(self, entry: Entry, delivery_id: int) -> None:
        self.unacked[delivery_id] = entry
        self.owner.deliver(self, entry, delivery_id)
        self.last_sent = delivery_id
        self._in_flight.append(delivery_id)

    def transport_ack(self, last_received: int | None, window: int) -> None:
        """The client has received everything up to ``last_received`` and has room for ``window`` more behind it."""
        in_flight = self._in_flight
        if last_received is not None:
            while in_flight and in_flight[0] <= last_received:
                in_flight.popleft()
        self.window_size = window

    def take(self, first: int, last: int) -> list[Entry]:
        """Take the deliveries ``first`` to ``last`` out of the unsettled ones; unknown ids are ignored."""
        found = [last] if first == last and last in self.unacked else list(self._between(first, last))
        self.last_settled = max(self.last_settled, last)
        return [self.unacked.pop(delivery_id) for delivery_id in found]

    def _between(self, first: int, last: int) -> Iterator[int]:
        """Ranges nearly always start at the front, so this looks at little more than it returns."""
        if first == last:
            return
        for delivery_id in self.unacked:
            if delivery_id > last:
                return
            if delivery_id >= first:
                yield delivery_id

    def activate(self) -> None:
        """Become the active flow of an exclusive queue."""
        self.active = True
        self.owner.flow_activity(self)

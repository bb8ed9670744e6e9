"""One way of a connection: bytes from one socket to the other, subject to a flow. Not a byte is lost or doubled.

::

    source ──recv──► (free flow: straight on) ──────────────────────────► send ──► sink
                └──► delay line: chunk, due ──► due, not stalled, sink takes it ──┘

What cannot go on is held, and then the source is not read: its sender feels its window fill up.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Sequence
from typing import Literal

from crep.harness.proxy.delay import DelayLine, TokenBucket, delay
from crep.harness.proxy.rules import FREE, Flow

CHUNK = 1 << 19
"""Bytes read at once at most. All pumps share one buffer of this size: they run in one thread."""

MOST_HELD = 16 << 20
"""Bytes that a delayed way may hold: with 20 ms of latency, 800 MB/s."""

_buffer = memoryview(bytearray(CHUNK))


class Pump:
    """From ``source`` to ``sink``, both non-blocking.

    Args:
        source: read.
        sink: written.
        at: calls back at a time (``time.monotonic``).
        wake: called by timers after they changed this pump's state, to be looked at by its owner.
        chance: draws jitter.
    """

    __slots__ = (
        "_armed_s",
        "_at",
        "_buckets",
        "_chance",
        "_ended",
        "_flow",
        "_line",
        "_paced_s",
        "_sink",
        "_source",
        "_wake",
        "blocked",
        "bytes",
        "state",
    )

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        at: Callable[[float, Callable[[], None]], None],
        wake: Callable[[], None],
        chance: random.Random,
    ) -> None:
        self._source, self._sink, self._at, self._wake, self._chance = source, sink, at, wake, chance
        self._line = DelayLine()
        self._flow: Flow = FREE
        self._buckets: Sequence[TokenBucket] = ()
        self._ended: Literal["no", "fin", "reset"] = "no"
        self._paced_s = 0.0  # not to be read before: what was taken from the buckets has not passed yet
        self._armed_s = float("inf")
        self.blocked = False
        """The sink would not take more."""
        self.bytes = 0
        """Passed on so far."""
        self.state: Literal["open", "closed", "reset", "broken"] = "open"
        """closed: the source's FIN was carried over; reset: the source was reset, all it sent before was carried over;
        broken: the sink takes nothing any more."""

    def subject_to(self, flow: Flow, buckets: Sequence[TokenBucket]) -> None:
        """From now on this flow, with the buckets that it names."""
        self._flow, self._buckets = flow, buckets
        self._paced_s = 0.0
        self.write()

    @property
    def wants_read(self) -> bool:
        """Whether the source should be read as soon as it has something."""
        if self.state != "open" or self._ended != "no" or self._flow.stalled:
            return False
        if self._line:
            return bool(self._flow.latencies) and self._line.cost < MOST_HELD and not self._paced()
        return not self._paced()

    def read(self) -> None:
        """The source has something: take one chunk of it."""
        size = min((one.slice for one in self._buckets), default=CHUNK)
        try:
            got = self._source.recv_into(_buffer, min(size, CHUNK))
        except BlockingIOError:
            return
        except OSError:  # the source was reset; what it sent before that was read before
            self._ended, got = "reset", 0
        if got and not self._line and not self._flow.latencies and not self._buckets:
            sent = self._send(_buffer[:got])
            if sent == got or self.state != "open":
                return
            self._line.push(0.0, memoryview(bytes(_buffer[sent:got])))
            return
        now_s = time.monotonic()
        passed_s = now_s
        if got:
            for bucket in self._buckets:
                passed_s = max(passed_s, bucket.take(now_s, got))
            self._paced_s = passed_s
        elif self._ended == "no":
            self._ended = "fin"
        due_s = passed_s + delay(self._flow.latencies, self._chance)
        self._line.push(due_s, memoryview(bytes(_buffer[:got])) if got else None)
        self.write()
        if self._paced():
            self._arm(self._paced_s)

    def write(self) -> None:
        """Pass on what is due, as much as the sink takes."""
        self.blocked = False
        while self._line and self.state == "open" and not self._flow.stalled and not self.blocked:
            due_s, data = self._line.head()
            if due_s > time.monotonic():
                self._arm(due_s)
                return
            if data is None:
                self._line.pop()
                self._carry_end()
            else:
                self._line.pop(self._send(data))
        if self.state != "open":
            self._line.clear()

    def stop(self) -> None:
        """Pass nothing on any more, not even what is held."""
        self.state, self.blocked = "broken", False
        self._line.clear()

    def _send(self, data: memoryview) -> int:
        try:
            sent = self._sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the sink is gone; whoever reads from it learns how
            self.state = "broken"
            return len(data)
        self.bytes += sent
        self.blocked = sent < len(data)
        return sent

    def _carry_end(self) -> None:
        if self._ended == "reset":
            self.state = "reset"
            return
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.state = "broken"
        else:
            self.state = "closed"

    def _paced(self) -> bool:
        return self._paced_s > 0.0 and self._paced_s > time.monotonic()

    def _arm(self, when_s: float) -> None:
        if when_s < self._armed_s:
            self._armed_s = when_s
            self._at(when_s, self._due)

    def _due(self) -> None:
        self._armed_s = float("inf")
        if self.state == "open":
            self.write()
            if self._paced():
                self._arm(self._paced_s)
            self._wake()

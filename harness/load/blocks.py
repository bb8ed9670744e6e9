"""Messages of one publisher, rendered in order, block by block, ahead of their time.

::

    next block:  nothing ─step─► records: keys, topics, sizes, times ─step─► rendered ─take─► sent from

A step takes a tenth of a millisecond, which a loop that follows a schedule can spare between two messages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import Batch
from crep.harness.load.stamp import Rendered, Renderer
from crep.harness.metrics.history import SENT, Records
from crep.harness.scenario.publisher_plan import PublisherPlan

_MOST_MESSAGES, _MOST_BYTES = 4096, 4 << 20
_LEAST = 64  # messages: fewer cost as much


@dataclass(frozen=True)
class Block:
    """Consecutive messages, rendered; ``records`` (``SENT``) are whole but for the time of the handover."""

    records: Records
    rendered: Rendered

    def __len__(self) -> int:
        return len(self.records)

    def batch(self, first: int, last: int) -> Batch:
        """Messages ``first`` to ``last`` (excluded) of this block, as far as it has them."""
        part = slice(first, last)
        records, stamps = self.records[part], self.rendered.stamps
        return Batch(
            sequence=records["sequence"],
            bodies=self.rendered.bodies[part],
            topic=records["topic"],
            key=records["key"],
            stamps=None if stamps is None else stamps[part],
        )

    def handed_over(self, first: int, sent_ns: NDArray[np.int64]) -> Records:
        """Whole records of messages from ``first`` on, which were handed over at these times."""
        part = self.records[first : first + len(sent_ns)]
        part["sent_ns"] = sent_ns
        return part


class Blocks:
    """Makes the blocks of a plan, each beginning where the one before ends.

    Args:
        plan: of the publisher.
        renderer: makes the payloads.
        t0_ns: CLOCK_MONOTONIC time of the first measured message.
        clock_ahead_ns: what this clock shows more than the one whose time the stamps carry.
        most: messages of a block, at most.
        first: sequence number of the first message.
    """

    def __init__(
        self, plan: PublisherPlan, renderer: Renderer, *, t0_ns: int, clock_ahead_ns: int = 0, most: int, first: int = 0
    ) -> None:
        self._plan, self._renderer, self._t0_ns, self._clock_ahead_ns = plan, renderer, t0_ns, clock_ahead_ns
        self._most = max(1, min(_MOST_MESSAGES, most, _MOST_BYTES // max(plan.payload_sizes)))
        self._first = first  # of the next block
        self._records: Records | None = None
        self._ready: Block | None = None

    @property
    def ready(self) -> bool:
        """Whether the next block is rendered, or none is left."""
        return self._ready is not None or (self._records is None and self._first >= self._plan.count)

    def step(self, length: int) -> None:
        """Go one step towards the next block; one that is begun is to have ``length`` messages, within its bounds."""
        if self._records is not None:
            self._ready, self._records = self._rendered(self._records), None
        elif not self.ready:
            length = min(max(length, _LEAST), self._most, self._plan.count - self._first)
            self._records = self._planned(self._first, length)
            self._first += length

    def take(self, length: int) -> Block:
        """The next block, done now as far as it is not (``length`` as for ``step``); an empty one when none is left."""
        while not self.ready:
            self.step(length)
        block, self._ready = self._ready, None
        return self._rendered(self._planned(self._first, 0)) if block is None else block

    def _planned(self, first: int, length: int) -> Records:
        plan = self._plan
        sequence = np.arange(first, first + length, dtype=np.int64)
        records = np.zeros(length, SENT)
        records["sequence"], records["intended_ns"] = sequence, self._t0_ns + plan.intended_ns(sequence)
        records["key"], records["key_sequence"] = plan.assignment.of(sequence)
        records["topic"] = plan.assignment.topic_of(records["key"])
        records["size"] = plan.size_of(sequence)
        return records

    def _rendered(self, records: Records) -> Block:
        sequence, key, key_sequence, size = (records[name] for name in ("sequence", "key", "key_sequence", "size"))
        intended_ns = records["intended_ns"] - self._clock_ahead_ns
        return Block(records, self._renderer.render(sequence, intended_ns, key, key_sequence, size))

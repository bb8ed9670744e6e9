"""A broker that does nothing, in the engine's own process: what remains is the engine (METHOD rule 8).

Publishing, every message is acknowledged when the engine next asks. Receiving, the same thousand messages, rendered
before the start, come again and again. ``registry.adapter(SYSTEM)`` finds it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import (
    CAPABILITIES,
    REDELIVERED_NOT_OFFERED,
    Batch,
    Capability,
    ChannelSpec,
    ClientEvent,
    Deliveries,
    Endpoint,
    Facts,
    MappingFile,
    NotSupported,
    Observation,
    Outcome,
    Outcomes,
    Provisioned,
    PublisherSpec,
    ReaderState,
    SubscriberSpec,
)
from crep.harness.load.stamp import Renderer

SYSTEM = "bench.noop:NoOpAdapter"
_BLOCK = 1000


class NoOpPublisher:
    """Takes everything."""

    def __init__(self, spec: PublisherSpec) -> None:
        self._taken: list[np.ndarray[Any, np.dtype[np.uint64]]] = []

    def open(self) -> None:
        """Nothing to connect to."""

    def send_batch(self, batch: Batch, start: int) -> int:
        """All of it."""
        sequences = batch.sequence[start:]
        self._taken.append(sequences)
        return len(sequences)

    def poll(self, timeout_s: float) -> Outcomes:
        """Everything that was taken is acknowledged now."""
        taken, self._taken = self._taken, []
        sequence = np.concatenate(taken) if taken else np.empty(0, np.uint64)
        now = np.full(len(sequence), time.monotonic_ns(), np.int64)
        return Outcomes(sequence, np.full(len(sequence), Outcome.ACKNOWLEDGED, np.uint8), now)

    def drain(self, timeout_s: float) -> Outcomes:
        """As ``poll``: nothing is ever under way."""
        return self.poll(0.0)

    def events(self) -> list[ClientEvent]:
        """None."""
        return []

    def effective_settings(self) -> dict[str, str]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing to close."""


class NoOpSubscriber:
    """Delivers ``objects["count"]`` messages of ``objects["size"]`` bytes, stamped for run ``objects["run"]``."""

    def __init__(self, spec: SubscriberSpec) -> None:
        self._left = int(spec.objects["count"])
        numbers = np.arange(_BLOCK)
        self._bodies = (
            Renderer(run=int(spec.objects["run"]), publisher=0, seed=1, carrier="payload")
            .render(
                numbers.astype(np.uint64),
                np.full(_BLOCK, time.monotonic_ns(), np.int64),
                numbers.astype(np.uint32),
                np.zeros(_BLOCK, np.uint32),
                np.full(_BLOCK, spec.objects["size"], np.uint32),
            )
            .bodies
        )

    def open(self) -> None:
        """Nothing to connect to."""

    def ready(self, timeout_s: float) -> None:
        """At once."""

    def receive(self, max_messages: int, timeout_s: float) -> Deliveries:
        """A full batch while there are messages left, each with its own time of receipt."""
        count = min(max_messages, self._left, _BLOCK)
        if not count:
            time.sleep(timeout_s)
        self._left -= count
        now = time.monotonic_ns()
        return Deliveries(
            bodies=self._bodies[:count],
            stamps=None,
            received_ns=np.full(count, now, np.int64),
            redelivered=np.full(count, REDELIVERED_NOT_OFFERED, np.uint8),
            token=None,
        )

    def tend(self) -> None:
        """Nothing."""

    def acknowledge(self, deliveries: Deliveries) -> None:
        """Nobody waits for it."""

    def settle(self, deliveries: Deliveries, failed: NDArray[np.intp]) -> None:
        """Nobody waits for it."""

    def events(self) -> list[ClientEvent]:
        """None."""
        return []

    def effective_settings(self) -> dict[str, str]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing to close."""


class NoOpAdmin:
    """Provisions names."""

    def provision(self, run_id: str, channels: Sequence[ChannelSpec], mapping: MappingFile) -> Provisioned:
        """Plain words; what a subscriber is to deliver is added by the caller."""
        return Provisioned(run_id, mapping.name, {channel.name: {} for channel in channels}, {})

    def remove(self, provisioned: Provisioned) -> None:
        """Nothing to remove."""

    def observe(self, provisioned: Provisioned) -> Observation:
        """Nothing is stored."""
        readers: dict[str, ReaderState] = {}
        return Observation(time.monotonic_ns(), readers, {})

    def facts(self) -> Facts:
        """Says what it is."""
        return Facts("no-op broker", "1", None, "mock", "it says so itself", {}, {}, "none")

    def capabilities(self) -> Mapping[str, Capability]:
        """None."""
        return {name: Capability("none", "it does nothing") for name in CAPABILITIES}

    def close(self) -> None:
        """Nothing to close."""


class NoOpAdapter:
    """``registry.adapter(SYSTEM)``."""

    system = SYSTEM

    def admin(self, endpoint: Endpoint) -> NoOpAdmin:
        """The control plane."""
        return NoOpAdmin()

    def publisher(self, spec: PublisherSpec) -> NoOpPublisher:
        """One client."""
        return NoOpPublisher(spec)

    def subscriber(self, spec: SubscriberSpec) -> NoOpSubscriber:
        """One client."""
        return NoOpSubscriber(spec)

    def messages(self, *_: object) -> Any:
        """Not offered."""
        raise NotSupported("the no-op broker carries load only")

    def inspect(self, *_: object) -> Any:
        """Not offered."""
        raise NotSupported("the no-op broker stores nothing")

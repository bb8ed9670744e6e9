"""Solace through solace-pubsubplus (messages) and SEMP v2 over HTTP (control). For a real broker; nothing in here knows
of an emulator. May import ``contract`` and ``config`` only.

Start reading at ``mappings/queue-per-reader.yaml`` (what a channel becomes), then ``admin`` (control plane),
``service`` (the connection), ``publisher`` and ``subscriber`` (engines on the vendor's public API) and ``native`` (the
same on its C library, at a hundredth of the price per message; the default).
"""

from __future__ import annotations

from collections.abc import Sequence

from crep.harness.brokers.client_library import ClientName, client_asked
from crep.harness.brokers.contract import (
    Admin,
    BulkPublisher,
    BulkSubscriber,
    Endpoint,
    Inspect,
    Json,
    Messages,
    Provisioned,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.brokers.directions import Directions
from crep.harness.brokers.solace.admin import SolaceAdmin
from crep.harness.brokers.solace.inspect import SolaceInspect
from crep.harness.brokers.solace.messages import SolaceMessages
from crep.harness.brokers.solace.native.library import NativeClientUnavailable
from crep.harness.brokers.solace.native.publisher import NativePublisher
from crep.harness.brokers.solace.native.subscriber import NativeSubscriber
from crep.harness.brokers.solace.publisher import SolacePublisher
from crep.harness.brokers.solace.streams import SolaceSink, SolaceSource
from crep.harness.brokers.solace.subscriber import SolaceSubscriber
from crep.harness.brokers.streams import Sink, SinkSpec, Source, SourceSpec

__all__ = ["SolaceAdapter"]


class SolaceAdapter:
    """Everything that crep does with a Solace event broker."""

    system = "solace"

    def admin(self, endpoint: Endpoint) -> Admin:
        """The control plane, over SEMP v2."""
        return SolaceAdmin(endpoint)

    def publisher(self, spec: PublisherSpec) -> BulkPublisher:
        """One connection that publishes, on the library that the settings ask for."""
        if _asked(spec) == "native":
            try:
                return NativePublisher(spec)
            except NativeClientUnavailable as unavailable:
                publisher = SolacePublisher(spec)
                publisher.instead_of("native", str(unavailable))
                return publisher
        return SolacePublisher(spec)

    def subscriber(self, spec: SubscriberSpec) -> BulkSubscriber:
        """One connection that receives, on the library that the settings ask for."""
        if _asked(spec) == "native":
            try:
                return NativeSubscriber(spec)
            except NativeClientUnavailable as unavailable:
                subscriber = SolaceSubscriber(spec)
                subscriber.instead_of("native", str(unavailable))
                return subscriber
        return SolaceSubscriber(spec)

    def messages(self, endpoint: Endpoint, provisioned: Provisioned, readers: Sequence[ReaderSpec]) -> Messages:
        """One message at a time."""
        return SolaceMessages(endpoint, provisioned)

    def inspect(self, endpoint: Endpoint, provisioned: Provisioned) -> Inspect:
        """Browse a reader's queue."""
        return SolaceInspect(endpoint, provisioned)

    def directions(self, endpoint: Endpoint, objects: Json, reader: str | None = None) -> Directions:
        """The way to a channel: the prefix of its topics, and the reader's queue."""
        queue = None if reader is None else str(objects["queues"][reader]["name"])
        return Directions(endpoint, queue=queue, topic_prefix=f"{objects['topic_prefix']}/")

    def source(self, spec: SourceSpec) -> Source:
        """A stream of whole messages from a queue."""
        return SolaceSource(spec)

    def sink(self, spec: SinkSpec) -> Sink:
        """A stream of whole messages to topics."""
        return SolaceSink(spec)


def _asked(spec: PublisherSpec | SubscriberSpec) -> ClientName:
    return client_asked(
        spec.settings, system="Solace", native="the vendor's C library", api="the vendor's public Python API"
    )

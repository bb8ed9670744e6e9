"""Apache Kafka through confluent-kafka. May import ``contract``, ``topics`` and ``config`` only.

Start reading at ``mappings/topic-per-channel.yaml`` (what a channel becomes), then ``admin`` (control plane),
``publisher`` and ``subscriber`` (hot path; ``native`` is the same on the C library). ``reading`` is a subscriber's
place in its group, ``settlement`` the pure rule that turns acknowledges into offsets.
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
from crep.harness.brokers.kafka.admin import KafkaAdmin
from crep.harness.brokers.kafka.inspect import KafkaInspect
from crep.harness.brokers.kafka.messages import KafkaMessages
from crep.harness.brokers.kafka.native.library import NativeClientUnavailable
from crep.harness.brokers.kafka.native.publisher import NativeKafkaPublisher
from crep.harness.brokers.kafka.native.subscriber import NativeKafkaSubscriber
from crep.harness.brokers.kafka.publisher import KafkaPublisher
from crep.harness.brokers.kafka.streams import KafkaSink, KafkaSource
from crep.harness.brokers.kafka.subscriber import KafkaSubscriber
from crep.harness.brokers.streams import Sink, SinkSpec, Source, SourceSpec

__all__ = ["KafkaAdapter"]


class KafkaAdapter:
    """Everything that crep does with a Kafka cluster."""

    system = "kafka"

    def admin(self, endpoint: Endpoint) -> Admin:
        """The control plane."""
        return KafkaAdmin(endpoint)

    def publisher(self, spec: PublisherSpec) -> BulkPublisher:
        """One producer, on the library that the settings ask for."""
        if _asked(spec) == "native":
            try:
                return NativeKafkaPublisher(spec)
            except NativeClientUnavailable as unavailable:
                publisher = KafkaPublisher(spec)
                publisher.instead_of_native(unavailable.message)
                return publisher
        return KafkaPublisher(spec)

    def subscriber(self, spec: SubscriberSpec) -> BulkSubscriber:
        """One consumer, one member of one reader, on the library that the settings ask for."""
        if _asked(spec) == "native":
            try:
                return NativeKafkaSubscriber(spec)
            except NativeClientUnavailable as unavailable:
                subscriber = KafkaSubscriber(spec)
                subscriber.instead_of_native(unavailable.message)
                return subscriber
        return KafkaSubscriber(spec)

    def messages(self, endpoint: Endpoint, provisioned: Provisioned, readers: Sequence[ReaderSpec]) -> Messages:
        """One message at a time."""
        return KafkaMessages(endpoint, provisioned, readers)

    def inspect(self, endpoint: Endpoint, provisioned: Provisioned) -> Inspect:
        """Look into a reader's backlog."""
        return KafkaInspect(endpoint, provisioned)

    def directions(self, endpoint: Endpoint, objects: Json, reader: str | None = None) -> Directions:
        """The way to a channel: its topic, and the reader's group."""
        group = None if reader is None else str(objects["groups"][reader])
        return Directions(endpoint, topic=objects["topic"], group=group, topic_header=objects["topic_header"])

    def source(self, spec: SourceSpec) -> Source:
        """A stream of whole messages from topics."""
        return KafkaSource(spec)

    def sink(self, spec: SinkSpec) -> Sink:
        """A stream of whole messages to topics."""
        return KafkaSink(spec)


def _asked(spec: PublisherSpec | SubscriberSpec) -> ClientName:
    return client_asked(spec.settings, system="Kafka", native="librdkafka's C API", api="confluent-kafka's Python API")

"""What both Kafka publishers have in common: their properties, and the headers of their messages."""

from __future__ import annotations

from crep.harness.brokers.client_library import CLIENT
from crep.harness.brokers.contract import Json, PublisherSpec
from crep.harness.brokers.kafka.client import connection

Headers = list[tuple[str, bytes]]


def publisher_properties(spec: PublisherSpec) -> Json:
    """librdkafka properties of a publisher: address, login, the settings, and what the guarantee asks for."""
    settings = {name: value for name, value in spec.settings.items() if name != CLIENT}
    properties = connection(spec.endpoint, spec.name) | settings
    properties["delivery.timeout.ms"] = max(int(spec.reconnect_for_s * 1000), int(properties.get("linger.ms", 5)) + 1)
    if spec.guaranteed:
        return properties | {"acks": "all"}
    return properties | {"acks": 0, "enable.idempotence": False}


def topic_headers(spec: PublisherSpec) -> list[Headers] | None:
    """For each neutral topic the headers that tell it; None where no reader of the channel asks (``layout``)."""
    if not spec.objects["topic_in_header"]:
        return None
    return [[(str(spec.objects["topic_header"]), topic.encode())] for topic in spec.topics]

"""What both Kafka publishers have in common: their properties, and the headers of their messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crep.harness.brokers.client_library import CLIENT
from crep.harness.brokers.contract import Json, PublisherSpec
from crep.harness.brokers.kafka.client import connection
from crep.harness.config.errors import UsageError

_BATCH_BYTES = _MESSAGE_BYTES = 1_000_000  # the library's defaults
Headers = list[tuple[str, bytes]]


def publisher_properties(spec: PublisherSpec) -> Json:
    """librdkafka properties of a publisher: address, login, the settings, and what the guarantee asks for."""
    settings = {name: value for name, value in spec.settings.items() if name != CLIENT}
    properties = connection(spec.endpoint, spec.name) | settings
    largest = spec.objects.get("max_message_bytes")
    if largest is not None:
        # The broker holds a whole batch to the limit. A message that is too large must reach it, to be refused there.
        properties["batch.size"] = min(int(properties.get("batch.size", _BATCH_BYTES)), largest)
        properties["message.max.bytes"] = max(int(properties.get("message.max.bytes", _MESSAGE_BYTES)), 3 * largest)
    properties["delivery.timeout.ms"] = max(int(spec.reconnect_for_s * 1000), int(properties.get("linger.ms", 5)) + 1)
    if spec.guaranteed:
        return {"acks": "all"} | properties
    return properties | {"acks": 0, "enable.idempotence": False}


def acknowledged_by_leader(settings: Mapping[str, Any]) -> bool:
    """Whether guaranteed publishers with these settings are content with the leader's acknowledgement.

    Raises:
        UsageError: they would be content with none, or with something that Kafka does not know.
    """
    acks = str(settings.get("acks", "all"))
    if acks not in {"all", "-1", "1"}:
        raise UsageError(
            f"acks={acks}: a guaranteed publisher waits for an acknowledgement, so acks is 'all' or 1",
            hint="messages that need none are asked for in the scenario: mode: direct",
        )
    return acks == "1"


def fixed_headers(spec: PublisherSpec) -> list[Headers] | None:
    """For each neutral topic the headers of its messages; None where no message has any.

    The topic's own name is among them where a reader of the channel asks for it (``layout``).
    """
    properties = [(name, str(value).encode()) for name, value in spec.properties.items()]
    if not spec.objects["topic_in_header"]:
        return [properties] * len(spec.topics) if properties else None
    return [[(str(spec.objects["topic_header"]), topic.encode()), *properties] for topic in spec.topics]

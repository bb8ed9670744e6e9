"""What a broker itself has kept, read again from a point in the past: native replay, as a stream that has an end.

=========  ==================================================  ==================================================
can        Kafka                                               Solace (replay log of the message VPN)
=========  ==================================================  ==================================================
begin      earliest, a time, an offset for each partition      all, a time, behind a replication group message id
end        a time; else what is there when it is opened        none: what is there when the replay comes to its end
filter     whole topics                                        topic subscriptions
touches    nothing: it is a member of no group                 a queue of its own, which it removes
=========  ==================================================  ==================================================

What a broker cannot do is refused with the reason, or done by whoever reads the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol, cast

from crep.harness.brokers.contract import Endpoint, Json, NotSupported
from crep.harness.brokers.streams import KEY_PROPERTY, Source

_HISTORIES = {
    "kafka": "crep.harness.brokers.kafka.history:KafkaHistory",
    "solace": "crep.harness.brokers.solace.history:SolaceHistory",
}


@dataclass(frozen=True)
class HistorySpec:
    """From where to where. Times are Unix milliseconds by the broker's clock; ``until_ms`` is behind the last.

    ``reached`` and ``after`` come from what an earlier reader of the same history has got: they win over ``since_ms``.
    """

    endpoint: Endpoint
    name: str  # of the client, and of a queue that it needs
    places: tuple[str, ...]  # Kafka: topics; Solace: topic subscriptions
    since_ms: int | None = None
    until_ms: int | None = None
    offsets: Mapping[int, int] = field(default_factory=dict)  # Kafka, one topic: partition → first offset, no others
    reached: Mapping[str, int] = field(default_factory=dict)  # Kafka: topic[partition] → next offset
    after: str | None = None  # Solace: a replication group message id
    settings: Json = field(default_factory=dict)
    topic_header: str | None = None  # Kafka: the header that holds the message's topic
    key_property: str = KEY_PROPERTY  # Solace: the user property that holds the key


class History(Source, Protocol):
    """A source that ends. Accepting a message changes nothing that others see."""

    def ended(self) -> bool:
        """Whether all of it was received. To be asked when everything received so far was accepted.

        Raises:
            BrokerError: the broker has given up.
        """


def history(spec: HistorySpec) -> History:
    """The history of the spec's broker; it connects when it is opened.

    Raises:
        NotSupported: the broker cannot begin or end there, or has no history at all; with the reason.
    """
    path = _HISTORIES.get(spec.endpoint.system)
    if path is None:
        raise NotSupported(f"{spec.endpoint.system} keeps nothing that could be read again")
    module, name = path.split(":")
    return cast(History, getattr(import_module(module), name)(spec))

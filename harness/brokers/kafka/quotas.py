"""Client quotas of a Kafka cluster: DescribeClientQuotas, which librdkafka does not offer (METHOD rule 12).

Source: the Kafka protocol guide, API key 48, request and response version 0 (KIP-546). The request has no component, so
that every quota is listed, whoever it is for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.kafka.features import ask

_DESCRIBE_CLIENT_QUOTAS, _VERSION, _CORRELATION = 48, 0, 11
_CLIENT = b"crep"


@dataclass(frozen=True)
class ClientQuota:
    """One limit: for whom (``client-id default``, ``user alice, client-id x``), which, and how much."""

    entity: str
    limit: str  # producer_byte_rate, consumer_byte_rate, request_percentage …
    value: float


def ask_quotas(endpoint: Endpoint) -> tuple[ClientQuota, ...]:
    """Every client quota of the cluster.

    Raises:
        OSError: no address answers.
        ValueError: the server refuses, or does not speak this request; so does one that asks for a login first.
    """
    return parse_quotas(ask(endpoint, quotas_request()))


def quotas_request() -> bytes:
    """The whole request frame."""
    header = struct.pack(">hhih", _DESCRIBE_CLIENT_QUOTAS, _VERSION, _CORRELATION, len(_CLIENT)) + _CLIENT
    body = struct.pack(">i?", 0, False)  # no component, not strict
    return struct.pack(">i", len(header) + len(body)) + header + body


def parse_quotas(answer: bytes) -> tuple[ClientQuota, ...]:
    """Read a version 0 answer (without its size).

    Raises:
        ValueError: wrong correlation, an error code, or a truncated answer.
    """
    reader = _Reader(answer)
    try:
        correlation, _, error = struct.unpack(">iih", reader.take(10))
        why = reader.text()
        if correlation != _CORRELATION:
            raise ValueError("the answer carries another correlation id")
        if error:
            raise ValueError(f"the server refused DescribeClientQuotas: {why or f'error {error}'}")
        return tuple(quota for _ in range(reader.count()) for quota in _entry(reader))
    except struct.error as truncated:
        raise ValueError("the DescribeClientQuotas answer is truncated") from truncated


def _entry(reader: _Reader) -> list[ClientQuota]:
    entity = ", ".join(f"{reader.text()} {reader.text() or 'default'}" for _ in range(reader.count()))
    quotas = []
    for _ in range(reader.count()):
        limit = reader.text() or ""
        (value,) = struct.unpack(">d", reader.take(8))
        quotas.append(ClientQuota(entity, limit, value))
    return quotas


class _Reader:
    """Cursor over the classic encodings of the protocol."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """The next bytes; fewer at the end, which ``struct`` then refuses."""
        self._at += count
        return self._data[self._at - count : self._at]

    def count(self) -> int:
        """Length of an array, 0 for a null one."""
        return max(0, int(struct.unpack(">i", self.take(4))[0]))

    def text(self) -> str | None:
        """A nullable string."""
        (length,) = struct.unpack(">h", self.take(2))
        return None if length < 0 else self.take(length).decode("utf-8", "replace")

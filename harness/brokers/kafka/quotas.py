"""Client quotas of a Kafka cluster, which librdkafka does not offer: listed (METHOD rule 12), set and removed.

Source: the Kafka protocol guide, DescribeClientQuotas (API key 48) and AlterClientQuotas (49), requests and responses
of version 0 (KIP-546). The first has no component, so that every quota is listed, whoever it is for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.kafka.features import ask

PRODUCER_RATE = "producer_byte_rate"
"""The limit of what a client may publish, bytes a second and broker."""
_DESCRIBE_CLIENT_QUOTAS, _ALTER_CLIENT_QUOTAS, _VERSION, _CORRELATION = 48, 49, 0, 11
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


def set_client_quota(endpoint: Endpoint, clients: Sequence[str], rate: float | None) -> None:
    """Let each of these client ids publish ``rate`` bytes a second; None removes the limit, also where there is none.

    Raises:
        OSError: no address answers.
        ValueError: the server refuses, or does not speak this request; so does one that asks for a login first.
    """
    check_altered(ask(endpoint, alter_request(clients, PRODUCER_RATE, rate)))


def quotas_request() -> bytes:
    """The whole request frame that lists."""
    return _frame(_DESCRIBE_CLIENT_QUOTAS, struct.pack(">i?", 0, False))  # no component, not strict


def alter_request(clients: Sequence[str], limit: str, value: float | None) -> bytes:
    """The whole request frame that sets one limit for each of the client ids, or removes it (None)."""
    operation = _text(limit) + struct.pack(">d?", value or 0.0, value is None)
    entries = [
        struct.pack(">i", 1) + _text("client-id") + _text(client) + struct.pack(">i", 1) + operation
        for client in clients
    ]
    return _frame(_ALTER_CLIENT_QUOTAS, struct.pack(">i", len(entries)) + b"".join(entries) + b"\0")  # carried out


def _frame(request: int, body: bytes) -> bytes:
    header = struct.pack(">hhih", request, _VERSION, _CORRELATION, len(_CLIENT)) + _CLIENT
    return struct.pack(">i", len(header) + len(body)) + header + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def check_altered(answer: bytes) -> None:
    """Read a version 0 answer to `alter_request` (without its size).

    Raises:
        ValueError: wrong correlation, an entry that was refused, or a truncated answer.
    """
    reader = _Reader(answer)
    try:
        correlation, _ = struct.unpack(">ii", reader.take(8))
        if correlation != _CORRELATION:
            raise ValueError("the answer carries another correlation id")
        for _ in range(reader.count()):
            (error,) = struct.unpack(">h", reader.take(2))
            why = reader.text()
            entity = _entity(reader)
            if error:
                raise ValueError(f"the server refused a quota of {entity}: {why or f'error {error}'}")
    except struct.error as truncated:
        raise ValueError("the AlterClientQuotas answer is truncated") from truncated


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
    entity = _entity(reader)
    quotas = []
    for _ in range(reader.count()):
        limit = reader.text() or ""
        (value,) = struct.unpack(">d", reader.take(8))
        quotas.append(ClientQuota(entity, limit, value))
    return quotas


def _entity(reader: _Reader) -> str:
    return ", ".join(f"{reader.text()} {reader.text() or 'default'}" for _ in range(reader.count()))


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

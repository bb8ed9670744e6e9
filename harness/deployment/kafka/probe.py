"""Ask a running Kafka whether it is there: one exchange for a probe, the cluster's metadata for readiness."""

from __future__ import annotations

import socket
import struct
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_API_VERSIONS = 18
_CORRELATION = 0x63726570


def answers(host: str, port: int, timeout_s: float) -> bool:
    """True when a broker without TLS answers one exchange within ``timeout_s`` in all."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            return exchange(connection, deadline)
    except OSError:
        return False


def exchange(connection: socket.socket, deadline: float) -> bool:
    """One ApiVersions exchange (Kafka protocol guide; request version 0, header version 1).

    Every broker answers it before a login, also one that asks for SASL.

    Args:
        connection: an open one, with TLS or without.
        deadline: on ``time.monotonic()``.

    Raises:
        OSError: the connection broke, or the time is over.
    """
    client = b"crep-probe"
    body = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, len(client)) + client
    connection.sendall(struct.pack(">i", len(body)) + body)
    head = b""  # length and correlation id: enough to know a Kafka
    while len(head) < 8:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        more = connection.recv(8 - len(head))
        if not more:
            return False
        head += more
    return bool(struct.unpack(">ii", head)[1] == _CORRELATION)


def brokers(bootstrap: str, timeout_s: float) -> int:
    """How many brokers a client sees in the metadata (unfenced ones only); 0 where there is none or no answer."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 1000})
    try:
        return len(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return 0

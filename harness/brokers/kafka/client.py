"""What every Kafka client of crep shares: configuration from an endpoint, connection events, error texts.

librdkafka prints connection errors to standard error unless it is given a logger, and has no event for "connected
again": `ConnectionWatch` takes the log and the error callback, and its owner tells it when data flows.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from crep.harness.brokers.contract import BrokerError, ClientEvent, Endpoint, Outcome

CONNECT_TIMEOUT_S = 10.0
_EVENTS_KEPT = 1000
_SILENCE_S = 15.0
"""The library tries every 10 s at least (``reconnect.backoff.max.ms``). Longer without a failure: the cluster is back,
and nothing flows because there is nothing."""
_MOCK_CLUSTER_PREFIX = "mockCluster"  # librdkafka's built-in mock cluster names itself so

# Errors that prove that no log holds the message. Any other leaves it unknown: a time-out, a lost connection, and what
# a message can meet on its second attempt when the first has been stored (purged from the queue; too few replicas,
# which a broker checks before it looks for a duplicate).
_NOT_STORED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_MSG,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


def given_up(error: KafkaError) -> Outcome:
    """The outcome of a message that the library gave up on."""
    return Outcome.REJECTED if error.code() in _NOT_STORED else Outcome.UNKNOWN


def client_library() -> str:
    """Client library and version, for the provenance."""
    return f"confluent-kafka {confluent_kafka.version()} (librdkafka {confluent_kafka.libversion()[0]})"


def is_mock(cluster_id: str | None) -> bool:
    """Whether a cluster id is one of librdkafka's mock cluster."""
    return bool(cluster_id) and str(cluster_id).startswith(_MOCK_CLUSTER_PREFIX)


def connection(endpoint: Endpoint, client_id: str) -> dict[str, Any]:
    """librdkafka properties for address, TLS and login.

    Raises:
        BrokerError: the endpoint has no bootstrap address.
    """
    if not endpoint.bootstrap:
        raise BrokerError(f"target {endpoint.target!r} has no Kafka bootstrap address (host:port)")
    properties: dict[str, Any] = {"bootstrap.servers": endpoint.bootstrap, "client.id": client_id}
    if endpoint.tls is not None:
        properties |= {
            "ssl.ca.location": endpoint.tls.ca_file,
            "ssl.certificate.location": endpoint.tls.certificate_file,
            "ssl.key.location": endpoint.tls.key_file,
            "ssl.endpoint.identification.algorithm": "https" if endpoint.tls.verify_host else "none",
        }
    if endpoint.username:
        properties |= {
            "sasl.mechanism": endpoint.sasl_mechanism or "PLAIN",
            "sasl.username": endpoint.username,
            "sasl.password": endpoint.password,
        }
    protocol = ("SASL_" if endpoint.username else "") + ("SSL" if endpoint.tls else "PLAINTEXT")
    return {name: value for name, value in properties.items() if value is not None} | {"security.protocol": protocol}


def shown(properties: Mapping[str, Any]) -> dict[str, str]:
    """Properties for the provenance: as text, without the password and without callbacks."""
    hidden = {"sasl.password"}
    return {name: str(value) for name, value in properties.items() if name not in hidden and not callable(value)}


class ConnectionWatch:
    """Turns librdkafka's errors into `ClientEvent`s. Its callbacks run inside poll, on the owner's thread.

    ``down`` is the first failure after data flowed, ``reconnecting`` further ones, ``reconnected`` the first message or
    acknowledgement after that: the only proof of a connection that the library gives. All three mean that no broker is
    left: of one among several the library's log alone says that its connection ended, which is ``disconnected``.
    """

    def __init__(self) -> None:
        self._events: deque[ClientEvent] = deque(maxlen=_EVENTS_KEPT)
        self.connected = True
        self._told_s = 0.0
        self._lost_s = self._failed_s = 0.0  # the first failure of a row, and the last
        self.last_error: str | None = None
        self.refused = False  # login or TLS was refused: waiting longer does not help

    def options(self) -> dict[str, Any]:
        """The two callbacks, as constructor options of a client."""
        return {"error_cb": self._on_error, "logger": _Log(self)}

    def _on_error(self, error: KafkaError) -> None:
        self.failed(error.code(), error.str())

    def failed(self, code: int, text: str) -> None:
        """Take in an error that the library reported."""
        self.last_error = text
        self.refused |= code in (KafkaError._AUTHENTICATION, KafkaError._SSL)
        if code in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE):
            self._lost(text)
        else:
            self.note("error", text)

    def logged(self, facility: str, line: str) -> None:
        """Take in a line of the library's log."""
        if facility == "FAIL" and _WAS_UP.search(line):
            self.note("disconnected", line)

    def _lost(self, text: str) -> None:
        """The library tries about ten times a second; one event a second tells as much."""
        now = time.monotonic()
        if self.connected or now - self._failed_s > _SILENCE_S:
            self._lost_s = now
        self._failed_s = now
        if self.connected or now - self._told_s >= 1.0:
            self.note("down" if self.connected else "reconnecting", text)
            self._told_s = now
        self.connected = False

    def note(self, kind: str, text: str) -> None:
        """Record an event that the owner saw."""
        self._events.append(ClientEvent(time.monotonic_ns(), kind, text))

    def flowing(self, what: str) -> None:
        """Tell that data arrived; cheap enough for every poll."""
        if not self.connected:
            self.connected = True
            self.note("reconnected", f"first {what} after the connection was lost")

    def see_that_it_is_worth_trying(self, for_s: float, endpoint: Endpoint) -> None:
        """Librdkafka itself tries for ever.

        Raises:
            BrokerError: the cluster has been out of reach for longer than ``for_s``, and still is.
        """
        now = time.monotonic()
        if not self.connected and now - self._failed_s <= _SILENCE_S and now - self._lost_s > for_s:
            raise BrokerError(
                f"Kafka at {endpoint.bootstrap} (target {endpoint.target!r}) was out of reach for {for_s:g} s: "
                f"{self.last_error}"
            )

    def take(self) -> list[ClientEvent]:
        """Events since the last call."""
        taken = list(self._events)
        self._events.clear()
        return taken


_WAS_UP = re.compile(r"\(after \d+ms in state UP\b")
"""How the library's log ends a line about a connection that had been there; what follows is attempts at a new one."""


class _Log:
    """As much of a ``logging.Logger`` as the library calls, from within poll. It prints nothing: what matters reaches
    the user as events and in the text of BrokerError."""

    def __init__(self, watch: ConnectionWatch) -> None:
        self._watch = watch

    def log(self, _level: int, _format: str, facility: str, _client: str, line: str) -> None:
        """The format is ``"%s [%s] %s"``."""
        self._watch.logged(facility, line)


def unreachable(endpoint: Endpoint, cause: object, watch: ConnectionWatch | None = None) -> BrokerError:
    """The error for a broker that did not answer: address, cause, what to check."""
    if watch is not None and watch.refused:
        return BrokerError(
            f"Kafka at {endpoint.bootstrap} (target {endpoint.target!r}) refused the login of user "
            f"{endpoint.username!r}: {watch.last_error}",
            hint="check user name, SASL mechanism, TLS files, and the environment variable that password_env names",
        )
    detail = watch.last_error if watch is not None and watch.last_error else _text(cause)
    return BrokerError(
        f"Kafka at {endpoint.bootstrap} (target {endpoint.target!r}) cannot be reached: {detail}",
        hint="check that the broker runs, that host and port are right, and that its advertised listeners can be "
        "reached from here",
    )


def _text(cause: object) -> str:
    if isinstance(cause, KafkaException) and cause.args and isinstance(cause.args[0], KafkaError):
        return str(cause.args[0].str())
    return str(cause)

"""Which Kafka is this? One ApiVersions exchange, since no client library shows the broker's feature levels.

Apache Kafka announces the feature ``metadata.version`` (KRaft); its highest supported level names the release. Servers
that only speak the Kafka protocol do not. Source: the ApiVersions schema (request and response version 3) of the Kafka
protocol guide; feature levels: ``MetadataVersion`` of Apache Kafka.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass

from crep.harness.brokers.contract import Endpoint

_API_VERSIONS, _REQUEST_VERSION, _CORRELATION = 18, 3, 7
_LARGEST_ANSWER = 1 << 20
_TIMEOUT_S = 5.0
METADATA_VERSION = "metadata.version"
# First metadata.version level of each release.
_RELEASES = (
    (1, "3.0"), (2, "3.1"), (3, "3.2"), (4, "3.3"), (8, "3.4"), (9, "3.5"), (12, "3.6"), (15, "3.7"), (20, "3.8"),
    (21, "3.9"), (22, "4.0"), (26, "4.1"), (28, "4.2"), (30, "4.3"),
)  # fmt: skip
_NEWEST_KNOWN_LEVEL = 30


@dataclass(frozen=True)
class Features:
    """Highest supported level and finalised level of each feature that the broker announces."""

    supported: dict[str, int]
    finalized: dict[str, int]


def release_of(level: int) -> str:
    """The Kafka release of a ``metadata.version`` level, e.g. ``4.3``; a level above the table is shown as such."""
    if level > _NEWEST_KNOWN_LEVEL:
        return f"newer than {_RELEASES[-1][1]} (metadata.version {level})"
    return max((first, release) for first, release in _RELEASES if first <= level)[1] if level >= 1 else "unknown"


def ask_features(endpoint: Endpoint) -> Features:
    """Connect to the first bootstrap address that answers and ask.

    ApiVersions is answered before a SASL login, so it needs none.

    Raises:
        OSError: no address answers.
        ValueError: the answer is not that of a Kafka server.
    """
    return parse_api_versions(ask(endpoint, api_versions_request()))


def ask(endpoint: Endpoint, request: bytes) -> bytes:
    """Send one request frame to the first bootstrap address that answers; the answer, without its size.

    Raises:
        OSError: no address answers; a connection that is closed instead (the proxy's of a dead node) is no answer.
        ValueError: the answer is of no sensible size.
    """
    failure: Exception = OSError("no bootstrap address")
    for address in (endpoint.bootstrap or "").split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            with (
                socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S) as plain,
                _secured(plain, endpoint, host) as stream,
            ):
                stream.sendall(request)
                return _answer(stream)
        except OSError as error:
            failure = error
    raise failure


def _secured(plain: socket.socket, endpoint: Endpoint, host: str) -> socket.socket:
    if endpoint.tls is None:
        return plain
    context = ssl.create_default_context(cafile=endpoint.tls.ca_file)
    context.check_hostname = endpoint.tls.verify_host
    if endpoint.tls.certificate_file:
        context.load_cert_chain(endpoint.tls.certificate_file, endpoint.tls.key_file)
    return context.wrap_socket(plain, server_hostname=host)


def _answer(stream: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(stream, 4))
    if not 0 < size <= _LARGEST_ANSWER:
        raise ValueError(f"an answer of {size} bytes is not one of a Kafka server")
    return _exactly(stream, size)


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise ConnectionAbortedError("the server closed the connection instead of answering")
        data += part
    return data


def api_versions_request() -> bytes:
    """The whole request frame."""
    client = b"crep"
    header = struct.pack(">hhih", _API_VERSIONS, _REQUEST_VERSION, _CORRELATION, len(client)) + client + b"\0"
    software, version = b"crep", b"1"
    body = bytes([len(software) + 1]) + software + bytes([len(version) + 1]) + version + b"\0"
    return struct.pack(">i", len(header) + len(body)) + header + body


def parse_api_versions(answer: bytes) -> Features:
    """Read a version 3 answer (without its size).

    Raises:
        ValueError: wrong correlation, an error code, or a truncated answer.
    """
    reader = CompactReader(answer)
    try:
        correlation, error = struct.unpack(">ih", reader.take(6))
        if correlation != _CORRELATION:
            raise ValueError("the answer carries another correlation id")
        if error:
            raise ValueError(f"the server refused ApiVersions version {_REQUEST_VERSION} (error {error})")
        for _ in range(reader.varint() - 1):
            reader.take(6)
            reader.skip_tags()
        reader.take(4)  # throttle time
        supported: dict[str, int] = {}
        finalized: dict[str, int] = {}
        for _ in range(reader.varint()):
            tag, size = reader.varint(), reader.varint()
            section = CompactReader(reader.take(size))
            if tag == 0:
                supported = section.levels()
            elif tag == 2:
                finalized = section.levels(highest_first=True)
    except (struct.error, IndexError) as truncated:
        raise ValueError("the ApiVersions answer is truncated") from truncated
    return Features(supported, finalized)


class CompactReader:
    """Cursor over the compact encodings of the protocol."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            IndexError: there are not so many.
        """
        if self._at + count > len(self._data):
            raise IndexError
        self._at += count
        return self._data[self._at - count : self._at]

    def varint(self) -> int:
        """An unsigned number of variable length."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def skip_tags(self) -> None:
        """Pass over the tagged fields."""
        for _ in range(self.varint()):
            self.varint()
            self.take(self.varint())

    def levels(self, *, highest_first: bool = False) -> dict[str, int]:
        """A compact array of (name, lowest, highest); the finalised one stores (name, highest, lowest)."""
        found: dict[str, int] = {}
        for _ in range(self.varint() - 1):
            name = self.take(self.varint() - 1).decode()
            first, second = struct.unpack(">hh", self.take(4))
            self.skip_tags()
            found[name] = first if highest_first else second
        return found

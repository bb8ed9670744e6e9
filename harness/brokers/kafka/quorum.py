"""Who leads the controllers' quorum: DescribeQuorum, which librdkafka does not offer.

The controller that a broker names in its metadata is none: in KRaft mode it is a broker picked at random, which
forwards what it is asked (KIP-590). Source: the Kafka protocol guide, API key 55, request and
response version 0 (KIP-595).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.kafka.features import CompactReader, ask

_DESCRIBE_QUORUM, _VERSION, _CORRELATION = 55, 0, 13
_CLIENT = b"crep"
_LOG = b"__cluster_metadata"
_NOTHING_FETCHED = -1


@dataclass(frozen=True)
class Quorum:
    """Node ids of the leader (the active controller) and of the voters that have taken in some of its log."""

    leader: int
    following: frozenset[int]


def ask_quorum(endpoint: Endpoint) -> Quorum:
    """The quorum as its leader sees it; a broker that is asked hands the question on.

    Raises:
        OSError: no address answers.
        ValueError: the server refuses (there is no leader), or does not speak this request; so does one that asks for
            a login first.
    """
    return parse_quorum(ask(endpoint, quorum_request()))


def quorum_request() -> bytes:
    """The whole request frame."""
    header = struct.pack(">hhih", _DESCRIBE_QUORUM, _VERSION, _CORRELATION, len(_CLIENT)) + _CLIENT + b"\0"
    topic = bytes([len(_LOG) + 1]) + _LOG + b"\2" + struct.pack(">i", 0) + b"\0" + b"\0"
    body = b"\2" + topic + b"\0"
    return struct.pack(">i", len(header) + len(body)) + header + body


def parse_quorum(answer: bytes) -> Quorum:
    """Read a version 0 answer (without its size).

    Raises:
        ValueError: wrong correlation, an error code, no leader, or a truncated answer.
    """
    reader = CompactReader(answer)
    try:
        (correlation,) = struct.unpack(">i", reader.take(4))
        reader.skip_tags()
        if correlation != _CORRELATION:
            raise ValueError("the answer carries another correlation id")
        _refuse(reader)
        if reader.varint() - 1 != 1:
            raise ValueError("the answer is about another number of topics than was asked")
        reader.take(reader.varint() - 1)
        if reader.varint() - 1 != 1:
            raise ValueError("the answer is about another number of partitions than was asked")
        reader.take(4)
        _refuse(reader)
        leader, _epoch, _high_watermark = struct.unpack(">iiq", reader.take(16))
        voters = [_replica(reader) for _ in range(reader.varint() - 1)]
    except (struct.error, IndexError) as truncated:
        raise ValueError("the DescribeQuorum answer is truncated") from truncated
    if leader < 0:
        raise ValueError("the quorum has no leader")
    return Quorum(leader, frozenset(voter for voter, end in voters if end > _NOTHING_FETCHED))


def _refuse(reader: CompactReader) -> None:
    (error,) = struct.unpack(">h", reader.take(2))
    if error:
        raise ValueError(f"the server refused DescribeQuorum (error {error})")


def _replica(reader: CompactReader) -> tuple[int, int]:
    """Node id and log end offset of one voter."""
    found: tuple[int, int] = struct.unpack(">iq", reader.take(12))
    reader.skip_tags()
    return found

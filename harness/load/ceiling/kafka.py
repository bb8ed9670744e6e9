"""A server of the Kafka protocol that does nothing: ``python -m crep.harness.load.ceiling.kafka TOPICS``.

==========================  =========================================================================================
what a client does          what it gets
==========================  =========================================================================================
asks for metadata           one broker, which leads every partition of the topics that it was started with
produces                    an acknowledgement; the records are never looked at
joins a group               a group of its own: it leads it, and assigns itself what it likes
asks for or commits places  0; an answer
fetches                     a batch that was rendered before, at whatever place it asks for; for each partition, at once
==========================  =========================================================================================

``TOPICS`` is JSON: ``{name: {"partitions": 6, "deliver": null}}``; ``deliver`` is what ``Deliveries`` are made from.
The messages carry stamps of run 0 with valid check sums, so that an engine's checks are all at work. Nothing is
delivered before the first byte on standard input: clients are to be ready, all of them. One thread a connection.

When it listens, one line of JSON goes to standard output: ``{"ready": true, "bootstrap": "127.0.0.1:…"}``. It ends when
its standard input is closed. The versions of requests that it offers are those of Kafka 2.1, the first with zstd: what
came later is of no concern to a client that only produces and fetches.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crep.harness.load.ceiling.kafka_wire import Fields, i16, i32, i64, items, text
from crep.harness.load.ceiling.record_batch import Record, RecordBatch
from crep.harness.load.stamp import Carrier, Renderer
from crep.harness.scenario.sizes import Sizes

RUN = 0
"""Of the stamps."""
_NODE = 0
_NO_ERROR, _UNKNOWN_TOPIC, _UNSUPPORTED_VERSION = 0, 3, 35
_MOST_RECORDS, _MOST_BYTES = 1000, 512 << 10  # of a batch
_LARGEST_REQUEST = 256 << 20
_FLEXIBLE_API_VERSIONS = 3
_GROUP = "crep-no-op"


@dataclass(frozen=True)
class Deliveries:
    """What the partitions of a topic hold: sizes in bytes, and the headers of each message.

    ``topic_header`` is the name of the one that says the neutral topic (None: no header), which are taken in turns;
    ``stamp_property`` of the one that carries the stamp (None: it stands before the payload).
    """

    sizes: Sizes
    topics: tuple[str, ...]
    topic_header: str | None
    properties: Mapping[str, str]
    stamp_property: str | None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deliveries:
        """Plain data with these names."""
        return cls(**{**data, "sizes": Sizes.from_json(data["sizes"]), "topics": tuple(data["topics"])})

    def batch(self) -> RecordBatch:
        """So many messages as a batch may have."""
        count = max(1, min(_MOST_RECORDS, int(_MOST_BYTES / self.sizes.mean)))
        numbers = np.arange(count)
        carrier: Carrier = "payload" if self.stamp_property is None else "property"
        rendered = Renderer(run=RUN, publisher=0, seed=1, carrier=carrier).render(
            numbers.astype(np.uint64),
            np.full(count, time.monotonic_ns(), np.int64),
            numbers.astype(np.uint32),
            np.zeros(count, np.uint32),
            self.sizes.of(1, 0, numbers),
        )
        records = []
        for number, body in enumerate(rendered.bodies):
            headers = [(name, value.encode()) for name, value in self.properties.items()]
            if self.topic_header is not None:
                headers.append((self.topic_header, self.topics[number % len(self.topics)].encode()))
            if self.stamp_property is not None and rendered.stamps is not None:
                headers.append((self.stamp_property, rendered.stamps[number]))
            records.append(Record(number.to_bytes(4, "big"), body, headers))
        return RecordBatch.of(records, time.time_ns() // 1_000_000)


@dataclass(frozen=True)
class Topic:
    """A topic of the server; ``batch`` is what each of its partitions delivers, None: nothing."""

    partitions: int
    batch: RecordBatch | None


class Server:
    """What all connections share."""

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self.topics = topics
        self.delivers = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self._members = 0

    def accept(self) -> None:
        """Serve everybody who connects."""
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(self, connection).serve, daemon=True).start()

    def new_member(self) -> str:
        """A name that no other member has."""
        self._members += 1
        return f"member-{self._members}-{time.monotonic_ns()}"


class Connection:
    """One client's connection; requests are answered in their order."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self._server, self._socket = server, connection

    def serve(self) -> None:
        """Answer until the client is gone."""
        try:
            with self._socket, self._socket.makefile("rb", buffering=1 << 16) as requests:
                while (answer := self._next(requests.read)) is not None:
                    self._socket.sendall(answer)
        except OSError:
            pass  # reset by the client: it is gone as well

    def _next(self, read: Callable[[int], bytes]) -> bytes | None:
        """The answer to the next request, empty where none is wanted; None at the end."""
        head = read(4)
        if len(head) < 4:
            return None
        size = int.from_bytes(head, "big")
        if size > _LARGEST_REQUEST:
            return None
        raw = read(size)
        if len(raw) < size:
            return None
        asked = Fields(raw)
        kind, version, correlation = asked.i16(), asked.i16(), asked.i32()
        asked.text()  # the client's name
        if kind == _API_VERSIONS:
            body: bytes | None = _api_versions(version)
        else:
            highest, answer = _ANSWERS.get(kind, (-1, None))
            if answer is None or version != highest:
                return None  # what was not offered is answered by the end of the connection
            body = answer(self, asked)
        if body is None:
            return b""
        return i32(len(body) + 4) + i32(correlation) + body

    def _metadata(self, asked: Fields) -> bytes:
        count, topics = asked.i32(), self._server.topics
        names = list(topics) if count < 0 else [asked.text() or "" for _ in range(count)]
        broker = i32(_NODE) + text("127.0.0.1") + i32(self._server.port) + text(None)
        found = []
        for name in names:
            partitions = topics[name].partitions if name in topics else 0
            one = i16(_NO_ERROR if partitions else _UNKNOWN_TOPIC) + text(name) + b"\0"
            leaders = [
                i16(_NO_ERROR) + i32(number) + i32(_NODE) + 2 * items([i32(_NODE)]) for number in range(partitions)
            ]
            found.append(one + items(leaders))
        return items([broker]) + text(_GROUP) + i32(_NODE) + items(found)

    def _produce(self, asked: Fields) -> bytes | None:
        asked.text()
        acknowledged = asked.i16() != 0
        asked.i32()
        answers = asked.by_topic(lambda: i32(asked.i32()) + _skipped(asked) + i16(_NO_ERROR) + i64(0) + 2 * i64(-1))
        return answers + i32(0) if acknowledged else None

    def _fetch(self, asked: Fields) -> bytes:
        asked.i32()
        patience_ms = asked.i32()
        for _ in range(2):
            asked.i32()
        asked.i8()
        for _ in range(2):
            asked.i32()
        delivers = self._server.delivers.is_set() or self._server.delivers.wait(patience_ms / 1000)
        answers = asked.by_topic_named(lambda name: self._fetched(asked, name, delivers=delivers))
        return i32(0) + i16(_NO_ERROR) + i32(0) + answers

    def _fetched(self, asked: Fields, name: str, *, delivers: bool) -> bytes:
        number, _, offset, _, _ = asked.i32(), asked.i32(), asked.i64(), asked.i64(), asked.i32()
        topic = self._server.topics.get(name)
        batch = topic.batch if topic is not None and delivers else None
        records = b"" if batch is None else batch.at(offset)
        end = i64(offset + (0 if batch is None else 2 * batch.count))  # there is always more
        return i32(number) + i16(_NO_ERROR) + end + end + i64(0) + items([]) + i32(len(records)) + records

    def _list_offsets(self, asked: Fields) -> bytes:
        asked.i32()
        return asked.by_topic(lambda: i32(asked.i32()) + _without(asked.i64()) + i16(_NO_ERROR) + i64(-1) + i64(0))

    def _find_coordinator(self, _asked: Fields) -> bytes:
        return i16(_NO_ERROR) + i32(_NODE) + text("127.0.0.1") + i32(self._server.port)

    def _join_group(self, asked: Fields) -> bytes:
        asked.text()
        asked.i32()
        member = asked.text() or self._server.new_member()
        asked.text()
        asked.i32()  # protocols: the first is as good as any
        protocol, metadata = asked.text(), asked.data()
        others = items([text(member) + i32(len(metadata)) + metadata])
        return i16(_NO_ERROR) + i32(1) + text(protocol) + 2 * text(member) + others

    def _sync_group(self, asked: Fields) -> bytes:
        asked.text()
        asked.i32()
        member = asked.text()
        assigned = {asked.text(): asked.data() for _ in range(asked.i32())}.get(member, b"")
        return i16(_NO_ERROR) + i32(len(assigned)) + assigned

    def _offset_fetch(self, asked: Fields) -> bytes:
        asked.text()
        return asked.by_topic(lambda: i32(asked.i32()) + i64(0) + text("") + i16(_NO_ERROR))

    def _offset_commit(self, asked: Fields) -> bytes:
        asked.text()
        asked.i32()
        asked.text()
        asked.i64()
        return asked.by_topic(
            lambda: i32(asked.i32()) + _without(asked.i64()) + _without(asked.text()) + i16(_NO_ERROR)
        )

    def _content(self, _asked: Fields) -> bytes:
        """Heartbeat, leave group."""
        return i16(_NO_ERROR)

    def _producer_id(self, _asked: Fields) -> bytes:
        return i32(0) + i16(_NO_ERROR) + i64(1) + i16(0)


def _skipped(asked: Fields) -> bytes:
    asked.skip(asked.i32())
    return b""


def _without(_value: object) -> bytes:
    """A field that was read and does not matter."""
    return b""


def _api_versions(version: int) -> bytes:
    """What is offered: of each request all versions up to one, and only that one is understood: clients take it."""
    offered = [(kind, highest) for kind, (highest, _) in _ANSWERS.items()] + [(_API_VERSIONS, _FLEXIBLE_API_VERSIONS)]
    ranges = [i16(kind) + i16(0) + i16(highest) for kind, highest in offered]
    if version < _FLEXIBLE_API_VERSIONS:
        return i16(_NO_ERROR) + items(ranges) + (i32(0) if version else b"")
    return i16(_NO_ERROR) + bytes([len(ranges) + 1]) + b"".join(one + b"\0" for one in ranges) + i32(0) + b"\0"


_API_VERSIONS = 18
_ANSWERS: dict[int, tuple[int, Callable[[Connection, Fields], bytes | None]]] = {
    0: (7, Connection._produce),
    1: (10, Connection._fetch),
    2: (1, Connection._list_offsets),
    3: (2, Connection._metadata),
    8: (2, Connection._offset_commit),
    9: (1, Connection._offset_fetch),
    10: (0, Connection._find_coordinator),
    11: (0, Connection._join_group),
    12: (0, Connection._content),
    13: (0, Connection._content),
    14: (0, Connection._sync_group),
    22: (0, Connection._producer_id),
}
"""By the number of the request: the version that is understood, and who answers it."""


def main(topics: Mapping[str, Mapping[str, Any]]) -> int:
    """Serve until standard input is closed."""
    server = Server(
        {
            name: Topic(
                one["partitions"], None if one["deliver"] is None else Deliveries.from_json(one["deliver"]).batch()
            )
            for name, one in topics.items()
        }
    )
    threading.Thread(target=server.accept, daemon=True).start()
    sys.stdout.write(json.dumps({"ready": True, "bootstrap": f"127.0.0.1:{server.port}"}) + "\n")
    sys.stdout.flush()
    if sys.stdin.buffer.read(1):
        server.delivers.set()
        sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))

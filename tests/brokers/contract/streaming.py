"""Promises of ``streams``: whole messages, many at a time, each settled on its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from crep.harness.brokers.contract import Adapter, BrokerError, Endpoint, Json, Message, Outcome
from crep.harness.brokers.streams import Sent, Sink, SinkSpec, Source, SourceSpec
from tests.brokers.contract.bench import CHANNEL, FULL, Bench, reader
from tests.brokers.contract.system import SystemUnderTest

NOWHERE = Endpoint("none", "the test puts its own here")


class Streaming(SystemUnderTest):
    """Promises of ``Source`` and ``Sink``."""

    def place(self, objects: Json) -> tuple[SourceSpec, SinkSpec, str]:
        """Of a provisioned channel with the reader ``billing``: its source, its sink (without endpoint), a topic."""
        raise NotImplementedError

    @contextmanager
    def both(self, bench: Bench, broker: Adapter, endpoint: Endpoint) -> Iterator[tuple[Source, Sink, str]]:
        provisioned = bench.provision(reader("billing"))
        source_spec, sink_spec, topic = self.place(provisioned.objects[CHANNEL])
        source = broker.source(replace(source_spec, endpoint=endpoint))
        sink = broker.sink(replace(sink_spec, endpoint=endpoint))
        try:
            sink.open()
            source.open()
            yield source, sink, topic
        finally:
            source.close()
            sink.close()

    def test_every_property_of_a_message_comes_through(self, bench: Bench, broker: Adapter, endpoint: Endpoint) -> None:
        with self.both(bench, broker, endpoint) as (source, sink, topic):
            assert sent_all(sink, [replace(FULL, topic=topic), replace(FULL, topic=topic, key=b"\xff\xfe")]) == [0, 1]
            got = received(source, 2)
            assert [replace(one, redelivered=None, priority=None) for one in got] == [
                replace(FULL, topic=topic),
                replace(FULL, topic=topic, key=b"\xff\xfe"),
            ]
            assert all(one.position for one in got)
            source.accept(got)

    def test_the_order_of_a_key_is_kept_and_what_is_accepted_does_not_come_again(
        self, bench: Bench, broker: Adapter, endpoint: Endpoint
    ) -> None:
        with self.both(bench, broker, endpoint) as (source, sink, topic):
            sent_all(sink, [Message(topic, b"%d" % number, key=str(number % 5)) for number in range(2000)])
            got = received(source, 2000)
            for key in map(str, range(5)):
                numbers = [int(one.payload) for one in got if one.key == key]
                assert numbers == sorted(numbers)
                assert len(numbers) == 400
            source.accept(got)
            source.close()
            source.open()
            assert source.receive(10, self.settle_quietly_s) == []

    def test_what_was_not_accepted_comes_again_to_the_next_reader(
        self, bench: Bench, broker: Adapter, endpoint: Endpoint
    ) -> None:
        with self.both(bench, broker, endpoint) as (source, sink, topic):
            sent_all(sink, [Message(topic, b"%d" % number, key="one") for number in range(10)])
            got = received(source, 10)
            source.accept(got[:4] + got[6:8])  # 4 and 5 stay open
            source.close()
            source.open()
            again = {int(one.payload) for one in received(source, 4)}
            assert {4, 5} <= again
            assert not again & {0, 1, 2, 3}

    def test_a_failed_message_comes_again(self, bench: Bench, broker: Adapter, endpoint: Endpoint) -> None:
        with self.both(bench, broker, endpoint) as (source, sink, topic):
            sent_all(sink, [Message(topic, b"once more", key="one")])
            source.fail(received(source, 1))
            again = received(source, 1)
            assert again[0].payload == b"once more"
            source.accept(again)

    def test_while_nothing_is_to_be_taken_nothing_is_lost(
        self, bench: Bench, broker: Adapter, endpoint: Endpoint
    ) -> None:
        with self.both(bench, broker, endpoint) as (source, sink, topic):
            sent_all(sink, [Message(topic, b"%d" % number, key="one") for number in range(50)])
            first = received(source, 1)
            for _ in range(5):
                assert source.receive(0, 0.05) == []
            rest = received(source, 49)
            assert [int(one.payload) for one in first + rest] == list(range(50))

    def test_a_place_that_does_not_exist_is_named(self, bench: Bench, broker: Adapter, endpoint: Endpoint) -> None:
        spec, _, _ = self.place(bench.provision(reader("billing")).objects[CHANNEL])
        source = broker.source(replace(spec, endpoint=endpoint, places=("crep-no-such-place",)))
        with pytest.raises(BrokerError, match="crep-no-such-place"):
            source.open()
        source.close()


def sent_all(sink: Sink, messages: list[Message]) -> list[int]:
    """Send all; returns the tokens that were acknowledged, in order."""
    sent: list[Sent] = []
    deadline = time.monotonic() + 30
    for token, message in enumerate(messages):
        while not sink.send(message, token):
            assert time.monotonic() < deadline
            sent += sink.poll(0.1)
    sent += sink.drain(30.0)
    assert sink.pending == 0
    assert {one.outcome for one in sent} == {Outcome.ACKNOWLEDGED}
    return sorted(one.token for one in sent)


def received(source: Source, count: int) -> list[Message]:
    """So many messages, in the order in which they came."""
    got: list[Message] = []
    deadline = time.monotonic() + 30
    while len(got) < count:
        assert time.monotonic() < deadline, f"{len(got)} of {count} came"
        got += source.receive(count - len(got), 0.2)
    return got

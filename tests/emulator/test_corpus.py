"""Every file of the corpus, as it is and changed: cut, with other bytes, with other lengths. See corpus/README.md.

Nothing but a :class:`ProtocolError` may come out of a parser or a session, whatever comes in.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.solace_emulator.session import Session
from crep.solace_emulator.smf import FrameSplitter, ProtocolError, assured, clientctrl, frame, message, sdt, smp
from tests.emulator.corpus.files import corpus
from tests.emulator.fakes import Consumer, World

CORPUS = corpus()
LIMIT = 1_000_000
LENGTHS = (0, 1, 11, 12, 13, 0x7FFFFFFF, 0xFFFFFFFF)


class Wire:
    """A connection that keeps what it is given."""

    peer = "127.0.0.1:1"
    certificate_name = None

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    @property
    def buffered(self) -> int:
        """Nothing: the network takes all."""
        return 0

    def send(self, sent: bytes) -> None:
        """Keep a frame."""
        self.sent.append(sent)

    def close(self, _: str) -> None:
        """Note it."""
        self.closed = True

    def accept_large_frames(self) -> None:
        """Do nothing."""

    def expect_keep_alives(self, seconds: int) -> None:
        """Do nothing."""


def mutations(raw: bytes) -> Iterator[bytes]:
    """Every cut, every byte changed in three ways, and every word of the head made another length."""
    for at in range(len(raw)):
        yield raw[:at]
        for byte in (0, raw[at] ^ 0x80, 0xFF):
            yield raw[:at] + bytes((byte,)) + raw[at + 1 :]
    for at in range(max(len(raw) - 3, 0)):
        for length in LENGTHS:
            yield raw[:at] + struct.pack(">I", length) + raw[at + 4 :]
    for at in range(1, len(raw)):
        yield raw[:at] + raw[at - 1 :]


def read_everything(raw: bytes) -> None:
    """Parse bytes in every way that the emulator has for them. Raises ProtocolError."""
    for one in FrameSplitter(LIMIT).feed(raw):
        for decode in (clientctrl.decode, assured.decode, smp.decode):
            try:
                decode(one.body)
            except ProtocolError:
                continue
        try:
            for key, value in assured.decode(one.body).params:
                if key == assured.APPLICATION_ACK:
                    assured.ack_range(value)
        except ProtocolError:
            pass
        decoded, _ = message.decode(one)
        sdt.properties(decoded)
        restored = message.restore(decoded.flags, decoded.cos, decoded.kept, decoded.body)
        message.encode_direct(restored)
        message.encode_delivery(restored, b"", 1, 0, redelivered=True, count=0)


class Client:
    """A session that has logged in, opened a publisher flow, and bound to queue ``q`` with a window."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._wire = Wire()
        self.session = Session(world.broker, self._wire)
        self._send(frame.CLIENT_CTRL, clientctrl.encode(clientctrl.LOGIN, [(clientctrl.CLIENT_NAME, b"x\0")]))
        self._publisher = self._flow(assured.OPEN_FLOW, [])
        self._consumer = self._flow(assured.BIND, [(assured.QUEUE_NAME, b"q\0"), (assured.WINDOW, b"\xff")])
        window = [(assured.FLOW_ID, frame.U32.pack(self._consumer)), (assured.WINDOW, b"\xff")]
        self._send(frame.ASSURED_CTRL, assured.encode(4, assured.CLIENT_ACK, window))

    def _send(self, protocol: int, body: bytes) -> None:
        self.receive(frame.frame(protocol, b"", body))

    def _flow(self, kind: int, params: list[tuple[int, bytes]]) -> int:
        self._send(frame.ASSURED_CTRL, assured.encode(4, kind, params))
        (answer,) = FrameSplitter(LIMIT).feed(self._wire.sent[-1])
        return frame.number(assured.decode(answer.body).by_type()[assured.FLOW_ID])

    def aimed(self, raw: bytes) -> bytes:
        """Return a file's bytes with this client's own flows in them, so that they are not just of no flow."""
        consumer = bytes((assured.FLOW_ID, 6)) + frame.U32.pack(self._consumer)
        publisher = bytes((frame.FLOW_ID, 6)) + frame.U32.pack(self._publisher)
        for pattern, flow in ((rb"[\x06\x86]\x06\x00\x00..", consumer), (rb"[\x17\x97]\x06\x00\x00..", publisher)):
            raw = re.sub(pattern, lambda _, flow=flow: flow, raw, flags=re.DOTALL)  # type: ignore[misc]
        return raw

    def receive(self, raw: bytes) -> None:
        """Hand bytes to the session as its connection does. Raises ProtocolError."""
        for one in FrameSplitter(LIMIT).feed(raw):
            self.session.receive(one)
            self._world.broker.work()

    def leave(self) -> None:
        """End."""
        self.session.lost()
        self._world.broker.work()


def world_with_queues() -> World:
    """A broker with the queues that the files name, and a message for who is bound."""
    world = World()
    for name in ("q", "grave"):
        world.queue(name, "v/>", "made/>")
    return world


def endure(world: World, raw: bytes) -> None:
    """Have a client send this, aimed at its own flows; the broker must live on."""
    client = Client(world)
    world.publish("made/x", "for the client")
    with suppress(ProtocolError):
        client.receive(raw)
    client.leave()


def test_there_is_a_file_for_what_a_client_says_in_an_ordinary_conversation() -> None:
    names = " ".join(CORPUS)
    for said in ("client", "keep-alive", "open-flow", "bind", "unbind", "create", "acknowledge", "message-direct"):
        assert f"recorded/{said}" in names or f"recorded/assured-{said}" in names
    assert sum(name.startswith("vicious/") for name in CORPUS) > 40


@pytest.mark.parametrize("name", [name for name in CORPUS if name.startswith("recorded/")])
def test_what_the_official_client_sends_is_read_to_its_end(name: str) -> None:
    (one,) = FrameSplitter(LIMIT).feed(CORPUS[name])
    if one.protocol != frame.KEEP_ALIVE:
        decoders: dict[int, Callable[[bytes], object]] = {
            frame.CLIENT_CTRL: clientctrl.decode,
            frame.SMP: smp.decode,
            frame.MESSAGE: lambda _: message.decode(one),
        }
        decoders.get(one.protocol, assured.decode)(one.body)
    read_everything(CORPUS[name])


@pytest.mark.parametrize("name", CORPUS)
def test_no_change_of_a_file_gets_more_than_a_protocol_error_out_of_a_parser(name: str) -> None:
    for changed in mutations(CORPUS[name]):
        try:
            read_everything(changed)
        except ProtocolError:
            continue


@pytest.mark.parametrize("name", CORPUS)
def test_a_session_gets_over_every_file_and_a_sample_of_its_changes(name: str) -> None:
    world = world_with_queues()
    raw = Client(world).aimed(CORPUS[name])
    endure(world, raw)
    changes = list(mutations(raw))
    for changed in random.Random(7).sample(changes, min(40, len(changes))):
        endure(world, changed)
    assert_it_lives(world)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(sorted(CORPUS)), st.integers(0, 10_000)), min_size=1, max_size=8))
def test_a_session_gets_over_any_sequence_of_changed_files(sequence: list[tuple[str, int]]) -> None:
    world = world_with_queues()
    client = Client(world)
    with suppress(ProtocolError):
        for name, seed in sequence:
            raw = bytearray(client.aimed(CORPUS[name]))
            if seed and len(raw) > frame.HEADER_LENGTH:  # 0: as it is; else one byte behind the header changes
                raw[frame.HEADER_LENGTH + seed % (len(raw) - frame.HEADER_LENGTH)] ^= 1 + seed % 255
            client.receive(bytes(raw))
    client.leave()
    assert_it_lives(world)


def assert_it_lives(world: World) -> None:
    """Another client gets what is published now, and what was written down can be read."""
    consumer = Consumer()
    queue = world.queue("untouched", "untouched/x")
    world.bind(queue, consumer)
    world.publish("untouched/x", "still here")
    assert consumer.payloads == ["still here"]
    assert "untouched" in world.restarted().vpn.queues

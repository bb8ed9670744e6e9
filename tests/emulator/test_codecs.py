"""The wire: frames seen from the official client, round trips, and totality over arbitrary bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.smf import FrameSplitter, ProtocolError, assured, clientctrl, frame, message, smp

LIMIT = 1_000_000

LOGIN_ANSWER = bytes.fromhex(
    "030c000100000014000000f28808000000c84f4b0100000000de050000000e636c69656e742d3100060000000d64656661756c7400080000"
    "0025235032502f763a62726f6b65722f32343036353838372f636c69656e742d31000a0000000e763a62726f6b6572000c0000000c62726f"
    "6b657200000000000f31302e31302e312e3100010000001a4a616e20303120323032352030303a30303a3030000200000012534d4620656d"
    "756c61746f7200090000002b1b3fd74be00000000009000003e8010000000600020000000901c9c380030000000903d09000130000001"
    "81b3fd74be00400000007010405000000070101"
)
OPEN_FLOW = bytes.fromhex(
    "0309000100000014000000500808000000c84f4b04000000003c0606000000040a1362726f6b65722f396564633338302f3400020a000000"
    "0000000000010a00000000000000000303ff230600000004"
)
DIRECT = bytes.fromhex("0b8d00ff000000150000001a9806742f310003030468656c6c6f")
GUARANTEED = bytes.fromhex(
    "1b8d00ff0000003c000000419806612f31000303049003012c170600000004010600000004920a0000000000000000910a00000000000000"
    "0126000368656c6c6f"
)
DELIVERED = bytes.fromhex(
    "1b0d00ff0000004300000048170600000005110a000660f6c8c3adb0120a00000000000000009806612f310003030490030101060000000426"
    "00031f08302e0000000068656c6c6f"
)
REDELIVERED = bytes.fromhex(
    "1b0d00ff0000004f00000050170600000006110a000660f6c8c3adb4120a000660f6c8c3adb3130298066f2f31000303049003010106000000"
    "041c0a000000000000ea602600031f08302e000000016f"
)
QUEUE_SUBSCRIBE = bytes.fromhex("038f0001000000100000001f23000005820000000f0c0371310004612f3e00")
ACKNOWLEDGE_FAILED = bytes.fromhex(
    "030900010000000c0000003804030000002c860600000006820a000660f6c8c3adb38303ff8513000660f6c8c3adb3000660f6c8c3adb301"
)


def only(raw: bytes) -> frame.Frame:
    """The one frame in these bytes."""
    (found,) = FrameSplitter(LIMIT).feed(raw)
    return found


def test_a_direct_message_as_seen_on_the_wire() -> None:
    decoded, _ = message.decode(only(DIRECT))
    assert (decoded.topic, decoded.body, decoded.delivery_mode) == ("t/1", b"hello", message.DIRECT)
    assert decoded.dmq_eligible
    assert message.encode_direct(decoded) == DIRECT.replace(b"\x0b\x8d", b"\x0b\x0d", 1)


def test_a_guaranteed_message_as_seen_on_the_wire() -> None:
    decoded, hop = message.decode(only(GUARANTEED))
    assert (decoded.topic, decoded.body, decoded.delivery_mode) == ("a/1", b"hello", message.PERSISTENT)
    assert (hop.flow_id, hop.message_id, hop.previous_id, hop.acknowledge_now) == (4, 1, 0, True)
    flow = frame.parameter(frame.FLOW_ID, frame.U32.pack(5))
    sent = message.encode_delivery(decoded, flow, 0x0660F6C8C3ADB0, 0, redelivered=False, count=0)
    assert sent == DELIVERED


def test_a_redelivery_is_flagged_and_counted() -> None:
    decoded, _ = message.decode(only(REDELIVERED))
    assert (decoded.topic, decoded.time_to_live) == ("o/1", 60_000)
    flow = frame.parameter(frame.FLOW_ID, frame.U32.pack(6))
    ids = (0x0660F6C8C3ADB4, 0x0660F6C8C3ADB3)
    assert message.encode_delivery(decoded, flow, *ids, redelivered=True, count=1) == REDELIVERED


def test_a_login_answer_as_a_client_accepts_it() -> None:
    answer = only(LOGIN_ANSWER)
    kind, params = clientctrl.decode(answer.body)
    assert kind == clientctrl.LOGIN
    assert frame.text(params[clientctrl.P2P_TOPIC]) == "#P2P/v:broker/24065887/client-1"
    assert frame.text(params[clientctrl.VIRTUAL_ROUTER_NAME]) == "v:broker"
    assert answer.parameters()[frame.RESPONSE] == b"\0\0\0\xc8OK"
    assert clientctrl.encode(clientctrl.LOGIN, list(params.items())) == answer.body


def test_capability_bits_stand_in_the_order_that_clients_read() -> None:
    assert clientctrl.capabilities(frozenset({"jndi"}), ()) == b"\x1b\x80\0\0\0"
    names = frozenset({"sub_flow_guaranteed", "temporary_endpoint", "pub_flow_guaranteed"})
    assert clientctrl.capabilities(names, ((1, b"\0"),)) == b"\x1b\x38\0\0\0" + b"\x01\0\0\0\x06\0"
    assert clientctrl.extended_capabilities(((4, b"\1\4"),)) == bytes.fromhex("00 04 00000007 0104")


def test_an_assured_answer_as_a_client_accepts_it() -> None:
    body = only(OPEN_FLOW).body
    decoded = assured.decode(body)
    assert (decoded.version, decoded.kind) == (4, assured.OPEN_FLOW)
    assert frame.text(decoded.by_type()[assured.FLOW_NAME]) == "broker/9edc380/4"
    assert assured.encode(4, assured.OPEN_FLOW, decoded.params) == body


def test_a_settlement_as_seen_on_the_wire() -> None:
    decoded = assured.decode(only(ACKNOWLEDGE_FAILED).body)
    settled = assured.ack_range(decoded.by_type()[assured.APPLICATION_ACK])
    assert settled == assured.AckRange(0x0660F6C8C3ADB3, 0x0660F6C8C3ADB3, assured.OUTCOME_FAILED)


def test_a_queue_subscription_as_seen_on_the_wire() -> None:
    request = smp.decode(only(QUEUE_SUBSCRIBE).body)
    assert request == smp.Request(smp.ADD_TO_QUEUE, 0x0C, "q1", "a/>")
    assert request.response_required


@pytest.mark.parametrize(
    "raw",
    [
        "040b00010000000c0000000c",  # version 4
        "030b00010000000b0000000c",  # header shorter than itself
        "030b0001000000200000000c",  # message shorter than its header
        "030b00010000000cffffffff",  # longer than the limit
    ],
)
def test_an_unreadable_header_ends_the_stream(raw: str) -> None:
    with pytest.raises(ProtocolError):
        FrameSplitter(LIMIT).feed(bytes.fromhex(raw))


@given(st.lists(st.binary(max_size=60), max_size=6), st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame.frame(frame.MESSAGE, b"", body) for body in bodies)
    splitter = FrameSplitter(LIMIT)
    found: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += [one.body for one in splitter.feed(stream[:cut])]
        stream = stream[cut:]
    assert found == bodies


@given(
    st.lists(st.tuples(st.integers(1, 0x1F), st.one_of(st.binary(max_size=20), st.binary(min_size=250, max_size=300))))
)
def test_parameters_read_as_they_were_written(params: list[tuple[int, bytes]]) -> None:
    raw = b"".join(frame.parameter(key, value) for key, value in params)
    assert [(key, raw[a:b]) for key, _, a, b in frame.parameters(raw, 0, len(raw))] == params


@given(st.integers(1, 4), st.integers(0, 15), st.lists(st.tuples(st.integers(1, 0x3F), st.binary(max_size=300))))
def test_assured_bodies_read_as_they_were_written(version: int, kind: int, params: list[tuple[int, bytes]]) -> None:
    decoded = assured.decode(assured.encode(version, kind, params))
    assert (decoded.version, decoded.kind, decoded.params) == (version, kind, tuple(params))


ANY_BYTES = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda tail: frame.frame(frame.MESSAGE, tail, tail)),
    st.builds(
        lambda head, at, byte: head[:at] + bytes((byte,)) + head[at + 1 :],
        st.sampled_from([LOGIN_ANSWER, OPEN_FLOW, DIRECT, GUARANTEED, QUEUE_SUBSCRIBE, ACKNOWLEDGE_FAILED]),
        st.integers(0, 40),
        st.integers(0, 255),
    ),
)


@given(ANY_BYTES)
def test_no_bytes_raise_anything_but_a_protocol_error(raw: bytes) -> None:
    try:
        for one in FrameSplitter(10_000).feed(raw):
            message.decode(one)
            one.parameters()
            for decode in (clientctrl.decode, assured.decode, smp.decode):
                try:
                    decode(one.body)
                except ProtocolError:
                    continue
    except ProtocolError:
        pass


@given(st.binary(max_size=80))
def test_no_body_raises_anything_but_a_protocol_error(body: bytes) -> None:
    for decode in (clientctrl.decode, assured.decode, smp.decode, assured.ack_range):
        try:
            decode(body)
        except ProtocolError:
            continue


IDS = st.integers(0, 2**64 - 1).map(frame.U64.pack)
#: With ids in any order, number, length and encoding, and inside the values of other parameters.
SOME_PARAMETERS = st.lists(
    st.one_of(
        st.builds(lambda mark, value: mark + value, st.sampled_from([b"\x91\x0a", b"\x92\x0a", b"\x11\x0a"]), IDS),
        st.builds(frame.parameter, st.sampled_from([0x11, 0x91, 0x92]), st.binary(max_size=8)),
        st.builds(frame.parameter, st.just(frame.FLOW_ID), st.binary(min_size=4, max_size=4)),
        st.builds(
            lambda key, mark, value: frame.parameter(key, mark + value),
            st.sampled_from([frame.TOPIC, frame.TIME_TO_LIVE, 0x04]),
            st.sampled_from([b"", b"\x91\x0a", b"\x92\x0a"]),
            st.binary(max_size=8),
        ),
        st.sampled_from([b"\x2c", b"\x03\x03\x04", b"\x90\x03\x01", b"\x00"]),
    ),
    max_size=6,
).map(b"".join)


def said(params: bytes) -> tuple[object, ...] | None:
    """What a guaranteed message with these parameters is read as; None: it is not SMF."""
    raw = frame.frame(frame.MESSAGE, params, b"body", flags=frame.VERSION | frame.FLAG_GUARANTEED)
    try:
        got, hop = message.decode(frame.Frame(raw, frame.MESSAGE, len(raw) - 4))
    except ProtocolError:
        return None
    assert got.body == b"body"
    ids = (hop.message_id, hop.previous_id, hop.flow_id, hop.acknowledge_now)
    return ids, got.topic, got.kept, got.time_to_live, got.delivery_mode, got.priority


def said_alone(params: bytes) -> tuple[object, ...] | None:
    """The same, read without any memory of others."""
    try:
        head = message.Head(params)
    except ProtocolError:
        return None
    ids = (head.message_id, head.previous_id, head.flow_id, head.acknowledge_now)
    return ids, head.topic, head.kept, head.time_to_live, head.delivery_mode, head.priority


@given(st.lists(SOME_PARAMETERS, min_size=1, max_size=4), IDS, IDS)
def test_messages_that_resemble_those_before_are_read_as_if_they_did_not(
    several: list[bytes], message_id: bytes, previous_id: bytes
) -> None:
    usual = b"\x98\x04a\x00\x17\x06\x00\x00\x00\x07\x92\x0a" + previous_id + b"\x91\x0a" + message_id
    for other in several:
        for params in (usual, other, usual + other, other + usual):
            assert said(params) == said_alone(params)

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.brokers.packed import Packed
from crep.harness.load.checksum import PayloadSums
from crep.harness.load.stamp import SIZE, STAMP, Carrier, Rendered, Renderer, parse
from crep.harness.metrics.history import CORRUPT, FOREIGN, INTACT, Records

RUN = 0xC0FFEE
CARRIERS = st.sampled_from(["payload", "property"])
MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 2**64 - 1),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(SIZE, 300),
    ),
    min_size=1,
    max_size=20,
)
LAYOUTS = (np.uint64, np.int64, np.uint32, np.uint32, np.uint32)


def rendered(messages: list[tuple[int, ...]], carrier: Carrier, publisher: int = 3, run: int = RUN) -> Rendered:
    columns: list[Any] = [np.array(c, t) for c, t in zip(zip(*messages, strict=True), LAYOUTS, strict=True)]
    return Renderer(run=run, publisher=publisher, seed=7, carrier=carrier).render(*columns)


def parsed(bodies: list[bytes], stamps: list[bytes] | None) -> Records:
    count = len(bodies)
    return parse(bodies, stamps, run=RUN, received_ns=np.arange(count), redelivered=np.zeros(count, np.uint8))


def test_the_stamp_has_forty_bytes() -> None:
    assert STAMP.itemsize == SIZE == 40


@settings(deadline=None)
@given(MESSAGES, CARRIERS, st.integers(0, 2**16 - 1))
def test_what_was_rendered_is_parsed(messages: list[tuple[int, ...]], carrier: Carrier, publisher: int) -> None:
    out = rendered(messages, carrier, publisher)
    assert [len(body) for body in out.bodies] == [size for *_, size in messages]
    records = parsed(out.bodies, out.stamps)
    assert (records["fault"] == INTACT).all()
    assert (records["publisher"] == publisher).all()
    assert records["received_ns"].tolist() == list(range(len(messages)))
    fields = ("sequence", "intended_ns", "key", "key_sequence")
    assert list(zip(*(records[f].tolist() for f in fields), strict=True)) == [m[:4] for m in messages]


@settings(deadline=None)
@given(MESSAGES, CARRIERS, st.data())
def test_a_flipped_bit_is_never_taken_for_a_message(
    messages: list[tuple[int, ...]], carrier: Carrier, data: st.DataObject
) -> None:
    out = rendered(messages, carrier)
    victim = data.draw(st.integers(0, len(messages) - 1))
    bodies, stamps = list(out.bodies), out.stamps
    parts = data.draw(st.sampled_from([bodies, stamps] if stamps else [bodies]))
    bit = data.draw(st.integers(0, len(parts[victim]) * 8 - 1))
    changed = bytearray(parts[victim])
    changed[bit // 8] ^= 1 << bit % 8
    parts[victim] = bytes(changed)
    records = parsed(bodies, stamps)
    expected = [CORRUPT if i == victim else INTACT for i in range(len(messages))]
    assert records["fault"].tolist() == expected
    assert records["sequence"][victim] == records["key"][victim] == records["intended_ns"][victim] == 0


@settings(deadline=None)
@given(st.integers(0, SIZE + 60), CARRIERS)
def test_a_cut_message_is_corrupt(kept: int, carrier: Carrier) -> None:
    out = rendered([(1, 2, 3, 4, SIZE + 61)], carrier)
    assert parsed([out.bodies[0][:kept]], out.stamps)["fault"].tolist() == [CORRUPT]


def judged_alone(body: bytes) -> tuple[int, int]:
    """Fault and sequence by the stamp's table, one message at a time."""
    if len(body) < SIZE:
        return CORRUPT, 0
    head, tail = body[:SIZE], body[SIZE:]
    run, _publisher, version, sequence = struct.unpack_from("<IHHQ", head)
    if zlib.crc32(tail + head[:36]) != struct.unpack_from("<I", head, 36)[0]:
        return CORRUPT, 0
    return (INTACT if (run, version) == (RUN, 1) else FOREIGN), sequence


@settings(deadline=None)
@given(st.data())
def test_messages_together_are_judged_as_each_alone(data: st.DataObject) -> None:
    known = PayloadSums()
    for _ in range(data.draw(st.integers(1, 3))):
        sizes = data.draw(st.lists(st.sampled_from([40, 100, 100, 101, 300]), min_size=1, max_size=60))
        run = data.draw(st.sampled_from([RUN, RUN, RUN + 1]))
        bodies = list(rendered([(i, i, i, i, size) for i, size in enumerate(sizes)], "payload", run=run).bodies)
        for victim in data.draw(st.lists(st.integers(0, len(bodies) - 1), max_size=20)):
            changed = bytearray(bodies[victim])
            if changed and data.draw(st.booleans()):
                bit = data.draw(st.integers(0, len(changed) * 8 - 1))
                changed[bit // 8] ^= 1 << bit % 8
            bodies[victim] = bytes(changed[: data.draw(st.integers(0, len(changed)))])
        times, flags = np.arange(len(bodies)), np.zeros(len(bodies), np.uint8)
        for form in (bodies, Packed.of(bodies)):
            records = parse(form, None, run=RUN, received_ns=times, redelivered=flags, sums=known)
            found = list(zip(records["fault"].tolist(), records["sequence"].tolist(), strict=True))
            assert found == [judged_alone(body) for body in bodies]


def test_a_message_without_its_property_is_corrupt() -> None:
    assert parsed([b"a document"], [b""])["fault"].tolist() == [CORRUPT]


def test_an_intact_message_of_another_run_is_foreign() -> None:
    out = rendered([(1, 2, 3, 4, 100)], "payload", run=RUN + 1)
    records = parsed(out.bodies, out.stamps)
    assert (records["fault"].tolist(), records["sequence"].tolist()) == ([FOREIGN], [1])


def test_an_empty_batch_has_no_records() -> None:
    assert len(parsed([], None)) == 0
    assert len(parsed([], [])) == 0


def test_a_payload_below_the_stamp_is_refused() -> None:
    with pytest.raises(ValueError, match="39 B cannot hold the stamp of 40 B"):
        rendered([(1, 2, 3, 4, SIZE - 1)], "payload")


def test_the_same_seed_renders_the_same_bytes() -> None:
    message = [(1, 2, 3, 4, 5_000), (2, 2, 3, 5, 100)]
    assert list(rendered(message, "payload").bodies) == list(rendered(message, "payload").bodies)


@settings(deadline=None)
@given(MESSAGES, CARRIERS, st.data())
def test_a_part_of_a_block_holds_the_same_payloads(
    messages: list[tuple[int, ...]], carrier: Carrier, data: st.DataObject
) -> None:
    bodies = rendered(messages, carrier).bodies
    first = data.draw(st.integers(0, len(messages)))
    part = slice(first, data.draw(st.integers(first, len(messages))))
    expected = list(bodies)[part]
    assert list(bodies[part]) == expected
    assert [bodies[part][at] for at in range(len(expected))] == expected
    assert list(Packed.of(expected)) == expected
    turned = Packed(bodies.buffer, bodies.starts[::-1], bodies.lengths[::-1])
    assert list(turned) == list(bodies)[::-1]

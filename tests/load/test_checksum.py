"""The sums of many heads or payloads at once are those that zlib computes one by one."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.load.checksum import PayloadSums, head_sums


@settings(deadline=None)
@given(st.integers(0, 48), st.lists(st.tuples(st.binary(min_size=48, max_size=48), st.binary()), max_size=20))
def test_each_sum_is_that_of_the_payload_and_then_the_head(length: int, parts: list[tuple[bytes, bytes]]) -> None:
    heads = np.array([list(head[:length]) for head, _ in parts], np.uint8).reshape(len(parts), length)
    begun = np.array([zlib.crc32(payload) for _, payload in parts], np.uint32)
    expected = [zlib.crc32(payload + head[:length]) for head, payload in parts]
    assert head_sums(heads, begun).tolist() == expected


@settings(deadline=None)
@given(st.binary(min_size=36, max_size=36), st.lists(st.tuples(st.integers(0, 35), st.integers(0, 255)), max_size=60))
def test_heads_that_differ_in_a_few_bytes_have_their_own_sums(head: bytes, changes: list[tuple[int, int]]) -> None:
    heads = np.tile(np.frombuffer(head, np.uint8), (len(changes) + 1, 1))
    for row, (place, value) in enumerate(changes):
        heads[row, place] = value
    assert head_sums(heads, np.full(len(heads), 9, np.uint32)).tolist() == [
        zlib.crc32(row.tobytes(), 9) for row in heads
    ]


FILLERS = st.sampled_from([bytes([value]) * length for value in (0, 7) for length in (0, 1, 60, 61)])
BATCHES = st.lists(
    st.lists(st.one_of(FILLERS, st.binary(min_size=60, max_size=61)), max_size=40), min_size=1, max_size=4
)


@settings(deadline=None)
@given(BATCHES, st.binary(max_size=3))
def test_a_payload_has_its_own_sum_whatever_was_seen_before(batches: list[list[bytes]], between: bytes) -> None:
    known = PayloadSums()
    for payloads in batches:
        buffer = np.frombuffer(b"".join(payload + between for payload in payloads), np.uint8)
        lengths = np.array([len(payload) for payload in payloads], np.int64)
        starts = np.cumsum(lengths + len(between)) - lengths - len(between)
        assert known.of(buffer, starts, lengths).tolist() == [zlib.crc32(payload) for payload in payloads]


def test_each_flipped_bit_of_a_known_payload_changes_its_sum() -> None:
    known, rows = PayloadSums(), np.zeros((8 * 60 + 1, 60), np.uint8)
    rows[1:] = np.packbits(np.eye(8 * 60, dtype=np.uint8), axis=1)
    starts, lengths = 60 * np.arange(len(rows)), np.full(len(rows), 60)
    for _ in range(2):
        sums = known.of(rows.reshape(-1), starts, lengths)
        assert sums.tolist() == [zlib.crc32(row.tobytes()) for row in rows]
        assert len(set(sums.tolist())) == len(rows)
        known.of(np.zeros(600, np.uint8), 60 * np.arange(10), np.full(10, 60))


def test_what_comes_now_is_compared_with_and_lengths_without_end_are_not_remembered() -> None:
    known = PayloadSums()
    for length in range(1, 200):
        buffer = np.full(10 * length, length, np.uint8)
        sums = known.of(buffer, length * np.arange(10), np.full(10, length))
        assert set(sums.tolist()) == {zlib.crc32(bytes([length]) * length)}
    assert len(known._known) == 32
    for value in (1, 2):
        known.of(np.full(100, value, np.uint8), 10 * np.arange(10), np.full(10, 10))
        assert known._known[10].payload == bytes([value]) * 10

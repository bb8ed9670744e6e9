"""HotSpot's shared counters: read where they are, and nothing made up of a file that is damaged."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.monitor.hotspot import Collections, collections_of, longs

COUNTERS = {
    "sun.os.hrt.frequency": 1_000_000,
    "sun.gc.collector.0.invocations": 3,
    "sun.gc.collector.0.time": 1_500_000,
    "sun.gc.collector.0.lastEntryTime": 77,
    "sun.gc.collector.1.invocations": 1,
    "sun.gc.collector.1.time": 500_000,
}


def written(counters: dict[str, int], order: str = "<", *, accessible: int = 1) -> bytes:
    """As HotSpot lays it out, with one entry of bytes between the longs."""
    entries = b"".join(entry(name, struct.pack(f"{order}q", value), b"J", 0, order) for name, value in counters.items())
    entries = entry("java.property.java.vm.name", b"OpenJDK\0", b"B", 8, order) + entries
    head = b"\xca\xfe\xc0\xc0" + bytes((order == "<", 2, 0, accessible))
    return head + struct.pack(f"{order}iiqii", 32 + len(entries), 0, 0, 32, len(counters) + 1) + entries


def entry(name: str, value: bytes, kind: bytes, vector: int, order: str) -> bytes:
    words = name.encode() + b"\0"
    words += bytes(-len(words) % 8 + 4)  # values are aligned: 20 bytes come before
    length = 20 + len(words) + len(value)
    return struct.pack(f"{order}iiicxxxi", length, 20, vector, kind, 20 + len(words)) + words + value


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_collector_counts(tmp_path: Path, order: str) -> None:
    folder = tmp_path / "hsperfdata_somebody"
    folder.mkdir()
    (folder / "4711").write_bytes(written(COUNTERS, order))
    assert collections_of(4711, tmp_path) == Collections(4, 2.0)
    assert collections_of(4712, tmp_path) is None


def test_a_process_that_is_no_java_machine_has_none() -> None:
    assert collections_of(os.getpid()) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xca\xfe\xba\xbe" + bytes(40), written(COUNTERS, accessible=0), b"\xca\xfe\xc0\xc0\x01\x09\0\x01"]
)
def test_a_file_of_another_kind_or_not_ready_has_none(data: bytes) -> None:
    assert longs(data) == {}


@given(st.integers(0, 400))
def test_a_file_that_is_cut_off_has_only_what_is_whole(length: int) -> None:
    found = longs(written(COUNTERS)[:length])
    assert found.items() <= COUNTERS.items()


@given(st.binary(max_size=300))
def test_nothing_that_a_file_may_hold_raises(noise: bytes) -> None:
    longs(written(COUNTERS)[:32] + noise)

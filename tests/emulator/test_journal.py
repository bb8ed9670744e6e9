"""The journal: whatever a crash leaves of it, a prefix comes back and later appends can be read."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crep.solace_emulator.core import log as records
from crep.solace_emulator.journal import segments
from crep.solace_emulator.journal.store import Journal, read_all

RECORD = st.binary(max_size=40)
HEAD = [b"head"]


def opened(folder: Path, **options: int) -> Journal:
    """A journal whose segments all begin with one known record."""
    return Journal(folder, lambda: HEAD, **options)


def contents(folder: Path) -> list[bytes]:
    """All records but the segments' heads."""
    return [record for _, record in read_all(folder) if record != b"head"]


@given(st.lists(st.lists(RECORD, min_size=1, max_size=4), max_size=5), st.data())
def test_a_cut_at_any_byte_leaves_whole_batches_and_only_the_last_are_missing(
    batches: list[list[bytes]], data: st.DataObject
) -> None:
    raw = segments.MAGIC + b"".join(segments.pack(batch) for batch in batches)
    cut = data.draw(st.integers(0, len(raw)))
    tail = data.draw(st.one_of(st.just(b""), st.binary(max_size=20), st.integers(1, 40).map(bytes)))
    left = raw[:cut] + tail
    recovered = [record for _, record in segments.Contents(io.BytesIO(left), len(left)).records()]
    everything = [record for batch in batches for record in batch]
    whole = [batches[:count] for count in range(len(batches) + 1)]
    assert any(recovered == [record for batch in some for record in batch] for some in whole)
    assert recovered == everything[: len(recovered)]
    if cut == len(raw):
        assert recovered == everything


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 200), garbage=st.binary(max_size=30))
def test_records_appended_after_a_torn_tail_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    journal = opened(folder)
    for number in range(5):
        journal.append(b"before-%d" % number)
        journal.write()
    journal.close()
    path = segments.path_of(folder, 1)
    path.write_bytes(path.read_bytes()[:cut] + garbage)
    before = contents(folder)
    again = opened(folder)
    again.append(b"after")
    again.close()
    assert contents(folder) == [*before, b"after"]
    assert before == [b"before-%d" % number for number in range(len(before))]


def test_zeros_at_the_end_do_not_stop_the_start_and_are_cut_off(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(b"kept")
    journal.close()
    path = segments.path_of(tmp_path, 1)
    length = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert contents(tmp_path) == [b"kept"]
    assert path.stat().st_size == length


def test_damage_in_an_older_segment_costs_only_the_rest_of_it(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1)
    for record in (b"one", b"two", b"three"):
        journal.append(record)
        journal.write()
    journal.close()
    path = segments.path_of(tmp_path, 2)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 0xFF
    path.write_bytes(raw)
    assert contents(tmp_path) == [b"one", b"three"]


def test_every_segment_begins_with_the_snapshot_and_the_oldest_can_go(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1)
    for record in (b"one", b"two"):
        journal.append(record)
        journal.write()
    assert journal.oldest == 1
    journal.drop_oldest()
    journal.close()
    assert [record for _, record in read_all(tmp_path)] == [b"head", b"two", b"head"]
    single = tmp_path / "single"
    single.mkdir()
    with pytest.raises(ValueError, match="cannot be dropped"):
        opened(single).drop_oldest()


NUMBER = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)
RECORDS = st.one_of(
    st.builds(
        records.Spooled,
        LONG,
        st.lists(NUMBER, max_size=5).map(tuple),
        NUMBER,
        LONG,
        LONG,
        st.booleans(),
        st.integers(0, 255),
        st.integers(0, 255),
        st.binary(max_size=50),
        st.binary(max_size=50),
    ),
    st.builds(records.Removed, NUMBER, st.lists(LONG, max_size=5).map(tuple)),
    st.builds(records.PublisherState, st.text(), st.text(), NUMBER, LONG, st.lists(LONG, max_size=3).map(tuple)),
    st.builds(records.PublisherClosed, NUMBER),
    st.builds(records.MessageRefused, NUMBER, LONG),
    st.builds(records.Counters, LONG, LONG, LONG),
    st.builds(records.Delivered, NUMBER, st.lists(st.tuples(LONG, NUMBER), max_size=3).map(tuple)),
    st.builds(records.CleanStop),
    st.builds(records.SnapshotBegins),
    st.builds(records.SnapshotEnds),
    st.builds(records.ConfigSet, st.text(), st.lists(st.text()).map(tuple), st.just({"a": 1, "b": "x", "c": True})),
    st.builds(records.ConfigDeleted, st.text(), st.lists(st.text()).map(tuple)),
)


@given(RECORDS)
def test_a_record_reads_as_it_was_written(record: records.Record) -> None:
    assert records.decode(records.encode(record)) == record


@given(st.binary(max_size=60))
def test_bytes_that_are_no_record_are_a_value_error(raw: bytes) -> None:
    with suppress(ValueError):
        records.decode(raw)

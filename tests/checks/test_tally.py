"""The ledger that is kept while a run goes on: small, quick, and honest about what it could not keep."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.contract import Outcome
from crep.harness.checks import anomalies, tally
from crep.harness.checks.balance import reader_ledger, remarks
from crep.harness.checks.bitmap import CHUNK, EMPTY, WHOLE, Bitmap, numbers_in, occurring, ones
from crep.harness.checks.ledger import ledger
from crep.harness.metrics.history import RECEIVED, Records
from tests.checks.honest import MS, T0, copy_of, honest_world
from tests.checks.tallied import balanced, tallied

CHECKOUT = Path(__file__).parents[2]


@given(
    batches=st.lists(
        st.lists(st.one_of(st.integers(0, 40), st.integers(CHUNK - 3, CHUNK + 3), st.integers(0, 5 * CHUNK))),
        max_size=6,
    )
)
def test_a_bitmap_is_a_set_that_tells_what_is_new(batches: list[list[int]]) -> None:
    bitmap, known = Bitmap(), set[int]()
    for batch in batches:
        fresh = bitmap.add(np.array(batch, np.uint64)).tolist()
        for number, new in zip(batch, fresh, strict=True):
            assert new == (number not in known)
            known.add(number)
    asked = np.array([*known, 7, CHUNK, 9 * CHUNK], np.uint64)
    assert bitmap.holds(asked).tolist() == [number in known for number in asked.tolist()]
    chunks = [bitmap.chunk(place) for place in range(bitmap.chunks)]
    listed = [number for place, bits in enumerate(chunks) for number in numbers_in(bits, place, CHUNK).tolist()]
    assert listed == sorted(known)
    assert len(bitmap) == len(known) == sum(map(ones, chunks))
    again = Bitmap.of_chunks([bits.copy() for bits in chunks])
    assert again.holds(asked).tolist() == bitmap.holds(asked).tolist()


@given(st.integers(0, 2**32), st.integers(1, 3 * CHUNK))
def test_many_numbers_at_once_make_the_set_that_they_make_one_by_one(seed: int, spread: int) -> None:
    numbers = np.random.default_rng(seed).integers(0, spread, 12_000).astype(np.uint64)
    at_once, in_parts = Bitmap(), Bitmap()
    fresh = at_once.add(numbers)
    parts = [in_parts.add(part) for part in np.array_split(numbers, 50)]
    assert fresh.tolist() == np.concatenate(parts).tolist()
    assert [at_once.chunk(one).tobytes() for one in range(3)] == [in_parts.chunk(one).tobytes() for one in range(3)]
    assert len(at_once) == len(in_parts) == len(set(numbers.tolist()))


@given(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**63)), min_size=1))
def test_what_occurs_is_found_wherever_it_lies(values: list[int]) -> None:
    assert occurring(np.array(values, np.uint64)) == sorted(set(values))


def test_a_chunk_that_is_whole_costs_nothing_and_takes_no_more() -> None:
    bitmap = Bitmap()
    assert bitmap.add(np.arange(CHUNK, dtype=np.uint64)).all()
    assert bitmap.chunk(0) is WHOLE
    assert bitmap.chunk(1) is EMPTY
    assert not bitmap.add(np.arange(5, dtype=np.uint64)).any()
    assert bitmap.changed == {0}


def test_millions_of_messages_fit_and_are_folded_faster_than_a_client_sends_them() -> None:
    """1 % of them are lost; ``python -m tests.checks.a_hundred_million 1e8 0.01`` shows 10**8 in under 100 MB."""
    out = subprocess.run(
        [sys.executable, "-m", "tests.checks.a_hundred_million", "5e6", "0.01"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        timeout=240,
    )
    said = json.loads(out.stdout)
    assert said["received"] + said["lost"] == said["acknowledged"] == 5_000_000
    assert said["lost"] > 40_000
    assert said["reordered"] == 0
    assert said["grown_bytes"] < 60_000_000  # most of it is the batch under way
    assert said["messages_per_cpu_s"] > 300_000  # 2.4 million on an idle core


def test_what_is_folded_out_of_order_is_found_out() -> None:
    world = honest_world()
    history = world.history()
    whole = tallied(history, t0_ns=T0)
    billing, publisher = whole.readers[0], whole.publishers[0]
    assert (billing.late_receipts, billing.late_sends) == (0, 0)
    early: Records = np.array([(0, T0, T0 - 5, 0, 0, 0, 0, 0)], RECEIVED)
    billing.fold(early, np.zeros(1, np.uint16))
    assert billing.late_receipts == 1

    billing._note_never_sent(0, np.array([3], np.uint64))
    billing.sends(publisher, history.publishers[0].sent[3:4])
    assert billing.late_sends == 1


def test_anomalies_beyond_those_that_are_kept_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalies, "KEPT", 7)
    world = honest_world()
    world.receipts["billing"] += [copy_of(one, at_ns=one.at_ns + 90 * MS) for one in world.receipts["billing"][:30]]
    found = tallied(world.history(), t0_ns=T0, cuts=(0.3, 0.6, 0.7))
    billing = found.readers[0]
    assert reader_ledger(found, billing, drain_clean=True).duplicates_unflagged == 30
    assert len(billing.anomalies.of("duplicate-unflagged")) == 7
    assert remarks("orders.billing", billing) == ["23 wrong receipts of orders.billing are counted and not named"]
    _, (naive, *_) = ledger(world.history(), drain_clean=True, t0_ns=T0)
    assert reader_ledger(found, billing, drain_clean=True) == naive


def test_a_receipt_whose_outcome_was_waited_for_too_long_is_named_without_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "AWAITED", 2)
    world = honest_world()
    for message in world.messages[:4]:
        message.outcomes = [Outcome.UNKNOWN]
    found = tallied(world.history(), t0_ns=T0)
    billing = reader_ledger(found, found.readers[0], drain_clean=True)
    assert billing.unknown_received == 4
    named = [(one.sequence, one.publisher, one.at_s is None) for one in billing.offenders]
    assert named == [(0, 0, False), (0, 1, False), (1, 0, True), (1, 1, True)]
    assert billing.offenders[-1].detail == "when it came was not kept"


def test_a_duplicate_long_after_the_first_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalies, "RECENT", 5)
    world = honest_world()
    first = world.receipts["billing"][0]
    world.receipts["billing"].append(copy_of(first, at_ns=first.at_ns + 900 * MS))
    found = tallied(world.history(), t0_ns=T0, cuts=tuple(n / 10 for n in range(10)))
    (offender,) = reader_ledger(found, found.readers[0], drain_clean=True).offenders
    assert offender.detail == f"member {first.member}, after the first receipt, whose time was not kept"


def test_members_are_merged_by_time_so_that_order_is_judged_across_them() -> None:
    world = honest_world(members=3)
    mine = [one for one in world.receipts["billing"] if one.key == 2]
    for place, receipt in enumerate(mine):  # an unordered group: one key's messages go round
        receipt.member = place % 3
    mine[1].at_ns, mine[2].at_ns = mine[2].at_ns, mine[1].at_ns
    found = balanced(tallied(world.history(), t0_ns=T0, cuts=(0.5,)), drain_clean=True)
    assert found == ledger(world.history(), drain_clean=True, t0_ns=T0)
    assert found[1][0].reordered == 1

"""The ledger that is folded while clients append: whatever the order of events, it ends where one look at all would."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.checks.balance import NOT_KEPT, sends_per_second
from crep.harness.checks.channel import ChannelRun, channel_runs, count_in
from crep.harness.checks.ledger import ledger
from crep.harness.checks.results import ReaderLedger
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import (
    DONE,
)
from crep.harness.runs import ledger as folding
from crep.harness.runs import streams
from crep.harness.runs.handovers import CHUNK, HandoverFile
from crep.harness.runs.ledger import LedgerFolder, load_tallies
from tests.checks.simulated import T0
from tests.checks.tallied import balanced
from tests.runs.appended import MEASURED_S, Recorded, clients_of, plan_with

SECOND = 1_000_000_000
SEGMENT, BATCH = 60, 32


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SEGMENT", SEGMENT)
    monkeypatch.setattr(folding, "BATCH", BATCH)


def assert_as_one_look_at_all(folder: Path, run: Recorded, *, drain_clean: bool, from_records: bool = False) -> None:
    (channel,) = channel_runs(run, run.plan).values()
    (tally,) = load_tallies(folder, run.plan, T0, from_records=from_records).values()
    found, naive = balanced(tally, drain_clean=drain_clean), ledger(channel.history, drain_clean=drain_clean, t0_ns=T0)
    assert found[0] == naive[0]
    assert [known(one, two) for one, two in zip(found[1], naive[1], strict=True)] == list(naive[1])
    seconds = range(MEASURED_S)
    for side in ("intended", "sent", "acknowledged"):
        moments = channel.moments(side)  # type: ignore[arg-type]
        assert sends_per_second(tally, side).sum() == count_in(moments, seconds)
    for reader, found in zip(channel.readers, tally.readers, strict=True):
        assert found.late_receipts == found.late_sends == 0
        assert found.per_second.sum() == count_in(channel.receipt_moments(reader), seconds)
        assert [part.tolist() for part in found.service.sparse()] == [
            part.tolist() for part in service(channel, reader.name).sparse()
        ]


def known(found: ReaderLedger, naive: ReaderLedger) -> ReaderLedger:
    """With what the naive ledger knows of those offenders whose first receipt came before a kill."""
    pairs = zip(found.offenders, naive.offenders, strict=True)
    told = [
        one.model_copy(update={"detail": other.detail if one.detail.endswith(NOT_KEPT) else one.detail})
        for one, other in pairs
    ]
    return found.model_copy(update={"offenders": tuple(told)})


def service(channel: ChannelRun, name: str) -> Histogram:
    receipts = next(one.receipts for one in channel.readers if one.name == name)
    of = receipts.row[receipts.row >= 0]
    intended = channel.sends.intended_ns[of] - T0
    measured = (intended >= 0) & (intended < MEASURED_S * SECOND)
    histogram = Histogram()
    histogram.record((receipts.records["received_ns"][receipts.row >= 0] - channel.sends.sent_ns[of])[measured])
    return histogram


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "ledger"
    path.mkdir()
    return path


moments = st.lists(
    st.tuples(st.integers(0, 900), st.integers(0, 6), st.sampled_from(["go on", "save", "kill", "die"])), max_size=8
)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    moments=moments,
    guaranteed=st.booleans(),
    order=st.sampled_from(["per-key", "none"]),
    keep=st.booleans(),
    drain_clean=st.booleans(),
)
def test_whenever_it_looks_saves_or_is_killed_the_ledger_ends_as_one_look_at_all(
    seed: int, moments: list[tuple[int, int, str]], guaranteed: bool, order: str, keep: bool, drain_clean: bool
) -> None:
    run = Recorded(plan_with(guaranteed=guaranteed, order=order), seed)
    folder = Path(tempfile.mkdtemp())
    try:
        now_ns, silent = T0 - 2 * SECOND, set[int]()
        clients = clients_of(run, folder, None if keep else SEGMENT)

        def opened() -> LedgerFolder:
            return LedgerFolder(folder, run.plan, T0, keep_records=keep, clock=lambda: 0.0)

        ledger_folder = opened()
        for passed_ms, turns, event in moments:
            now_ns += passed_ms * 1_000_000
            for number, client in enumerate(clients):
                client.write(now_ns, mark=number not in silent)
            for _ in range(turns):
                ledger_folder.step()
            if event == "save":
                ledger_folder.save()
            elif event == "kill":
                ledger_folder = opened()
            elif event == "die":
                silent.add(seed % len(clients))
        for number, client in enumerate(clients):
            client.write(DONE, mark=number not in silent)
        assert_as_one_look_at_all(folder, run, drain_clean=drain_clean)
        ledger_folder.finish()
        assert_as_one_look_at_all(folder, run, drain_clean=drain_clean)
        if keep:
            assert_as_one_look_at_all(folder, run, drain_clean=drain_clean, from_records=True)
        else:
            left = sorted(path.name for path in folder.iterdir())
            assert [name.partition(".")[0] for name in left] == ["orders", "orders"]
    finally:
        shutil.rmtree(folder)


def test_folded_segments_are_removed_once_they_are_saved_and_not_before(folder: Path) -> None:
    run = Recorded(plan_with(guaranteed=True, order="per-key"), 1)
    for client in clients_of(run, folder, SEGMENT):
        client.write(DONE, mark=True)
    kept = LedgerFolder(folder, run.plan, T0, keep_records=False, clock=lambda: 0.0)
    before = {path.name for path in folder.glob("*.sent*")}
    assert len(before) > 4
    while kept.step():
        pass
    assert {path.name for path in folder.glob("*.sent*")} == before
    kept.save()
    left = {path.name for path in folder.glob("*.sent*")}
    assert left < before
    assert len(left) <= 2
    assert_as_one_look_at_all(folder, run, drain_clean=True)


def test_it_saves_by_itself_and_appends_only_what_changed(folder: Path) -> None:
    run = Recorded(plan_with(guaranteed=True, order="per-key"), 2)
    now = [0.0]
    kept = LedgerFolder(folder, run.plan, T0, keep_records=True, clock=lambda: now[0])
    for client in clients_of(run, folder, None):
        client.write(DONE, mark=True)
    while kept.step():
        pass
    assert not list(folder.glob("*.npz"))
    now[0] = folding.SAVE_EVERY_S
    kept.step()
    assert (folder / "orders.npz").exists()
    (pieces,) = folder.glob("orders.*.pieces")
    size = pieces.stat().st_size
    kept.save()
    assert pieces.stat().st_size == size > 0


@pytest.mark.parametrize("part", ["orders.npz", "orders.2.pieces"])
def test_a_damaged_ledger_is_named(folder: Path, part: str) -> None:
    run = Recorded(plan_with(guaranteed=True, order="per-key"), 3)
    for client in clients_of(run, folder, None):
        client.write(DONE, mark=True)
    LedgerFolder(folder, run.plan, T0, keep_records=True).finish()
    data = (folder / part).read_bytes()
    (folder / part).write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError, match=r"orders\.npz: damaged"):
        load_tallies(folder, run.plan, T0)


def test_a_folder_that_is_gone_is_said_in_words(folder: Path) -> None:
    run = Recorded(plan_with(guaranteed=True, order="per-key"), 4)
    kept = LedgerFolder(folder, run.plan, T0, keep_records=True)
    shutil.rmtree(folder)
    with pytest.raises(EnvironmentFailure, match="cannot write"):
        kept.save()


def test_handover_times_come_back_from_the_disk_when_memory_has_let_them_go(tmp_path: Path) -> None:
    written = HandoverFile(tmp_path / "times", writable=True)
    sequences = np.arange(20 * CHUNK, dtype=np.uint64)
    for first in range(0, len(sequences), 50_000):
        part = sequences[first : first + 50_000]
        written.put(part, part.astype(np.int64) * 3)
    asked = np.array([0, 7, CHUNK, 5 * CHUNK - 1, 20 * CHUNK - 1], np.uint64)
    assert written.get(asked).tolist() == [3 * int(one) for one in asked]
    written.close()
    again = HandoverFile(tmp_path / "times", writable=False)
    again.put(asked[:1], np.array([99], np.int64))
    assert again.get(asked).tolist() == [99, *(3 * int(one) for one in asked[1:])]
    again.close()
    untouched = HandoverFile(tmp_path / "times", writable=False)
    assert untouched.get(asked[:1]).tolist() == [0]
    untouched.close()

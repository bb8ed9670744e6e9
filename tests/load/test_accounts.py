from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.brokers.contract import Outcome, Outcomes
from crep.harness.load import accounts
from crep.harness.load.accounts import Accounts
from crep.harness.load.background import HistoryWriter
from crep.harness.load.meter import Meter
from crep.harness.metrics.history import OUTCOME, SENT, Records, outcomes_file, read_records, sent_file


class Books:
    """Accounts with all that they write to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._history = HistoryWriter(folder, {sent_file(0): SENT, outcomes_file(0): OUTCOME}, marks="m")
        self.meter = Meter(0)
        self.told: list[Any] = []
        self.accounts = Accounts(0, meter=self.meter, history=self._history, tell=self.told.append)

    def close(self) -> tuple[Records, Records]:
        """The records that were written."""
        self.accounts.close()
        self._history.close(10)
        return read_records(self._folder / sent_file(0), SENT), read_records(self._folder / outcomes_file(0), OUTCOME)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def sends(first: int, count: int) -> Records:
    records = np.zeros(count, SENT)
    records["sequence"] = np.arange(first, first + count)
    records["intended_ns"], records["sent_ns"] = records["sequence"] * 10, records["sequence"] * 10 + 3
    records["size"] = 100
    return records


def outcomes(sequences: list[int], outcome: Outcome = Outcome.ACKNOWLEDGED, reason: str = "") -> Outcomes:
    sequence = np.array(sequences, np.uint64)
    which = np.full(len(sequence), outcome, np.uint8)
    reasons = dict.fromkeys(sequences, reason) if reason else {}
    return Outcomes(sequence, which, sequence.astype(np.int64) * 10 + 9, reasons)


STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from(list(Outcome))), max_size=25)


@given(STEPS)
@settings(max_examples=50, deadline=None)
def test_however_the_sends_and_outcomes_are_cut_each_is_recorded_once_in_order_and_counted(
    steps: list[tuple[int, int, Outcome]],
) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(accounts, "_ROOM", 7)
        books = Books(Path(folder))
        sent = settled = 0
        expected: Counter[str] = Counter()
        for more, most_back, outcome in steps:
            books.accounts.handed_over(sends(sent, more))
            sent += more
            back = min(most_back, sent - settled)
            books.accounts.came(outcomes(list(range(settled, settled + back)), outcome))
            settled += back
            expected[outcome.name.lower()] += back
            assert books.accounts.waiting == (sent > settled)
        sent_records, outcome_records = books.close()
    assert (sent_records == sends(0, sent)).all()
    assert outcome_records["sequence"].tolist() == list(range(settled))
    totals = books.accounts.totals
    assert totals["sent"] == sent
    assert totals["acknowledged"] == expected["acknowledged"]
    assert totals["rejected"] == expected["rejected"]
    assert totals["unknown"] == expected["unknown"] + sent - settled
    measured = books.meter.take().get(0)
    assert (measured.counters["contradiction"] if measured else 0) == 0


def test_what_was_handed_over_is_copied_so_that_a_block_may_be_used_again(books: Books) -> None:
    block = sends(0, 5)
    books.accounts.handed_over(block)
    block["sequence"] = 99
    assert books.close()[0]["sequence"].tolist() == [0, 1, 2, 3, 4]


def test_more_outcomes_at_once_than_there_is_room_for_keep_their_reasons(books: Books) -> None:
    count = 3 * 4096 + 5
    books.accounts.handed_over(sends(0, count))
    books.accounts.came(outcomes(list(range(count)), Outcome.REJECTED, "too large"))
    books.close()
    assert books.accounts.rejection_reasons == {"too large": count}
    assert [told["note"]["text"] for told in books.told] == ["too large"]


def test_an_outcome_without_a_send_is_a_contradiction_and_settles_nothing(books: Books) -> None:
    books.accounts.handed_over(sends(0, 2))
    books.accounts.came(outcomes([1, 7]))
    books.accounts.settle()
    assert books.meter.take()[0].counters["contradiction"] == 1
    assert (books.accounts.totals["acknowledged"], books.accounts.unsettled) == (1, 1)


def test_a_few_are_not_worth_settling_and_hundreds_are(books: Books) -> None:
    worth = []
    for first, count in ((0, 255), (255, 1)):
        books.accounts.handed_over(sends(first, count))
        worth.append(books.accounts.worth_settling)
    books.accounts.came(outcomes(list(range(256))))
    worth.append(books.accounts.worth_settling)
    books.accounts.settle()
    worth.append(books.accounts.worth_settling)
    assert worth == [False, False, True, False]

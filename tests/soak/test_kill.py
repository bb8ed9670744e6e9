"""What breaks the claim of a kill, on ledgers written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from crep.harness.checks.results import ChannelLedger, ReaderLedger
from soak.kill import channel_faults, reader_faults

COUNTS = (
    "lost",
    "pending",
    "missing_allowed",
    "missing_unknown",
    "unknown_received",
    "rejected_received",
    "duplicates_flagged",
    "duplicates_unflagged",
    "duplicates_flag_not_offered",
    "reordered",
    "reordered_allowed",
    "corrupt",
    "foreign",
    "unexpected",
)


def channel(**changes: int) -> ChannelLedger:
    counts = {"handed_over": 10, "acknowledged": 8, "rejected": 1, "unknown": 1, "sent": 0, "unscheduled": 0}
    return ChannelLedger(channel="orders", **counts | changes)


def reader(**changes: int) -> ReaderLedger:
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"expected": 9, "received": 9, "receipts": 9} | changes
    return ReaderLedger(
        channel="orders", reader="billing", share="group", delivery="at-least-once", members=2, **counts
    )


def test_ledgers_that_add_up_break_nothing() -> None:
    assert channel_faults(channel()) == []
    assert reader_faults(reader()) == []
    assert reader_faults(reader(duplicates_flagged=2, receipts=11)) == []
    assert reader_faults(reader(received=8, missing_unknown=1, receipts=8)) == []


@pytest.mark.parametrize("change", [{"acknowledged": 9}, {"contradictions": 1}, {"unscheduled": 1}])
def test_sends_that_do_not_add_up_break_it(change: dict[str, int]) -> None:
    assert len(channel_faults(channel(**change))) == 1


def test_a_run_without_a_send_proves_nothing() -> None:
    assert channel_faults(channel(handed_over=0, acknowledged=0, rejected=0, unknown=0)) == [
        "orders: something was sent"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"received": 8, "lost": 1, "receipts": 8}, "1 lost"),
        ({"corrupt": 2, "receipts": 11}, "2 corrupt"),
        ({"unexpected": 1, "receipts": 10}, "1 unexpected"),
        ({"reordered": 1}, "1 reordered"),
        ({"receipts": 10}, "receipts 10 = 9"),
        ({"received": 8, "receipts": 8}, "expected 9 = 8"),
    ],
)
def test_what_a_reader_must_never_see_breaks_it(change: dict[str, int], words: str) -> None:
    assert reader_faults(reader(**change)) == [f"orders.billing: {words}"]

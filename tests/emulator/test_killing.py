"""``kill -9`` under load, three rounds and one for each thing that may stand in place of unsynced bytes; the judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.killing import CRASHES, Crash, faults, trial

KEPT = [crash for crash in CRASHES if crash.unsynced == "kept"]
LEFT = [crash for crash in CRASHES if crash.unsynced != "kept"]


@pytest.mark.emulator
@pytest.mark.parametrize(("seed", "crash"), list(enumerate(KEPT, 1)), ids=str)
def test_killed_under_load_it_loses_nothing_acknowledged_doubles_nothing_unflagged_and_keeps_order(
    tmp_path: Path, seed: int, crash: Crash
) -> None:
    outcome = trial(seed, tmp_path, crash)
    assert outcome.faults == ()
    assert outcome.figures["acknowledged"] > 100


@pytest.mark.emulator
@pytest.mark.parametrize(("seed", "crash"), list(enumerate(LEFT, 11)), ids=str)
def test_bytes_after_the_last_sync_may_be_cut_zeroed_or_garbled(tmp_path: Path, seed: int, crash: Crash) -> None:
    outcome = trial(seed, tmp_path, crash)
    assert outcome.faults == ()
    assert outcome.figures["acknowledged"] > 100


def arrivals(*messages: str) -> list[tuple[str, bool]]:
    """Arrivals of these messages; ``!`` in front stands for the redelivered flag."""
    return [(message.lstrip("!"), message.startswith("!")) for message in messages]


@pytest.mark.parametrize(
    ("acknowledged", "refused", "received", "found"),
    [
        ("a:0 a:1 b:0", "", "a:0 b:0 a:1", []),
        ("a:0", "", "a:0 a:1", []),
        ("a:0", "", "a:0 a:1 !a:0 !a:1", []),
        ("a:0 a:1", "", "a:0", ["1 acknowledged and lost: a:1"]),
        ("a:0", "", "a:0 a:0", ["1 twice without the flag: a:0"]),
        ("a:0 a:1", "", "a:1 a:0", ["1 out of order: a:0"]),
        ("a:0 a:2", "a:1", "a:0 a:1 a:2", ["1 refused and delivered: a:1"]),
        ("a:0", "", "a:0 c:0", ["1 never sent: c:0"]),
        ("a:0", "", "a:0 a:9", ["1 never sent: a:9"]),
    ],
)
def test_the_judge_sees_each_broken_promise_and_allows_what_is_allowed(
    acknowledged: str, refused: str, received: str, found: list[str]
) -> None:
    sent = {"a": 3, "b": 3}
    assert faults(sent, acknowledged.split(), refused.split(), arrivals(*received.split())) == found

"""The record of trials: nothing is lost, nothing is tried twice, a torn line is made again."""

from __future__ import annotations

from pathlib import Path

from soak.__main__ import broken, in_turn
from soak.administered import Administered
from soak.churn import Churn
from soak.claims import CLAIMS
from soak.clients import StockTrial
from soak.cluster import StockFailure
from soak.healed import OUTAGES
from soak.page import figures, page
from soak.trials import Trial, append, file_of, missing, read


def trial(claim: str = "lies", seed: int = 1, *, held: bool = True, commit: str = "abc", **measured: float) -> Trial:
    why = [] if held else ["it was lost"]
    return Trial(claim, seed, held, why, measured, f"2026-01-{seed:02}T00:00:00Z", 1.0, commit, "a host")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = file_of(tmp_path / "soak", "abc")
    written = [trial(seed=1), trial(seed=2, held=False, outage=1.5)]
    for one in written:
        append(path, one)
    assert read(path) == written


def test_a_line_that_a_kill_cut_off_is_made_again_and_spoils_no_other(tmp_path: Path) -> None:
    path = file_of(tmp_path, "abc")
    append(path, trial(seed=1))
    append(path, trial(seed=2))
    path.write_bytes(path.read_bytes()[:-20])
    assert missing(read(path), "lies", 3) == [2, 3]
    append(path, trial(seed=2))
    assert [one.seed for one in read(path)] == [1, 2]


def test_a_rerun_goes_on_where_it_stopped_with_one_trial_of_each_claim_in_turn() -> None:
    claims = CLAIMS[:2]
    done = [trial(claims[0].name, 1), trial(claims[0].name, 3)]
    todo = [(claim.name, seed) for claim, seed in in_turn(claims, done, 3)]
    first, second = (claim.name for claim in claims)
    assert todo == [(first, 2), (second, 1), (second, 2), (second, 3)]


def test_the_claims_have_names_of_their_own_and_a_sentence() -> None:
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.text.endswith(".") for claim in CLAIMS)


LONG = {
    "interrupt-in-an-outage": len(OUTAGES),
    "emulator-churn": 3,
    "find-rate": 20,
    "kafka-against-itself": 20,
    "kafka-behind-5-ms": 20,
    "bridge-solace-solace": 20,
    "bridge-solace-kafka": 20,
    "bridge-exactly-once": 20,
    "bridge-together-solace": 20,
    "bridge-together-kafka": 20,
    "replay-kafka-to-solace": 1,
    "replay-solace-to-kafka": 1,
    "capture-kill9-kafka": 20,
    "capture-kill9-solace": 20,
    "replay-kill9-kafka": 20,
    "replay-kill9-solace": 20,
    "replay-timing-kafka": 5,
    "replay-timing-solace": 5,
    "replay-service-killed": 20,
}
"""Claims whose trials take minutes each, and how often they are tried."""
FAILURES = (Administered, StockFailure, StockTrial)
"""Scenarios of a failure with the one outcome that theory allows: five times each."""


def test_every_claim_is_tried_fifty_times_but_for_those_whose_trials_are_long_by_themselves() -> None:
    others = [claim for claim in CLAIMS if not isinstance(claim, FAILURES)]
    assert {claim.name: claim.count for claim in others if claim.count < 50} == LONG
    assert {claim.count for claim in CLAIMS if isinstance(claim, FAILURES)} == {5}
    assert all(claim.minutes * claim.count >= 30 for claim in CLAIMS if isinstance(claim, Churn))


def test_only_what_is_about_a_share_of_trials_may_fail_in_some() -> None:
    assert {claim.name: claim.allowed for claim in CLAIMS if claim.allowed} == {
        "find-rate": 2,
        "kafka-against-itself": 1,
    }


def test_a_soak_fails_by_one_trial_more_than_the_claim_allows() -> None:
    for claim in CLAIMS:
        failing = [trial(claim.name, seed, held=False) for seed in range(1, claim.allowed + 2)]
        others = [trial("another", 1, held=False)]
        assert broken(claim, [*failing, *others])
        assert not broken(claim, [*failing[1:], *others])


def test_the_page_counts_each_commit_apart_and_names_what_did_not_hold() -> None:
    text = page(CLAIMS, [trial(seed=1), trial(seed=2), trial(seed=3, held=False, commit="def-modified")])
    rows = [line for line in text.splitlines() if line.startswith("| lies")]
    assert rows[0].startswith("| lies | 1 of 100 | 0 | 0.0%–97.5% |")
    assert "def with uncommitted changes" in rows[0]
    assert rows[1].startswith("| lies | 2 of 100 | 2 | 15.8%–100.0% |")
    assert "* lies, seed 3, commit def with uncommitted changes: it was lost" in text
    assert "| interrupt | 0 of 50 | – |" in text


def test_the_page_keeps_what_was_tried_on_another_machine_and_no_older_row_of_what_is_on_record_here() -> None:
    elsewhere = page(CLAIMS, [trial(seed=1, commit="abc"), trial(seed=3, held=False, commit="def-modified")])
    text = page(CLAIMS, [trial(seed=1, commit="abc"), trial(seed=2, commit="abc")], elsewhere)
    rows = [line for line in text.splitlines() if line.startswith("| lies")]
    assert [row.split(" | ")[1] for row in rows] == ["2 of 100", "1 of 100"]
    assert text.count("* lies, seed 3, commit def with uncommitted changes: it was lost") == 1
    assert page(CLAIMS, [trial(seed=1, commit="abc"), trial(seed=2, commit="abc")], text) == text


def test_a_figure_that_some_trials_lack_says_how_many_have_it() -> None:
    assert figures([trial(outage=1.0), trial(outage=3.0), trial(outage=2.0)]) == "outage: 2 (1–3)"
    assert figures([trial(outage=1.0), trial()]) == "outage: 1 (1–1), in 1 trials"

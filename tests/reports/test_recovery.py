"""What the report says of faults: each by its own name, its cost in words, and nothing that the data does not say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from crep.harness.checks.results import (
    BacklogPeak,
    BacklogSeries,
    FaultGroup,
    FaultResult,
    Found,
    Outage,
    RunResults,
    Whereabouts,
)
from crep.reports import Comparison, compile_comparison
from crep.reports.blocks import Cell, Group, Paragraph, Table, number
from crep.reports.figures import figures
from crep.reports.story import story
from crep.reports.timelines import LINES_APART, _label
from tests.reports import factories

NOTHING = {"lost": 0, "pending": 0, "duplicates": 0, "reordered": 0, "unknown": 0, "rejected": 0}


def paused(**changed: Any) -> FaultResult:
    fields = {
        "action": "pause-reader",
        "node": None,
        "subject": "orders.billing",
        "detected_s": 0.43,
        "detected_by": "nothing received by orders.billing for 0.43 s",
        "backlogs": (
            BacklogPeak(where="orders.billing", peak=12_000, at_s=14.0, usual=20, drained_s=16.5, drain_s=2.5),
        ),
        "reconnects": {"subscribers": 3},
        "over_s": 11.01,
        "cost": NOTHING | {"duplicates": 341},
    }
    return factories.fault(**(fields | changed))


def results(*faults: FaultResult, **changed: Any) -> RunResults:
    fields = {
        "faults": faults,
        "fault_groups": tuple(
            FaultGroup(site="bus", faults=(f.index,), from_s=8.0, to_s=11.0, cost=f.cost) for f in faults
        ),
        "outside_faults": NOTHING,
        "control_cost": NOTHING,
        "backlogs": (BacklogSeries(where="orders.billing", first_second=-3, depth=(0,) * 11 + (6000, 12_000, 0)),),
    }
    return factories.results(**(fields | changed))


def compiled(*of_runs: RunResults, binding: str = "bus=kafka-local") -> Comparison:
    return compile_comparison([factories.run(n, binding, results=one) for n, one in enumerate(of_runs, start=1)])


def tables(comparison: Comparison) -> list[Table]:
    return [block for block in story(comparison) if isinstance(block, Table)]


def said(comparison: Comparison) -> str:
    return "\n".join(block.text for block in story(comparison) if isinstance(block, Paragraph))


def cells(table: Table) -> list[str]:
    rows = [row for row in table.rows if not isinstance(row, Group)]
    return [f"{cell.text} | {cell.below}" for row in rows for cell in row]


def recovery_table(comparison: Comparison) -> Table:
    return next(table for table in tables(comparison) if table.caption.startswith("Outage and recovery"))


def test_a_fault_without_a_node_is_told_by_what_it_acted_on() -> None:
    comparison = compiled(results(paused()))
    text = said(comparison)
    assert "#1 pause-reader (orders.billing) at 8 s: A client could first know after 0.430 s" in text
    assert "nothing received by orders.billing" in text
    assert "Up to 12,000 messages waited for billing, gone 2.50 s after the peak." in text
    assert "Messages: none was lost and 341 came again." in text
    assert "broker down" not in text
    found = cells(recovery_table(comparison))
    assert "12,000 | billing, gone in 2.50 s" in found
    assert "3 subscribers | " in found


def test_loss_is_told_first_and_what_belongs_to_no_fault_is_told_too() -> None:
    lost = results(
        paused(cost=NOTHING | {"lost": 2, "unknown": 1}),
        outside_faults=NOTHING | {"lost": 1},
        control_cost=NOTHING | {"duplicates": 4},
    )
    text = said(compiled(lost))
    assert "2 were lost and 1 has no known outcome" in text
    assert (
        "outside the faults: 1 was lost. In the control run, without a fault: none was lost and 4 came again." in text
    )


def test_faults_that_overlapped_are_told_together_and_in_how_many_runs() -> None:
    together = results(
        paused(index=0, group=(0, 1), cost={}),
        factories.fault(index=1, group=(0, 1), cost={}),
        fault_groups=(FaultGroup(site="bus", faults=(0, 1), from_s=8.0, to_s=None, cost=NOTHING | {"lost": 5}),),
    )
    apart = results(paused(index=0), factories.fault(index=1, cost=NOTHING))
    comparison = compiled(together, apart)
    text = said(comparison)
    assert "#1 and #2 together: their effects overlapped in 1 of 2 runs" in text
    assert "5 were lost" in text
    (scenario,) = comparison.scenarios
    assert [f.overlaps for f in scenario.fault_summaries] == [(0, 1), (0, 1)]
    assert scenario.fault_summaries[0].cost == NOTHING | {"duplicates": 341}  # of the run in which it was alone


def test_the_strip_of_the_figure_names_the_fault_itself() -> None:
    comparison = compiled(results(paused()), results(paused()))
    (scenario,) = comparison.scenarios
    assert _label(scenario.faults[1], several=True) == "#1 pause-reader orders.billing, run 2"
    assert len(figures(comparison)) == 2


def test_a_crowd_of_faults_is_drawn_in_one_line_per_run() -> None:
    many = tuple(paused(index=n) for n in range(LINES_APART + 1))
    small, large = (figures(compiled(results(*faults))) for faults in (many[:1], many))

    def height(drawn: dict[str, str]) -> float:
        svg = next(text for name, text in drawn.items() if "recovery" in name)
        found = re.search(r'height="([0-9.]+)pt"', svg)
        assert found is not None
        return float(found[1])

    assert height(large) == pytest.approx(height(small), rel=0.05)


def test_latency_and_backlog_stand_beside_the_rates_in_runs_with_faults_only() -> None:
    disturbed, calm = compiled(results(paused())), compiled(results(faults=()))
    (row,), (other,) = disturbed.scenarios[0].series, calm.scenarios[0].series
    assert set(row.latencies) == {"median, billing", "median, screen"}  # 200 samples a second are too few for a p99
    assert row.backlogs["billing"][row_at(row.first_second, 9)] == 12_000
    assert other.latencies == other.backlogs == {}


def row_at(first_second: int, second: int) -> int:
    return second - first_second


def found(state: str, sequence: int, where: str, why: str = "") -> Found:
    fields = {"channel": "orders", "reader": "billing", "publisher": 0, "key": 7, "key_sequence": 1, "at_s": 9.5}
    return Found(**(fields | {"state": state, "sequence": sequence, "where": where, "why": why}))


def test_where_it_was_lost_is_told_with_its_place_and_only_with_a_reason_that_was_seen() -> None:
    why = "never replicated: the log of leader epoch 2 ends before it"
    examples = (found("never-stored", 5, "orders[1]: between offsets 10 and 11", why), found("stored", 9, "orders[0]"))
    told = Whereabouts(
        channel="orders",
        reader="billing",
        missing=3,
        looked_for=3,
        states={"never-stored": 2, "stored": 1},
        reasons={why: 2},
        examples=examples,
    )
    comparison = compiled(results(paused(), whereabouts=(told,)))
    assert f"orders.billing: 2 × {why}." in said(comparison)
    shown = cells(next(table for table in tables(comparison) if table.caption.startswith("The first of each state")))
    assert f"orders[1]: between offsets 10 and 11 | {why}" in shown
    assert "orders[0] | " in shown


def test_equal_chances_are_printed_side_by_side() -> None:
    comparison = compile_comparison(factories.demo())
    table = next(table for table in tables(comparison) if table.caption.startswith("Client settings that decide"))
    assert [column.title for column in table.columns[1:]] == [s.title for s in comparison.scenarios[0].subjects]
    assert any("acks = all" in text for text in cells(table))


def test_service_times_below_zero_are_counted_and_explained_and_a_latency_below_zero_is_marked() -> None:
    run = factories.run(1)
    histogram = run.samples["latency", "orders", "billing"][1]
    run.samples["service", "orders", "billing"] = {1: histogram}
    histogram.record(np.array([-5, 0]))
    comparison = compile_comparison([run])
    table = next(table for table in tables(comparison) if table.caption.startswith("Percentiles in milliseconds"))
    last = {
        (row[0].text, heading): row[-1] for heading, row in _under_headings(table) if row[0].text == "orders.billing"
    }
    service = last["orders.billing", "Service time (received − sent), ms"]
    latency = last["orders.billing", "Latency (received − intended), ms"]
    assert (service.text, service.tone) == ("2", "plain")
    assert (latency.text, latency.tone) == ("2", "bad")
    assert "the hand-over is timed when the client library's call returns" in said(comparison)


def _under_headings(table: Table) -> list[tuple[str, tuple[Cell, ...]]]:
    heading, rows = "", []
    for row in table.rows:
        if isinstance(row, Group):
            heading = row.text
        else:
            rows.append((heading, row))
    return rows


def of_faults(comparison: Comparison) -> dict[str, str]:
    """The one row of the table of each fault of each run, by column."""
    table = next(table for table in tables(comparison) if table.caption.startswith("Each fault of each run"))
    [row] = table.rows
    assert not isinstance(row, Group)
    return {column.title: cell.text for column, cell in zip(table.columns, row, strict=True)}


def test_a_silence_that_is_usual_is_not_shown_as_one_of_the_fault() -> None:
    quiet = Outage(where="orders", longest_s=0.1, control_s=1.0, outage_s=0.0, keys_hit=0.0, from_s=23.1, to_s=23.2)
    row = of_faults(compiled(results(paused(publish=quiet))))
    assert (row["No acknowledgement"], row["No receipt"]) == ("–", "8.00 to 11.40")


@pytest.mark.parametrize(("share", "text"), [(0.004, "under 1%"), (0.5, "50%"), (0.995, "over 99%"), (1.0, "100%")])
def test_all_keys_are_said_to_be_hit_only_where_all_were(share: float, text: str) -> None:
    felt = Outage(where="orders", longest_s=3.1, control_s=0.1, outage_s=3.0, keys_hit=share, from_s=8.0, to_s=11.1)
    assert any(
        cell.endswith(f"{text} of the keys") for cell in cells(recovery_table(compiled(results(paused(publish=felt)))))
    )


@pytest.mark.parametrize(("value", "text"), [(23, "23"), (12_345, "12,345"), (2.5, "2.50")])
def test_messages_are_counted_to_the_last(value: float, text: str) -> None:
    assert number(value, "messages") == text

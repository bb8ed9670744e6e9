"""The report shows what a broker's process used, node by node, and nothing where none was watched."""

from __future__ import annotations

from crep.harness.checks.usage import NodeUse
from crep.reports import Comparison, compile_comparison
from crep.reports.blocks import NOTHING, Table
from crep.reports.story import story
from tests.reports import factories

USE = NodeUse(
    site="bus",
    node="kafka-1",
    samples=30,
    cores=2,
    cpu_mean=0.5,
    cpu_max=1.4,
    cpu_busy=0.0,
    memory_max_bytes=450_000_000,
    read_per_s=0.0,
    written_per_s=2e6,
    written_max_per_s=3e6,
    collections=3,
    collecting_s=0.1,
    loopback_per_s=None,
    disk_busy=0.0,
    disk_free_min_bytes=1 << 40,
)


def compiled(*uses: tuple[NodeUse, ...]) -> Comparison:
    return compile_comparison(
        [
            factories.run(repetition, "bus=kafka-local", results=factories.results(usage=use))
            for repetition, use in enumerate(uses, 1)
        ]
    )


def table(comparison: Comparison) -> list[tuple[str, ...]]:
    found = [one for one in story(comparison) if isinstance(one, Table) and "broker's process used" in one.caption]
    return [tuple(cell.text for cell in row) for one in found for row in one.rows if isinstance(row, tuple)]


def test_each_node_has_a_row_with_the_median_over_the_runs() -> None:
    more = USE.model_copy(update={"cpu_mean": 0.7, "collecting_s": 0.3})
    [row] = table(compiled((USE,), (more,), (more,)))
    assert row[1:] == ("0.700", "1.40", "450", "2.00", "0", NOTHING, "300")


def test_no_table_without_a_local_broker() -> None:
    assert table(compiled((), ())) == []


def test_a_node_that_one_run_did_not_watch_has_no_median() -> None:
    [row] = table(compiled((USE,), ()))
    assert set(row[1:]) == {NOTHING}

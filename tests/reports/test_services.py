"""A channel that a service fills: what stands between the channels is named, and its sends are counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crep.harness.checks.results import ChannelLedger
from crep.harness.runs.document import ServicePart
from crep.reports import compile_comparison
from crep.reports.blocks import Table
from crep.reports.render import render
from crep.reports.story import story
from tests.reports import factories

DECLARED = "orders/*/new of orders goes on, one message for each, under ext/{region}/{type}"


def _run(repetition: int, **changed: Any) -> factories.FakeRun:
    service = ServicePart(
        channel="partners",
        source="orders",
        transform=DECLARED,
        bridge="bridge.yaml",
        lives=2,
        in_order=True,
        given_up=3,
    ).model_copy(update=changed)
    (orders,) = factories.results().channels
    filled = ChannelLedger(**{**orders.model_dump(), "channel": "partners"})
    return factories.run(repetition, services=(service,), results=factories.results(channels=(orders, filled)))


def test_a_service_is_named_with_what_is_declared_of_it(tmp_path: Path) -> None:
    comparison = compile_comparison([_run(1), _run(2, lives=1, given_up=None, in_order=False)])
    (table,) = [
        block
        for block in story(comparison)
        if isinstance(block, Table) and block.caption.startswith("Services between")
    ]
    (row,) = table.rows
    assert [cell.text for cell in row] == ["partners", "bridge.yaml", "2, 1", "3, –", "by force"]
    (page,) = render(comparison, tmp_path, ("html",))
    assert DECLARED in page.read_text()


def test_what_was_published_is_counted_where_it_was_published() -> None:
    (scenario,) = compile_comparison([_run(1)]).scenarios
    assert [row.channel for row in scenario.sends] == ["orders"]

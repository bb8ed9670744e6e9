"""Figures: grey where nothing was measured, apart without colour, the same bytes from the same data."""

from __future__ import annotations

import re

import pytest

from crep.reports import Comparison, compile_comparison
from crep.reports.drawing import MEASURED, colours
from crep.reports.figures import figures
from tests.reports import factories


@pytest.fixture(scope="module")
def drawn(comparison: Comparison) -> dict[str, str]:
    return figures(comparison)


def is_grey(colour: str) -> bool:
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return max(channels) - min(channels) <= 24


def test_emulated_targets_are_grey_and_measured_ones_are_not(comparison: Comparison) -> None:
    subjects = comparison.scenarios[0].subjects
    found = colours(subjects)
    assert {s.kind: is_grey(found[s.key]) for s in subjects} == {"measured": False, "emulated": True}


def test_a_report_of_emulated_runs_alone_has_no_coloured_line() -> None:
    runs = [factories.run(r, "bus=solace-emulator", results=factories.emulated_results()) for r in (1, 2)]
    for svg in figures(compile_comparison(runs)).values():
        used = set(re.findall(r"#[0-9a-f]{6}", svg))
        assert used
        assert [colour for colour in used if not is_grey(colour)] == []


def test_every_picture_of_the_demo_is_drawn_without_a_date_or_a_font_to_look_up(drawn: dict[str, str]) -> None:
    assert len(drawn) == 3  # latency, and the timeline of each target
    for svg in drawn.values():
        assert svg.startswith("<svg")
        assert "dc:date" not in svg
        assert "<text" not in svg
    assert any(MEASURED[0].lower() in svg for svg in drawn.values())


def test_runs_that_are_not_counted_are_drawn_apart_and_in_grey() -> None:
    run = factories.run(2, state="incomplete", results=None)
    (svg,) = figures(compile_comparison([run])).values()
    assert [colour for colour in set(re.findall(r"#[0-9a-f]{6}", svg)) if not is_grey(colour)] == []


def test_the_fault_is_drawn_once_per_run(drawn: dict[str, str]) -> None:
    calm = [factories.run(1, results=factories.results(faults=()))]
    without = figures(compile_comparison(calm))
    assert sum(svg.count("#c3cad0") for svg in drawn.values()) >= 4
    assert not any("#c3cad0" in svg for svg in without.values())

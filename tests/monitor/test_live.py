"""The live view, drawn on consoles of several widths and into a pipe."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from crep.harness.monitor.live import LiveView, Status

MEASURING = Status(
    run="orders-baseline on kafka-local, repetition 1",
    number=1,
    runs=10,
    phase="publishers end",
    elapsed_s=12.0,
    total_s=60.0,
    sent=1_234_567,
    acknowledged=1_234_000,
    received={"orders.billing": 1_200_000},
    backlog={"orders.billing": 34_000},
    lateness="p99 1.2 ms",
    labels=("co-located",),
)


def _console(*, terminal: bool, width: int = 80) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=terminal, color_system=None, width=width, height=24), written


def _shown(status: Status, width: int = 80) -> list[str]:
    console, written = _console(terminal=True, width=width)
    with LiveView(console) as view:
        view.status = status
        view.refresh()
        time.sleep(0.6)  # it redraws by itself, four times a second
    return written.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_no_line_of_the_panel_is_wider_than_the_terminal(width: int) -> None:
    console, written = _console(terminal=False, width=width)
    view = LiveView(console)
    view.status = MEASURING
    console.print(view._panel())
    assert max(len(line) for line in written.getvalue().splitlines()) <= width
    assert "1,234,567" in written.getvalue()


def test_a_terminal_shows_phase_clock_and_counts() -> None:
    shown = "\n".join(_shown(MEASURING))
    for part in ("run 1/10", "publishers end", "12 / 60 s", "1,234,567", "backlog 34,000", "p99 1.2 ms", "co-located"):
        assert part in shown


def test_the_clock_of_a_phase_without_an_end_goes_on_while_the_runner_is_silent() -> None:
    console, written = _console(terminal=True)
    with LiveView(console) as view:
        view.status = Status(run="demo on kafka-local", number=1, runs=1, phase="ready")
        view.refresh()
        time.sleep(1.8)
    assert " 0 s" in written.getvalue()
    assert " 1 s" in written.getvalue()


def test_before_the_first_run_nothing_is_counted() -> None:
    shown = "\n".join(_shown(Status(run="kafka-local", phase="start broker")))
    assert "kafka-local" in shown
    assert "start broker" in shown
    assert "sent" not in shown
    assert "run 0/0" not in shown


def test_a_pipe_gets_plain_lines_one_for_each_phase_and_event() -> None:
    console, written = _console(terminal=False)
    with LiveView(console) as view:
        view.status = MEASURING
        view.refresh()
        view.refresh()
        view.event("kill-broker kafka-1: injected [sic]")
    first, second = written.getvalue().splitlines()
    assert "run 1/10 orders-baseline on kafka-local, repetition 1  ·  publishers end  12.0/60 s" in first
    assert second.endswith("kill-broker kafka-1: injected [sic]")
    assert "\x1b" not in written.getvalue()

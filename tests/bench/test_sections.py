"""The benchmark ends in time: what it cannot measure on a busy machine it leaves out, and says so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import bench.__main__ as command
from bench import sections
from bench.figure import Figure
from bench.sections import MOST_S, SECTIONS, Measured, Section, Session, share_of_time, too_late
from crep.harness.runs.document import Harness, Host

HOST = Host(system="Linux", kernel="6", cpu="any", cores=2, memory_bytes=1, python="3.11")


def session(until_s: float | None) -> Session:
    harness = Harness(version="1", commit=None, modified=None)
    return Session(3, False, Console(quiet=True), HOST, harness, "2026-01-01T00:00:00Z", until_s)


def test_all_sections_together_take_less_than_twenty_minutes() -> None:
    assert MOST_S <= 20 * 60
    assert sum(section.takes_s for section in SECTIONS.values()) <= MOST_S
    assert share_of_time(list(SECTIONS)[-1]) == pytest.approx(MOST_S)


def test_a_section_has_its_length_at_least_whatever_those_before_it_took_of_theirs() -> None:
    ends = [0.0, *(share_of_time(name) for name in SECTIONS)]
    for (name, section), begin, end in zip(SECTIONS.items(), ends, ends[1:], strict=False):
        assert end - begin >= section.takes_s
        assert not too_late(name, begin)


@pytest.mark.parametrize(("left_s", "rounds"), [(None, 3), (60.0, 3), (-1.0, 1)])
def test_a_round_begins_only_in_time_but_the_first_always(left_s: float | None, rounds: int) -> None:
    until_s = None if left_s is None else time.monotonic() + left_s
    assert list(session(until_s).in_time(3)) == list(range(rounds))


def test_what_there_is_no_time_for_is_listed_as_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = [0.0]

    def taking(seconds: float) -> Callable[[Session], Measured]:
        def measure(asked: Session) -> Measured:
            clock[0] += seconds
            return Measured((Figure("something", 1.0, "s", 1.0),), {})

        return measure

    made = {"slow": Section(taking(2 * MOST_S), 60.0), "last": Section(taking(1.0), 60.0)}
    for module in (sections, command):
        monkeypatch.setattr(module, "SECTIONS", made)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command.time, "monotonic", lambda: clock[0])
    assert command.main([]) == 3
    first, last = json.loads((tmp_path / "bench.json").read_text())
    assert (first["name"], first["ok"]) == ("something", True)
    assert (last["name"], last["value"], last["ok"]) == ("last", None, False)
    assert "no time is left" in last["detail"]

"""Ratios come from within a round, and what was not measured is never a number."""

from __future__ import annotations

import io

from rich.console import Console

from bench.summary import Bench, Comparison, Punctuality, Round, Schedule, Spread, turns
from bench.table import show, to_json
from crep.harness.runs.document import Harness, Host

HOST = Host(system="Linux", kernel="6", cpu="a processor", cores=2, memory_bytes=2**30, python="3.11")
HARNESS = Harness(version="1", commit="abc", modified=True)


def comparison(*rounds: Round) -> Comparison:
    return Comparison("Apache Kafka", False, "publish", 100, 1000, rounds)


def printed(bench: Bench) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    show(bench, HOST, HARNESS, "2026-01-01T00:00:00Z", console)
    return console.export_text()


def test_a_ratio_is_taken_within_its_round_where_the_machine_was_the_same() -> None:
    machine_slows_down = comparison(Round(80, 100), Round(40, 50), Round(8, 10))
    assert machine_slows_down.to_bare == Spread(0.8, 0.8, 0.8, 3)
    assert machine_slows_down.engine == Spread(40, 8, 80, 3)


def test_a_round_without_one_party_has_no_ratio() -> None:
    measured = comparison(Round(engine=80), Round(engine=90, bare=100), Round(bare=10))
    assert measured.to_bare == Spread(0.9, 0.9, 0.9, 1)
    assert measured.of_ceiling is None


def test_every_party_comes_first_in_turn() -> None:
    assert [turns("abc", number) for number in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_what_was_not_measured_is_said_and_not_shown_as_a_number() -> None:
    text = printed(Bench((comparison(Round(engine=80_000, bare=100_000)),), (), ("Solace emulator: did not start",)))
    [row] = [line for line in text.splitlines() if "Apache Kafka" in line]
    cells = [cell.strip() for cell in row.split("│")[4:-1]]
    assert cells == ["0.80", "not measured", "80.0", "100.0", "not measured"]
    assert "not measured: Solace emulator: did not start" in text


def test_an_emulated_broker_is_named_so_wherever_it_stands() -> None:
    schedule = Schedule("Solace emulator", True, 2000, 1024, (Punctuality(0.1, 2.0, 3.0, 0.25),))
    text = printed(Bench((), (schedule,), ()))
    assert "(emulated)" in text
    assert "no measurement of Solace" in text
    assert "uncommitted changes" in text


def test_the_file_holds_every_round_and_what_failed() -> None:
    document = to_json(Bench((comparison(Round(80, 100, 200)),), (), ("x",)), HOST, HARNESS, "2026-01-01T00:00:00Z")
    [row] = document["throughput"]
    assert row["rounds"] == ({"engine": 80, "bare": 100, "no_op": 200},)
    assert row["of_ceiling"]["median"] == 0.4
    assert document["not_measured"] == ["x"]

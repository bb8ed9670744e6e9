"""Every renderer: the same bytes from the same data, whatever the data holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.read import State, find_runs
from crep.reports import Comparison, compile_comparison, render
from crep.reports.pdf import printable
from tests.reports import factories

HOSTILE = (
    """scenario: <script>alert("x")</script> & 数据 \x07 #pagebreak() $x$ @label
"""
    + "x" * 400
)


def test_the_same_runs_give_the_same_bytes_in_any_order(rendered: dict[str, Path], tmp_path: Path) -> None:
    again = render(compile_comparison(factories.demo()[::-1]), tmp_path)
    assert [path.name for path in again] == ["report.pdf", "report.html", "report.json"]
    assert [path.read_bytes() for path in again] == [rendered[f].read_bytes() for f in ("pdf", "html", "json")]


def test_the_json_reads_back_as_the_same_comparison(rendered: dict[str, Path], comparison: Comparison) -> None:
    assert Comparison.model_validate_json(rendered["json"].read_bytes()) == comparison


def test_the_pdf_is_tagged_archivable_and_carries_the_json(rendered: dict[str, Path]) -> None:
    data = rendered["pdf"].read_bytes()
    assert data.startswith(b"%PDF-1.7")
    assert b"/MarkInfo" in data
    assert b"pdfuaid" in data
    assert b"pdfaid" in data
    assert b"report.json" in data


def test_hostile_text_is_escaped_in_html_and_printed_in_pdf(tmp_path: Path) -> None:
    run = factories.run()
    scenario = run.document.scenario.model_copy(update={"text": HOSTILE, "name": "<b>bold</b>"})
    run.document = run.document.model_copy(update={"scenario": scenario})
    pdf, page = render(compile_comparison([run]), tmp_path, ("pdf", "html"))
    text = page.read_text()
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text
    assert pdf.stat().st_size > 10_000


def test_the_html_needs_no_network(rendered: dict[str, Path]) -> None:
    text = rendered["html"].read_text()
    assert "<script" not in text
    assert "@import" not in text
    assert 'src="' not in text
    assert 'href="http' not in text


def test_identities_in_the_html_are_unique(rendered: dict[str, Path]) -> None:
    identities = [part.split('"', 1)[0] for part in rendered["html"].read_text().split(' id="')[1:]]
    assert len(identities) > 10
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("state", ["incomplete", "failed", "interrupted", "running"])
def test_a_report_of_unfinished_runs_only_is_still_made(tmp_path: Path, state: State) -> None:
    run = factories.FakeRun(factories.document(results=None, status="running", ended_utc=None), state)
    written = render(compile_comparison([run]), tmp_path)
    assert len(written) == 3
    assert json.loads(written[2].read_text())["scenarios"][0]["runs"][0]["state"] != "counted"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, comparison: Comparison) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EnvironmentFailure, match=r"report\.json"):
        render(comparison, blocked / "out", ("json",))


def test_a_killed_run_beside_whole_ones_is_shown_and_changes_no_number(tmp_path: Path) -> None:
    whole = factories.demo()
    killed = factories.document(3, results=None, status="running", ended_utc=None, sites={}, run_id="killed")
    runs = [*whole, factories.FakeRun(killed, "incomplete")]
    with_it, without = compile_comparison(runs).scenarios[0], compile_comparison(whole).scenarios[0]
    row = next(r for r in with_it.runs if r.run_id == "killed")
    assert (row.state, row.subject) == ("incomplete", "bus=kafka-local")
    assert with_it.subjects[0].kind == "measured"
    assert with_it.ledger == without.ledger
    assert with_it.curves == without.curves
    (page,) = render(compile_comparison(runs), tmp_path, ("html",))
    assert "1 run not counted: 1 incomplete" in page.read_text()
    assert "INCOMPLETE" in page.read_text()


def test_a_run_folder_that_a_kill_left_behind_is_reported_as_incomplete(tmp_path: Path) -> None:
    binding = "kafka-local"
    folder = RunFolder.create(
        tmp_path, campaign="demo", started_utc="2026-01-02T03:04:05Z", scenario="s", binding=binding, repetition=1
    )
    folder.write_document(factories.document(1, binding, status="running", results=None, ended_utc=None, pid=None))
    comparison = compile_comparison(find_runs([tmp_path]))
    assert comparison.scenarios[0].runs[0].state == "incomplete"
    assert [path.stat().st_size > 0 for path in render(comparison, tmp_path / "out")] == [True] * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("数", "[U+6570]"),
        ("\x07", "[U+0007]"),
        ("a" * 25, "a" * 22 + "\u200b" + "aaa"),
        ("partition.assignment.strategy", "partition.\u200bassignment.\u200bstrategy"),
        ("orders-survive-a-broker-kill", "orders-survive-a-broker-kill"),
    ],
)
def test_every_sign_has_a_glyph_and_every_long_word_a_break(text: str, shown: str) -> None:
    assert printable(text, word=22) == shown


def test_the_html_says_what_a_board_looks_for(rendered: dict[str, Path]) -> None:
    text = rendered["html"].read_text()
    for words in (
        "emulator, not a measurement of Solace",
        "measured · profile quick",
        "below 5 there is neither an interval nor a winner",
        "1 copy, sync disk",
        "kafka/topic-per-channel",
        "crep run orders-survive-a-broker-kill.yaml --on kafka-local --on solace-emulator --profile quick --repeat 2",
        "commit 7ed1c2c0f1d2",
    ):
        assert words in text


def test_an_unknown_format_is_a_usage_error(tmp_path: Path, comparison: Comparison) -> None:
    with pytest.raises(UsageError, match="no report format 'docx'"):
        render(comparison, tmp_path, ("docx",))

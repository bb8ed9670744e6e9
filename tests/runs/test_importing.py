"""Results of other tools are read as they are written, kept apart, and shown without any part in a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crep.harness.cli.app import main
from crep.harness.cli.importing import command
from crep.harness.config.errors import UsageError
from crep.harness.runs.importing import find_imported, keep, read_omb, read_sdkperf
from crep.reports import compile_comparison
from crep.reports.blocks import Table
from crep.reports.story import story
from tests.reports import factories
from tests.runs.example import document, new_folder

NOW = "2026-01-02T03:04:05Z"
OMB: dict[str, Any] = {
    "workload": "1 topic / 16 partitions / 1Kb",
    "driver": "Kafka",
    "messageSize": 1024,
    "topics": 1,
    "publishRate": [49_000.0, 51_000.0],
    "publishErrorRate": [0.0, 0.0],
    "consumeRate": [50_000.0, 50_500.0],
    "backlog": [0, 12],
    "publishLatency99pct": [9.1, 9.4],
    "aggregatedPublishLatency50pct": 2.5,
    "aggregatedPublishLatency99pct": 9.25,
    "aggregatedPublishLatencyMax": 120.0,
    "aggregatedPublishDelayLatency99pct": 310.0,
    "aggregatedEndToEndLatency99pct": 11.5,
    "aggregatedEndToEndLatencyQuantiles": {"50.0": 3.0},
}
SDKPERF = """\
> sdkperf_java.sh -cip=tcp://broker:55555 -cu=user@vpn -cp=hush -ptl=t/demo -mt=persistent -msa=100 -mn=10000 -mr=5000
-------------------------------------------------
Total Messages transmitted = 10000
Computed publish rate (msg/sec) = 4999.5
-------------------------------------------------
Total Messages received across all subscribers = 9998
Messages received with discard indication = 0
Computed subscriber rate (msg/sec across all subscribers) = 5001
Average latency for subs = 812 usec
50th percentile latency = 700 usec
99th percentile latency = 2100 usec
99.9th percentile latency = 4000 usec
"""


def omb(folder: Path, **changed: Any) -> Path:
    path = folder / "1-topic-Kafka.json"
    path.write_text(json.dumps({**OMB, **changed}))
    return path


def sdkperf(folder: Path, text: str = SDKPERF) -> Path:
    path = folder / "publish.txt"
    path.write_text(text)
    return path


def test_every_figure_of_the_openmessaging_benchmark_has_its_own_unit(tmp_path: Path) -> None:
    found = read_omb(omb(tmp_path), NOW)
    assert (found.tool, found.name, found.driver) == ("omb", "1 topic / 16 partitions / 1Kb", "Kafka")
    assert found.settings == {"messageSize": "1024", "topics": "1"}
    assert {one.name: (one.value, one.unit) for one in found.figures} == {
        "Published": (50_000.0, "msg/s"),
        "Consumed": (50_250.0, "msg/s"),
        "Publish errors": (0.0, "msg/s"),
        "Publish latency p50": (2.5, "ms"),
        "Publish latency p99": (9.25, "ms"),
        "Publish latency max": (120.0, "ms"),
        "End-to-end latency p99": (11.5, "ms"),
        "Publish delay p99": (310.0, "µs"),
    }


def test_the_closing_lines_of_sdkperf_are_read_and_nothing_secret_is_kept(tmp_path: Path) -> None:
    found = read_sdkperf(sdkperf(tmp_path), NOW)
    assert {one.name: (one.value, one.unit) for one in found.figures} == {
        "Messages sent": (10_000.0, "messages"),
        "Published": (4999.5, "msg/s"),
        "Messages received": (9998.0, "messages"),
        "Consumed": (5001.0, "msg/s"),
        "Received with discard indication": (0.0, "messages"),
        "Latency mean": (812.0, "usec"),
        "Latency p50": (700.0, "usec"),
        "Latency p99": (2100.0, "usec"),
        "Latency p99.9": (4000.0, "usec"),
    }
    assert found.settings == {
        "message type": "persistent",
        "message size": "100",
        "messages asked": "10000",
        "rate asked": "5000",
    }
    assert "hush" not in found.model_dump_json()


def test_of_several_ends_the_last_counts(tmp_path: Path) -> None:
    found = read_sdkperf(sdkperf(tmp_path, SDKPERF + "Computed publish rate (msg/sec) = 7694.0\n"), NOW)
    assert next(one.value for one in found.figures if one.name == "Published") == 7694.0


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (read_omb, "{", "is not JSON"),
        (read_omb, '{"a": 1}', "no list 'publishRate'"),
        (read_omb, '{"publishRate": []}', "before it measured anything"),
        (read_sdkperf, "Connection refused", "none of the lines"),
    ],
)
def test_what_is_no_result_is_refused_with_a_sentence(tmp_path: Path, read: Any, text: str, words: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        read(file, NOW)
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "none", NOW)


def test_the_same_file_imported_twice_is_one_result(tmp_path: Path) -> None:
    for moment in (NOW, "2026-02-02T03:04:05Z"):
        keep(read_omb(omb(tmp_path), moment), tmp_path / "imported")
    [found] = find_imported([tmp_path])
    assert found.imported_utc == "2026-02-02T03:04:05Z"


def test_the_command_keeps_all_files_or_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    done = CliRunner().invoke(command, ["omb", str(omb(tmp_path)), str(bad), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(command, ["sdkperf", str(sdkperf(tmp_path)), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Published 5,000 msg/s" in done.output


def test_an_imported_result_is_shown_and_changes_nothing_else(tmp_path: Path) -> None:
    runs = [factories.run(1, "bus=kafka-local"), factories.run(1, "bus=solace-emulator")]
    alone = compile_comparison(runs)
    beside = alone.model_copy(update={"imported": (read_omb(omb(tmp_path), NOW),)})
    assert beside.model_copy(update={"imported": ()}) == alone
    blocks = story(beside)
    [table] = [one for one in blocks if isinstance(one, Table) and one.caption.startswith("Imported, not measured")]
    assert len(table.rows) == 8
    others = [one for one in blocks if one not in story(alone)]
    assert table in others
    assert all("Imported" in str(one) or "OpenMessaging" in str(one) for one in others)


def test_imported_results_alone_make_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(read_omb(omb(tmp_path), NOW), tmp_path / "imported")
    assert main(["report", str(tmp_path / "imported"), "--out", str(tmp_path / "report")]) == 2
    assert "nothing but imported results" in capsys.readouterr().err


def test_a_folder_of_runs_and_one_of_imports_make_one_report(tmp_path: Path) -> None:
    with new_folder(tmp_path / "runs") as folder:
        folder.write_document(document("complete"))
    keep(read_sdkperf(sdkperf(tmp_path), NOW), tmp_path / "imported")
    places = [str(tmp_path / name) for name in ("runs", "imported")]
    assert main(["report", *places, "--out", str(tmp_path / "report"), "--format", "html"]) == 0
    text = (tmp_path / "report" / "report.html").read_text()
    assert "Imported, not measured by crep" in text

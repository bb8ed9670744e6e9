"""``crep replay`` as its users call it: what it says, what it leaves, and its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.cli.app import main
from crep.replay.archive import Archive
from tests.replay.live import Place, capture, fill, numbers_by_key, order, place
from tests.replay.timing import archive_of

COUNT = 2000


@pytest.fixture
def kafka(kafka_endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A topic, and a working folder with a target ``here``."""
    monkeypatch.chdir(tmp_path)
    target = {"system": "kafka", "source": "address", "kafka": {"bootstrap": kafka_endpoint.bootstrap}}
    Path("crep-targets.yaml").write_text(json.dumps({"targets": {"here": target}}))
    with place(kafka_endpoint) as made:
        yield made


@pytest.mark.kafka
def test_capture_look_dry_run_and_replay(kafka: Place, capsys: pytest.CaptureFixture[str]) -> None:
    fill(kafka, range(COUNT))
    assert main(["replay", "capture", "orders", "--from", "here", "--topic", kafka.name, "--limit", str(COUNT)]) == 0
    assert f"captured: {COUNT:,} messages in archives/orders" in capsys.readouterr().err
    assert main(["replay", "archives", "--verify"]) == 0
    listed = capsys.readouterr().out
    assert f"{kafka.name} @ here" in listed
    assert "all files are as they were written" in listed
    with place(kafka.endpoint) as there:
        run = ["replay", "run", "orders", "--to", "here", "--remap", f"*={there.name}", "--pace", "fastest"]
        assert main([*run, "--property", "region=eu", "--dry-run", "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert (plan["count"], plan["topics"]) == (COUNT // 2, {there.name: COUNT // 2})
        assert main([*run, "--id", "one", "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["exact"] is True
        assert f"done: {COUNT:,} selected = {COUNT:,} acknowledged + 0 rejected" in err
        assert main([*run, "--id", "one"]) == 0  # done is done
        arrived = capture(there, Path("arrived"), COUNT)
        assert {key: sorted(numbers) for key, numbers in numbers_by_key(arrived).items()} == numbers_by_key(arrived)
        assert len(capture(there, Path("arrived"), idle="1 s")) == COUNT


@pytest.mark.kafka
def test_what_cannot_be_sent_is_exit_code_1_with_the_reason(kafka: Place, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(Path("archives/orders"), {"target": "here", "place": "orders", "system": "kafka"})
    large = replace(order("orders", 1), payload=bytes(2_000_000))
    archive.append([(1, order("orders", 0)), (2, large), (3, order("orders", 2))])
    archive.close()
    job = {"id": "large", "from": {"archive": "archives/orders"}, "to": {"target": "here", "topic": kafka.name}}
    Path("job.yaml").write_text(json.dumps(job))
    code, said = _shown(["run", "job.yaml"], capsys)
    assert code == 1
    assert "3 selected = 2 acknowledged + 1 rejected" in said
    assert "too large" in said
    [line] = Path("archives/.replays/large/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["sequence"] == 1


@pytest.mark.kafka
@pytest.mark.parametrize("where", [["--to-topic", "{}"], ["--remap", "orders={}"]])
def test_a_topic_that_is_not_there_is_told_before_anything_is_sent_and_the_id_stays_free(
    where: list[str], kafka: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Archive(Path("archives/orders"), {"target": "here", "place": "orders", "system": "kafka"})
    archive.append([(number, order("orders", number)) for number in range(3)])
    archive.close()

    def run(topic: str) -> tuple[int, str]:
        option, value = where
        return _shown(["run", "orders", "--to", "here", option, value.format(topic), "--id", "one"], capsys)

    code, said = run(f"{kafka.name}-typo")
    assert code == 3
    assert f"has no topic '{kafka.name}-typo'" in said
    assert not Path("archives/.replays/one").exists()
    code, said = run(kafka.name)
    assert code == 0
    assert "3 selected = 3 acknowledged + 0 rejected" in said


def test_a_mistake_in_a_job_file_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text("id: a\nfrom: {archive: x}\nto: {target: kafka-address}\npase: fastest\n")
    code, said = _shown(["run", "job.yaml"], capsys)
    assert code == 2
    assert "job.yaml:4:1: pase: unknown key; did you mean 'pace'?" in said


def _shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["replay", *arguments])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["capture", "a", "--from", "kafka-address"], ["--topic TOPIC (Kafka) or --queue QUEUE"]),
        (["capture", "a", "--from", "kafka-adress", "--topic", "t"], ["did you mean 'kafka-address'"]),
        (["run", "a"], ["Add --to TARGET"]),
        (["run", "--to", "kafka-address"], ["Name an archive or a job file"]),
        (["run", "a", "--to", "kafka-address", "--pace", "fast"], ["pace", "'x10' (ten times as fast)"]),
        (["run", "a", "--to", "kafka-address", "--since", "2026-01-01"], ["needs its zone", "10 min ago"]),
        (["run", "a", "--to", "kafka-address", "--remap", "x"], ["--remap x", "PATTERN=TOPIC"]),
        (["run", "a", "--to", "kafka-address", "--remap", "a/*={2}"], ["remap.0", "1 wildcard"]),
        (["run", "a", "--to", "kafka-address", "--topic", "a/>/b"], ["select.topic", "no topic pattern"]),
        (["run", "a", "--to", "kafka-address", "--id", "No"], ["no replay id"]),
        (["archives", "--archives", "nowhere"], ["no folder nowhere"]),
        (["capure"], ["did you mean 'capture'"]),
    ],
)
def test_a_mistake_is_told_with_what_to_write_instead(
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = _shown(arguments, capsys)
    assert code == 2
    for word in words:
        assert word in " ".join(said.split())


@pytest.mark.kafka
def test_ctrl_c_keeps_what_was_sent_and_the_same_id_goes_on(kafka: Place, capsys: pytest.CaptureFixture[str]) -> None:
    archive_of(Path("archives/orders"), 1000, 2.0, 1)
    run = ["replay", "run", "orders", "--to", "here", "--to-topic", kafka.name, "--id", "slow", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "crep", *run, "--pace", "300/s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        checkpoint = Path("archives/.replays/slow/checkpoint.json")
        deadline = time.monotonic() + 60
        while not checkpoint.exists() or json.loads(checkpoint.read_text())["acknowledged"] < 20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    ledger = json.loads(out)
    assert ledger["state"] == "stopped"
    assert 20 <= ledger["acknowledged"] < ledger["selected"]
    assert "still to come" in err
    assert "--id slow" in err
    assert main([*run, "--pace", "fastest"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["acknowledged"], again["maybe_doubled"], again["runs"]) == (again["selected"], 0, 2)

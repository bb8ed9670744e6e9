"""A run folder keeps what was measured, whatever ends the run, and fails with a sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.metrics.history import CORRUPT, RECEIVED, SENT, RecordFile
from crep.harness.runs.disk import replace_file
from crep.harness.runs.document import ClientPart
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.provenance import harness, host, process_started
from crep.harness.runs.read import find_runs, read_run
from crep.harness.runs.windows import WindowWriter
from tests.runs.example import Row, document, new_folder, sparse


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    with new_folder(tmp_path) as folder:
        folder.write_document(document("complete"))
        folder.append_event({"at_s": 8.0, "text": "größer\n"})
        folder.append_event({"at_s": 9.0})
    run = read_run(folder.path)
    assert run.document == document("complete")
    assert run.state == "complete"
    assert run.events == ({"at_s": 8.0, "text": "größer\n"}, {"at_s": 9.0})
    assert folder.path.relative_to(tmp_path) == Path("demo/2026-01-02T03-04-05Z/orders/kafka-local/1")


def test_latest_points_to_the_newest_campaign_start_and_does_not_double_its_runs(tmp_path: Path) -> None:
    for start in ("2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z"):
        folder = RunFolder.create(
            tmp_path, campaign="demo", started_utc=start, scenario="s", binding="internal=a,external=b", repetition=0
        )
        folder.write_document(document())
    latest = tmp_path / "demo" / "latest"
    assert latest.resolve() == (tmp_path / "demo" / "2026-01-03T03-04-05Z")
    assert len(find_runs([tmp_path])) == 2
    (newest,) = find_runs([latest])
    assert newest.path == folder.path
    assert newest.path.name == "control"


def test_the_same_repetition_is_never_written_over(tmp_path: Path) -> None:
    new_folder(tmp_path)
    with pytest.raises(UsageError, match="holds a run already"):
        new_folder(tmp_path)


def test_a_campaign_cannot_leave_the_results_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(
        tmp_path, campaign="../../etc", started_utc="now", scenario="a/b", binding="x", repetition=1
    )
    assert folder.path.resolve().is_relative_to(tmp_path)
    with pytest.raises(UsageError, match="cannot name a folder"):
        RunFolder.create(tmp_path, campaign="..", started_utc="now", scenario="s", binding="x", repetition=1)


def test_windows_add_up_the_same_in_parts_and_merged(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    folder.write_document(document())
    writer = WindowWriter(folder.path / "windows")
    for second in range(-1, 4):
        writer.add(
            [
                Row(second, "p0", counters={"sent": 10, "acknowledged": 9}, histograms={"lateness": sparse(5, 7)}),
                Row(second, "b0", "subscriber", "orders", "billing", None, 0, {"got": 4}, {"latency": sparse(0, 100)}),
                Row(second, "b1", "subscriber", "orders", "billing", None, 1, {"got": 5}, {"latency": sparse(900)}),
                Row(second, "p0", counters={"sent": 1}),
            ]
        )  # fmt: skip
        writer.flush()
    assert len(list((folder.path / "windows").glob("*.parquet"))) == 5

    def seen() -> tuple[object, ...]:
        run = read_run(folder.path)
        latency = run.histogram("latency", "orders", "billing", seconds=[0, 1, 2])
        return (
            run.counters.to_dict("records"),
            latency.count,
            latency.non_positive,
            latency.max_ns,
            run.histogram("latency", "orders").count,
            run.histogram("lateness", "orders").count,
            run.histogram("latency", "orders", "screen").count,
            run.histogram("latency", "orders", seconds=[]).count,
        )

    before = seen()
    assert before[1:] == (9, 3, 900, 15, 10, 0, 0)
    counters = read_run(folder.path).counters
    sent = counters[counters["client"] == "p0"]
    assert list(sent["sent"]) == [11] * 5
    assert set(counters[counters["client"] == "b0"]["sent"]) == {0}
    writer.merge()
    assert [path.name for path in (folder.path / "windows").iterdir()] == ["merged.parquet"]
    assert seen() == before
    WindowWriter(folder.path / "windows").merge()
    assert seen() == before


def test_parts_beside_the_merged_file_are_not_counted_twice(tmp_path: Path) -> None:
    writer = WindowWriter(tmp_path)
    writer.add([Row(0, "p0", counters={"sent": 1})])
    writer.flush()
    shutil.copy(tmp_path / "0000.parquet", tmp_path / "kept")
    writer.merge()
    (tmp_path / "kept").rename(tmp_path / "0000.parquet")  # as a kill between rename and removal leaves it
    folder = new_folder(tmp_path / "results")
    shutil.rmtree(folder.path / "windows")
    tmp_path.joinpath("merged.parquet").parent.mkdir(exist_ok=True)
    (folder.path / "windows").mkdir()
    for name in ("merged.parquet", "0000.parquet"):
        (tmp_path / name).rename(folder.path / "windows" / name)
    folder.write_document(document())
    assert read_run(folder.path).counters["sent"].sum() == 1


def test_a_part_is_written_every_five_seconds(tmp_path: Path) -> None:
    now = [100.0]
    writer = WindowWriter(tmp_path, clock=lambda: now[0])
    for second in range(12):
        now[0] = 100.0 + second
        writer.add([Row(second, "p0")])
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_compacting_keeps_every_record_and_shrinks_the_ledger(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    folder.write_document(document())
    sent = np.zeros(20_000, SENT)
    sent["sequence"] = np.arange(20_000)
    sent["intended_ns"] = np.arange(20_000) * 500_000
    sent["key"] = 2**32 - 1
    received = np.zeros(3, RECEIVED)
    received["sequence"], received["redelivered"], received["publisher"] = 2**64 - 1, 2, 65535
    for name, records in (("publisher-0.sent", sent), ("reader-orders.billing-1", received)):
        with RecordFile(folder.ledger / name, records.dtype) as file:
            file.append(records)
    before = sum(path.stat().st_size for path in folder.ledger.iterdir())
    run = read_run(folder.path)
    for _ in range(2):
        assert np.array_equal(run.sent(0), sent)
        assert np.array_equal(run.receipts("orders", "billing", 1), received)
        assert len(run.outcomes(0)) == 0
        folder.compact_ledger()
    assert sum(path.stat().st_size for path in folder.ledger.iterdir()) < before / 4


def test_receipts_are_counted_over_all_clients_and_kinds(tmp_path: Path) -> None:
    with new_folder(tmp_path) as folder:
        folder.write_document(document("complete"))
        assert read_run(folder.path).receipts_counted("orders", "billing") == 0
        for second, member, counts in (
            (-1, 0, {"received": 5}),
            (0, 0, {"received": 7, "corrupt": 1}),
            (0, 1, {"foreign": 2, "cpu_ns": 99}),
        ):
            client = f"billing-{member}"
            row = Row(second, client, "subscriber", reader="billing", publisher=None, member=member, counters=counts)
            folder.add_windows([row])
        other = Row(0, "screen-0", "subscriber", reader="screen", publisher=None, member=0, counters={"received": 4})
        folder.add_windows([other])
    assert read_run(folder.path).receipts_counted("orders", "billing") == 15


def test_service_time_is_taken_from_the_message_records(tmp_path: Path) -> None:
    second = 1_000_000_000
    clients = tuple(
        ClientPart(
            name=name, role=role, channel="orders", reader=reader, publisher=publisher, member=member, settings={}
        )  # type: ignore[arg-type]
        for name, role, reader, publisher, member in (
            ("p0", "publisher", None, 0, None),
            ("b0", "subscriber", "billing", None, 0),
            ("s0", "subscriber", "screen", None, 0),
        )
    )
    sent = np.zeros(4, SENT)
    sent["sequence"] = np.arange(4)
    sent["intended_ns"] = 5 * second + np.array([-1, 0, 1, 2]) * second  # the first is warm-up
    sent["sent_ns"] = sent["intended_ns"] + 500
    got = np.zeros(5, RECEIVED)
    got["sequence"] = [2, 1, 0, 9, 3]  # 9 was never sent
    got["received_ns"] = [6 * second + 1500, 5 * second + 1400, 4 * second + 1300, 0, 0]
    got["fault"][4] = CORRUPT
    with new_folder(tmp_path) as folder:
        folder.write_document(document("complete").model_copy(update={"clients": clients}))
        for name, records in (("publisher-0.sent", sent), ("reader-orders.billing-0", got)):
            with RecordFile(folder.ledger / name, records.dtype) as file:
                file.append(records)
    run = read_run(folder.path)
    assert [
        run.histogram("service", "orders", "billing").count,
        run.histogram("service", "orders", "screen").count,
    ] == [3, 0]
    measured = run.histogram("service", "orders", "billing", range(3))
    assert (measured.count, measured.max_ns) == (2, 1000)


def test_a_torn_last_record_is_left_out(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    folder.write_document(document())
    with RecordFile(folder.ledger / "publisher-0.sent", SENT) as file:
        file.append(np.zeros(2, SENT))
    with (folder.ledger / "publisher-0.sent").open("ab") as torn:
        torn.write(b"123")
    assert len(read_run(folder.path).sent(0)) == 2
    folder.compact_ledger()
    assert len(read_run(folder.path).sent(0)) == 2


KILLED = """
import os, sys
from pathlib import Path
from tests.runs.example import Row, document, new_folder
folder = new_folder(Path(sys.argv[1]))
folder.write_document(document())
for second in range(3):
    folder.append_event({"second": second})
    folder._windows.add([Row(second, "p0", counters={"sent": 10})])
    folder._windows.flush()
with open(folder.path / "events.jsonl", "a") as torn:
    torn.write('{"second": ')
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_run_killed_half_way_is_running_while_its_process_lives_and_incomplete_after(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        (run,) = find_runs([tmp_path])
        assert run.state == "running"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        child.stdin.close()
        child.stdout.close()
    (run,) = find_runs([tmp_path])
    assert run.state == "incomplete"
    assert run.counters["sent"].sum() == 30
    assert len(run.events) == 3


def test_a_process_id_that_somebody_else_has_now_is_not_the_run(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    folder.write_document(document().model_copy(update={"process_started": 1}))
    assert read_run(folder.path).state == "incomplete"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"schema_version": "crep-run/1", "status"', r"run\.json:1:42: cut off or garbled"),
        ("", r"run\.json:1:1: cut off or garbled"),
        ("[]", "is None; this crep reads 'crep-run/1'"),
        ('{"schema_version": "crep-run/9"}', "is 'crep-run/9'; this crep reads 'crep-run/1'"),
        ('{"schema_version": "crep-run/1", "status": "odd"}', "status: Input should be"),
    ],
)
def test_a_damaged_document_is_named_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match=says):
        read_run(tmp_path)


def test_binary_rubbish_for_a_document_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read_run(tmp_path)


def test_damaged_windows_events_and_records_name_the_file(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    folder.write_document(document())
    folder.add_windows([Row(0, "p0", counters={"sent": 1})])
    folder.close()
    whole = (folder.path / "windows" / "0000.parquet").read_bytes()
    (folder.path / "windows" / "0001.parquet").write_bytes(whole[: len(whole) // 2])
    (folder.path / "events.jsonl").write_text("{}\nrubbish\n")
    (folder.ledger / "publisher-0.sent.parquet").write_bytes(b"PAR1rubbishPAR1")
    shutil.copy(folder.path / "windows" / "0000.parquet", folder.ledger / "publisher-1.sent.parquet")
    run = read_run(folder.path)
    with pytest.raises(UsageError, match=r"0001\.parquet: damaged"):
        _ = run.counters
    with pytest.raises(UsageError, match=r"0001\.parquet: damaged"):
        run.histogram("latency", "orders")
    with pytest.raises(UsageError, match=r"events\.jsonl: a line is not JSON: 'rubbish'"):
        _ = run.events
    with pytest.raises(UsageError, match=r"publisher-0\.sent\.parquet: damaged"):
        run.sent(0)
    with pytest.raises(UsageError, match=r"publisher-1\.sent\.parquet: has columns second"):
        run.sent(1)


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        find_runs([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        find_runs([tmp_path / "gone"])
    with pytest.raises(UsageError, match=r"run\.json is missing"):
        read_run(tmp_path)


def test_a_results_folder_under_a_file_is_an_environment_failure(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(EnvironmentFailure, match=r"cannot write .*results.*: Not a directory\n.*--out DIR") as caught:
        new_folder(tmp_path / "results")
    assert caught.value.exit_code == 3


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may write everywhere, so let the test be somebody else."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


def test_a_results_folder_without_permission_is_an_environment_failure(tmp_path: Path, request: Any) -> None:
    tmp_path.chmod(0o500)
    request.getfixturevalue("ordinary_user")
    with pytest.raises(EnvironmentFailure, match=r"Permission denied\n.*Make the folder writable"):
        new_folder(tmp_path)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run([shutil.which("umount") or "umount", str(place)], check=True)


def test_a_full_disk_is_an_environment_failure_that_keeps_the_old_document(full_disk: Path) -> None:
    folder = new_folder(full_disk)
    folder.write_document(document())
    samples = np.random.default_rng(7).integers(1, 10**12, (300, 1000))
    folder.add_windows([Row(0, f"p{n}", histograms={"lateness": sparse(*row)}) for n, row in enumerate(samples)])
    with pytest.raises(EnvironmentFailure, match=r"windows/0000\.parquet.*\n.*Free some space"):
        folder.close()
    folder.append_event({"text": "x" * 50_000})
    with pytest.raises(EnvironmentFailure, match=r"events\.jsonl: No space left"):
        folder.append_event({"text": "x" * 100_000})
    with pytest.raises(EnvironmentFailure, match=r"run\.json: No space left.*\n.*bytes are free there"):
        replace_file(folder.path / "run.json", b"x" * 200_000)
    run = read_run(folder.path)
    assert run.document == document()
    assert len(run.events) == 1
    assert not list(folder.path.rglob(".*.part"))


LIMITED = """
import resource, signal, sys
from pathlib import Path
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.runs.disk import replace_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace_file(Path(sys.argv[1]), b"x" * 5000)
except EnvironmentFailure as failure:
    print(failure)
"""


def test_a_file_size_limit_is_told_like_a_full_disk(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "run.json")], capture_output=True, text=True, check=True
    ).stdout
    assert "run.json: File too large" in said
    assert "Free some space" in said
    assert list(tmp_path.iterdir()) == []


def test_provenance_names_this_machine_and_this_checkout() -> None:
    here = host()
    assert here.cores >= 1
    assert here.memory_bytes > 2**20
    assert here.cpu
    crep = harness()
    assert crep.version
    assert crep.commit is None or len(crep.commit) == 40
    assert (crep.commit is None) == (crep.modified is None)


def test_a_process_start_names_living_processes_only() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait(10)
    assert process_started(child.pid) is None
    own = process_started(os.getpid())
    assert own is not None
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < own / os.sysconf("SC_CLK_TCK") <= uptime


def test_what_a_reader_received_is_told_second_by_second(tmp_path: Path) -> None:
    def row(second: int, client: str, received: int, *latencies_ns: int) -> Row:
        histograms = {"latency": sparse(*latencies_ns)} if latencies_ns else {}
        return Row(second, client, "subscriber", "orders", "billing", None, 0, {"received": received}, histograms)

    with new_folder(tmp_path) as folder:
        folder.write_document(document())
        folder.add_windows([row(-1, "a", 2, 10, 30), row(0, "a", 1, 20), row(0, "b", 3, 40, 40, 40), row(1, "b", 5)])
        folder.merge_windows()
        seconds = read_run(folder.path).by_second("orders", "billing")
        assert {at: (one.receipts, one.latency.count) for at, one in seconds.items()} == {
            -1: (2, 2),
            0: (4, 4),
            1: (5, 0),
        }
        assert seconds[0].latency.max_ns == 40
        assert read_run(folder.path).by_second("orders", "screen") == {}

"""The player's books, with a sink that answers as it is told; live brokers are elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crep.harness.brokers.contract import ClientEvent, Message, Outcome
from crep.harness.brokers.streams import Sent
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.archive import Archive, Rolling
from crep.replay.checkpoint import Checkpoint
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.ledger import Ledger
from crep.replay.manifest import read_manifest
from crep.replay.marking import SEQUENCE
from crep.replay.pacing import Pace
from crep.replay.player import Player
from crep.replay.selection import Reader
from tests.replay.live import order

COUNT = 300
Answer = Callable[[int, int], Sent | None]
"""Sequence and how often it was sent → its outcome; None: none yet."""


def acknowledged(sequence: int, _: int) -> Sent | None:
    return Sent(sequence, Outcome.ACKNOWLEDGED)


class TellingSink:
    """Remembers what it was given; outcomes come in the reverse order, at the next poll."""

    def __init__(self, answer: Answer = acknowledged, room: int = 10_000) -> None:
        self.sent: list[int] = []
        self.topics: list[str] = []
        self._answer, self._room = answer, room
        self._due: list[Sent] = []
        self.most_pending = 0
        self.pending = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def send(self, message: Message, token: int) -> bool:
        if self.pending >= self._room:
            return False
        assert message.properties[SEQUENCE] == token
        self.sent.append(token)
        self.topics.append(message.topic)
        outcome = self._answer(token, self.sent.count(token))
        self.pending += 1
        self.most_pending = max(self.most_pending, self.pending)
        if outcome is not None:
            self._due.insert(0, outcome)
        return True

    def poll(self, timeout_s: float) -> list[Sent]:
        if not self._due and timeout_s:
            time.sleep(min(timeout_s, 0.01))
        due, self._due = self._due, []
        self.pending -= len(due)
        return due

    def drain(self, timeout_s: float) -> list[Sent]:
        return self.poll(0)

    def events(self) -> list[ClientEvent]:
        return []

    def effective_settings(self) -> dict[str, str]:
        return {}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = Archive(tmp_path / "archive", {"target": "t", "place": "orders", "system": "s"}, Rolling(merge_below=0))
    for start in range(0, COUNT, 100):
        made.append([(1_000_000 + n * 1000, order("orders", n)) for n in range(start, start + 100)])
        made.roll()
    made.close()
    return tmp_path / "archive"


def job_of(archive: Path, **more: object) -> Job:
    return Job.model_validate(
        {"id": "r", "from": {"archive": str(archive)}, "to": {"target": "t"}, "pace": "fastest", "window": 50, **more}
    )


@contextmanager
def playing(job: Job, sink: TellingSink, state: Path, patience_s: float = 5.0) -> Iterator[Player]:
    checkpoint = Checkpoint(state)
    try:
        with Reader(Path(str(job.origin.archive))) as reader:
            yield Player(job, reader, sink, checkpoint, patience_s=patience_s)
    finally:
        checkpoint.close()


def played(job: Job, sink: TellingSink, state: Path, control: Control | None = None) -> Ledger:
    with playing(job, sink, state) as player:
        return player.run(control or Control())


def test_all_is_sent_in_order_and_the_same_id_again_sends_nothing(archive: Path, tmp_path: Path) -> None:
    sink, job = TellingSink(), job_of(archive, remap=[{"topic": "ord*", "to": "new/{1}"}])
    ledger = played(job, sink, tmp_path / "r")
    assert sink.sent == list(range(COUNT))
    assert set(sink.topics) == {"new/ers"}
    assert sink.most_pending <= 50
    assert ledger.exact
    again = TellingSink()
    assert played(job, again, tmp_path / "r") == ledger
    assert again.sent == []


def test_rejections_are_counted_by_reason_and_listed_one_by_one(archive: Path, tmp_path: Path) -> None:
    def answer(sequence: int, _: int) -> Sent:
        bad = sequence % 3 == 0
        return Sent(sequence, Outcome.REJECTED if bad else Outcome.ACKNOWLEDGED, "no room" if bad else None)

    ledger = played(job_of(archive), TellingSink(answer), tmp_path / "r")
    assert (ledger.acknowledged, ledger.rejected, ledger.reasons) == (200, 100, {"no room": 100})
    assert ledger.exact
    lines = [json.loads(line) for line in (tmp_path / "r" / "rejected.jsonl").read_text().splitlines()]
    assert sorted(one["sequence"] for one in lines) == list(range(0, COUNT, 3))
    assert lines[0].keys() == {"sequence", "topic", "reason"}


def test_what_has_no_outcome_is_sent_again_in_order_and_counted(archive: Path, tmp_path: Path) -> None:
    unsure = {7, 8, 120}

    def answer(sequence: int, times: int) -> Sent:
        lost = sequence in unsure and times < 3
        return Sent(sequence, Outcome.UNKNOWN if lost else Outcome.ACKNOWLEDGED)

    sink = TellingSink(answer)
    ledger = played(job_of(archive), sink, tmp_path / "r")
    assert (ledger.acknowledged, ledger.maybe_doubled) == (COUNT, 6)
    again = [sequence for place, sequence in enumerate(sink.sent) if sequence in sink.sent[:place]]
    assert again == [7, 8, 7, 8, 120, 120]


def test_a_broker_that_gives_no_outcome_again_and_again_fails_and_the_id_goes_on(archive: Path, tmp_path: Path) -> None:
    def never(sequence: int, _: int) -> Sent:
        return Sent(sequence, Outcome.UNKNOWN if sequence == 60 else Outcome.ACKNOWLEDGED)

    sink = TellingSink(never)
    with pytest.raises(EnvironmentFailure, match="gave no outcome of 1 messages"):
        played(job_of(archive), sink, tmp_path / "r")
    ledger = played(job_of(archive), TellingSink(), tmp_path / "r")
    assert ledger.exact
    assert ledger.runs == 2


def test_a_broker_that_takes_nothing_fails_in_time_and_what_was_settled_is_kept(archive: Path, tmp_path: Path) -> None:
    sink = TellingSink(lambda sequence, _: None if sequence >= 100 else acknowledged(sequence, 1))
    with playing(job_of(archive), sink, tmp_path / "r", patience_s=0.3) as player:
        with pytest.raises(EnvironmentFailure, match="taken nothing"):
            player.run(Control())
        assert player.progress().state == "failed"
    again = TellingSink()
    ledger = played(job_of(archive), again, tmp_path / "r")
    assert again.sent == list(range(100, COUNT))
    assert (ledger.acknowledged, ledger.maybe_doubled) == (COUNT, len(set(sink.sent) - set(range(100))))


def test_after_a_kill_no_more_than_the_window_is_sent_again(archive: Path, tmp_path: Path) -> None:
    """The kill: what the checkpoint held in the middle of a run is put back, as if nothing had been written since."""
    kept: list[bytes] = []
    control = Control()

    def answer(sequence: int, _: int) -> Sent:
        if sequence == 170:
            kept.append((tmp_path / "r" / "checkpoint.json").read_bytes())
            control.stop()
        return Sent(sequence, Outcome.ACKNOWLEDGED)

    first = TellingSink(answer)
    assert played(job_of(archive), first, tmp_path / "r", control).state == "stopped"
    (tmp_path / "r" / "checkpoint.json").write_bytes(kept[0])
    again = TellingSink()
    ledger = played(job_of(archive), again, tmp_path / "r")
    doubled = set(first.sent) & set(again.sent)
    assert set(first.sent) | set(again.sent) == set(range(COUNT))
    assert len(doubled) <= ledger.maybe_doubled <= 50
    assert ledger.exact


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"select": {"topic": "x"}}, "select"),
        ({"to": {"target": "u"}}, "to"),
        ({"remap": [{"topic": "*", "to": "y"}]}, "remap"),
    ],
)
def test_another_replay_under_the_same_id_is_refused(
    archive: Path, tmp_path: Path, other: dict[str, object], what: str
) -> None:
    played(job_of(archive), TellingSink(), tmp_path / "r")
    with pytest.raises(UsageError, match=f"another replay: {what} differ"):
        played(job_of(archive, **other), TellingSink(), tmp_path / "r")


def test_one_process_at_a_time_and_a_cancelled_replay_stays_cancelled(archive: Path, tmp_path: Path) -> None:
    control = Control()
    control.cancel()
    assert played(job_of(archive), TellingSink(), tmp_path / "r", control).state == "cancelled"
    with pytest.raises(UsageError, match="was cancelled"):
        played(job_of(archive), TellingSink(), tmp_path / "r")
    held = Checkpoint(tmp_path / "s")
    with pytest.raises(EnvironmentFailure, match="another process"):
        Checkpoint(tmp_path / "s")
    held.close()


def test_a_limit_counts_over_all_runs_and_retention_is_told(archive: Path, tmp_path: Path) -> None:
    control = Control()

    def answer(sequence: int, _: int) -> Sent:
        if sequence == 40:
            control.stop()
        return Sent(sequence, Outcome.ACKNOWLEDGED)

    job = job_of(archive, select={"limit": 250})
    stopped = played(job, TellingSink(answer), tmp_path / "r", control)
    manifest = read_manifest(archive)
    assert stopped.acknowledged < 100
    again = Archive(archive, manifest.source, Rolling(keep_bytes=1, merge_below=0))
    again.append([(9_000_000, order("orders", 999))])
    again.close()  # retention leaves the newest segment only
    ledger = played(job, TellingSink(), tmp_path / "r")
    assert ledger.selected == 250 == ledger.acknowledged + ledger.removed
    assert not ledger.exact


def test_a_pause_stands_still_and_another_pace_is_taken_up(archive: Path, tmp_path: Path) -> None:
    sink, control = TellingSink(), Control()
    with playing(job_of(archive, pace="50/s"), sink, tmp_path / "r") as player:
        thread = threading.Thread(target=player.run, args=(control,))
        thread.start()
        _until(lambda: len(sink.sent) >= 5)
        control.pause()
        _until(lambda: player.progress().state == "paused")
        stood = len(sink.sent)
        time.sleep(0.2)
        assert len(sink.sent) == stood < COUNT
        control.set_pace(Pace())
        control.resume()
        thread.join(20)
        assert not thread.is_alive()
        assert (player.progress().state, player.progress().pace) == ("done", "fastest")
        assert player.progress().acknowledged == player.progress().selected == COUNT


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)

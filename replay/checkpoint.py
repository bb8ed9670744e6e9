"""How far a replay is, so that it survives a kill: one small file, replaced as a whole and flushed to the disk.

What is recorded before what is done::

    reserved = 5000   recorded   →  the first 5,000 messages may be sent
    outcomes          recorded   →  reserved moves on: at most ``window`` messages are sent and not recorded

After a kill the messages between what is settled and ``reserved`` are sent again: those may arrive twice, and there are
no more than ``window`` of them. Everything else was either settled or never sent.

::

    <folder>/checkpoint.json   counts and places
    <folder>/rejected.jsonl    sequence, topic and reason of each message that the broker refused
    <folder>/lock              held by the process that replays
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.segment import sync_folder

SCHEMA = 1
_FILE, _REJECTED, _LOCK = "checkpoint.json", "rejected.jsonl", "lock"
_MOST_REASONS = 20
_LOOK_S, _CLOSE_S = 0.5, 10.0
OTHER_REASONS = "other reasons"


Kept = Literal["open", "done", "cancelled"]


class Settled:
    """Which messages are settled, by their sequence: all up to ``upto``, and some behind. Pure.

    Sequences are those of the archive, of which the selection may leave some out: ``expect`` says, rising, which are
    sent; ``settle`` comes in any order.
    """

    def __init__(self, upto: int = -1, beyond: Iterable[int] = ()) -> None:
        self.upto = upto
        self.beyond = set(beyond)
        self._open: dict[int, None] = {}  # sent, or settled behind one that is open; in the order of sending

    def __contains__(self, sequence: int) -> bool:
        return sequence <= self.upto or sequence in self.beyond

    def expect(self, sequence: int) -> None:
        """The next message of the selection, whether it is sent now or settled already."""
        self._open[sequence] = None
        self._move()

    def settle(self, sequence: int) -> None:
        """It has its final outcome."""
        self.beyond.add(sequence)
        self._move()

    def runs_beyond(self) -> tuple[tuple[int, int], ...]:
        """Those behind, as runs (first, last) of consecutive ones."""
        return runs_of(self.beyond)

    def _move(self) -> None:
        while self._open and (first := next(iter(self._open))) in self.beyond:
            del self._open[first]
            self.beyond.discard(first)
            self.upto = first


@dataclass(frozen=True)
class Recorded:
    """The file. Counts are of messages; ``until_sequence``: the archive's end when the replay began."""

    job: dict[str, Any]
    selected: int
    first_us: int | None
    last_us: int | None
    until_sequence: int
    upto: int = -1  # every selected message up to this sequence is settled
    beyond: tuple[tuple[int, int], ...] = ()  # runs (first, last) of selected ones behind it that are settled too
    acknowledged: int = 0
    rejected: int = 0
    maybe_doubled: int = 0
    reserved: int = 0  # messages of the selection that may have been sent, counted from its beginning
    runs: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of rejections
    rejected_bytes: int = 0  # of rejected.jsonl: what stands behind was written and not recorded
    state: Kept = "open"
    schema: int = SCHEMA

    @property
    def settled(self) -> int:
        """Messages with their final outcome."""
        return self.acknowledged + self.rejected

    def beyond_sequences(self) -> list[int]:
        """``beyond``, one by one."""
        return [sequence for first, last in self.beyond for sequence in range(first, last + 1)]

    def to_upto(self) -> int:
        """How many selected messages there are up to ``upto``."""
        return self.settled - sum(last - first + 1 for first, last in self.beyond)


def runs_of(sequences: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Sequences as runs of consecutive ones."""
    runs: list[tuple[int, int]] = []
    for sequence in sorted(sequences):
        if runs and runs[-1][1] == sequence - 1:
            runs[-1] = runs[-1][0], sequence
        else:
            runs.append((sequence, sequence))
    return tuple(runs)


class Checkpoint:
    """The checkpoint of one replay. One process at a time; a thread of its own writes, so that nobody waits for a disk.

    Args:
        folder: of this replay alone; made where it is not there.

    Raises:
        EnvironmentFailure: another process has it, or the folder cannot be written.
        UsageError: it is damaged, or of a later version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _locked(folder)
        try:
            self.durable = read_checkpoint(folder)
        except UsageError:
            self._lock.close()
            raise
        self._rejected: IO[bytes] | None = None
        self._due: Recorded | None = None
        self._lines: list[bytes] = []
        self._changed = threading.Condition()
        self._closing = False
        self._broken: BaseException | None = None
        self._thread: threading.Thread | None = None

    def begin(self, recorded: Recorded) -> None:
        """Write the first record of a run; rejections that were noted and not recorded are taken back."""
        try:
            self._rejected = (self.folder / _REJECTED).open("ab")
            self._rejected.truncate(recorded.rejected_bytes)
            self._rejected.seek(recorded.rejected_bytes)
        except OSError as error:
            raise EnvironmentFailure(f"{self.folder / _REJECTED} cannot be written: {error.strerror}") from None
        self._write(recorded, [])
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def save_soon(self, recorded: Recorded, rejections: Iterable[bytes]) -> None:
        """Record this as soon as the disk is ready; of several only the latest is written. ``durable`` tells when.

        Raises:
            EnvironmentFailure: an earlier one could not be written.
        """
        with self._changed:
            if self._broken is not None:
                raise self._broken
            self._due = recorded
            self._lines += rejections
            self._changed.notify_all()

    def save(self, recorded: Recorded, rejections: Iterable[bytes]) -> None:
        """The same; returns when a crash of the machine cannot take it any more."""
        self.save_soon(recorded, rejections)
        with self._changed:
            while self._due is not None and self._broken is None:
                self._changed.wait(_LOOK_S)
            if self._broken is not None:
                raise self._broken

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    while self._due is None and not self._closing:
                        self._changed.wait()
                    due, lines = self._due, self._lines
                    self._lines = []
                if due is None:
                    return
                self._write(due, lines)
                with self._changed:
                    if self._due is due:
                        self._due = None
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised again where something is saved
            with self._changed:
                self._broken = error
                self._changed.notify_all()

    def _write(self, recorded: Recorded, lines: list[bytes]) -> None:
        draft = self.folder / f"{_FILE}.draft"
        try:
            if lines and self._rejected is not None:
                self._rejected.write(b"".join(lines))
                self._rejected.flush()
                os.fsync(self._rejected.fileno())
            written = replace(recorded, rejected_bytes=self._rejected.tell() if self._rejected is not None else 0)
            with draft.open("wb") as file:
                file.write(orjson.dumps(asdict(written)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / _FILE)
            sync_folder(self.folder)
        except OSError as error:
            raise EnvironmentFailure(f"{self.folder / _FILE} cannot be written: {error.strerror}") from error
        self.durable = written

    def close(self) -> None:
        """Write what is due and let others in."""
        if self._thread is not None:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._thread.join(_CLOSE_S)
        if self._rejected is not None:
            self._rejected.close()
        if {one.name for one in self.folder.iterdir()} == {_LOCK}:  # nothing was begun: a dry run leaves nothing behind
            (self.folder / _LOCK).unlink()
            self.folder.rmdir()
        self._lock.close()


def _locked(folder: Path) -> IO[str]:
    path = folder / _LOCK
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("w")
        except FileNotFoundError:
            continue  # removed meanwhile by a dry run
        except OSError as error:
            raise EnvironmentFailure(f"{folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise EnvironmentFailure(
                f"replay {folder.name} runs already in another process", hint="wait for it, or give another id"
            ) from None
        if path.exists() and os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
            return lock
        lock.close()  # it was removed by whoever had it


def rejection_line(sequence: int, topic: str, reason: str) -> bytes:
    """A line of ``rejected.jsonl``."""
    return orjson.dumps({"sequence": sequence, "topic": topic, "reason": reason}) + b"\n"


def read_checkpoint(folder: Path) -> Recorded | None:
    """What is recorded; None before the first run.

    Raises:
        UsageError: the file is damaged, or of a later version.
    """
    path = folder / _FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.get("schema") != SCHEMA:
            raise UsageError(f"{path}: schema {data.get('schema')!r} is not understood by this version")
        return Recorded(**{**data, "beyond": tuple((first, last) for first, last in data["beyond"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {error}", hint="give the replay another id") from None


def count_reason(reasons: dict[str, int], reason: str) -> None:
    """One more of this kind; the twenty-first kind and all behind it count as other reasons."""
    name = reason if reason in reasons or len(reasons) < _MOST_REASONS else OTHER_REASONS
    reasons[name] = reasons.get(name, 0) + 1

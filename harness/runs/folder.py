"""Writing one run folder, so that what was measured survives whatever ends the run.

::

    results/<campaign>/<start>/<scenario>/<binding>/<repetition>/      repetition: 1, 2, …, or ``control``
    │       └ latest → <start>
    ├ run.json         identity, provenance, verdicts: replaced whole
    ├ events.jsonl     timeline, phases, reconnects, alerts: appended line by line
    ├ whereabouts.jsonl  where messages that are missing were found, where some are
    ├ inputs/          copies of the files that the scenario names, where there are some
    ├ windows/         per client and second: counters and histograms (``windows``)
    ├ ledger/          engines append every send, outcome and receipt (``records``), which are folded into the
    │                  channels' tallies (``ledger``, ``tallies``) and then kept or removed
    └ logs/
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from crep.harness.checks.results import Found
from crep.harness.config.errors import UsageError
from crep.harness.runs import records
from crep.harness.runs.disk import replace_file, writing
from crep.harness.runs.document import RunDocument
from crep.harness.runs.windows import WindowRow, WindowWriter

DOCUMENT, EVENTS, WINDOWS, LEDGER, LOGS = "run.json", "events.jsonl", "windows", "ledger", "logs"
INPUTS, WHEREABOUTS = "inputs", "whereabouts.jsonl"


class RunFolder:
    """The folder of one run. Methods may be called from several threads; ``close`` writes what is still held back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger, self.logs = path / LEDGER, path / LOGS
        self._lock = threading.Lock()
        self._windows = WindowWriter(path / WINDOWS)

    @classmethod
    def create(
        cls, results_root: Path, *, campaign: str, started_utc: str, scenario: str, binding: str, repetition: int
    ) -> RunFolder:
        """Make the folder and point ``<campaign>/latest`` to its start.

        Args:
            results_root: usually ``results``; made when missing.
            campaign: the campaign's name.
            started_utc: when the campaign started, ISO 8601; all its runs share it.
            scenario: the scenario's name, with ``@value`` where one dimension is varied.
            binding: ``kafka-local`` or ``internal=…,external=…``.
            repetition: from 1; 0 is the control run.

        Raises:
            UsageError: the folder holds a run already.
            EnvironmentFailure: it cannot be written, with the path and what to do.
        """
        start = results_root / _name(campaign) / _name(started_utc)
        path = start / _name(scenario) / _name(binding) / (str(repetition) if repetition else "control")
        with writing(path):
            if path.exists():
                raise UsageError(f"{path} holds a run already", hint="Choose another folder with --out DIR.")
            for part in (WINDOWS, LEDGER, LOGS):
                (path / part).mkdir(parents=True)
            _link(start.parent / "latest", start.name)
        return cls(path)

    def write_document(self, document: RunDocument) -> None:
        """Replace ``run.json`` as a whole.

        Raises:
            EnvironmentFailure: the disk is full, or the folder is gone or not writable.
        """
        replace_file(self.path / DOCUMENT, document.model_dump_json(indent=1).encode() + b"\n")

    def keep_inputs(self, files: Iterable[Path]) -> None:
        """Copy the files that the scenario reads, so that the run can be checked without them. Raises as above."""
        for file in files:
            with writing(self.path / INPUTS / file.name):
                (self.path / INPUTS).mkdir(exist_ok=True)
                shutil.copyfile(file, self.path / INPUTS / file.name)

    def append_event(self, event: dict[str, Any]) -> None:
        """Add one line to ``events.jsonl`` as a whole. Raises like ``write_document``."""
        line = json.dumps(event, allow_nan=False, ensure_ascii=False).encode() + b"\n"
        path = self.path / EVENTS
        with self._lock, writing(path):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(file).st_size
            try:
                while line:
                    line = line[os.write(file, line) :]
            except OSError:
                os.ftruncate(file, size)  # half a line on a full disk would spoil those that follow
                raise
            finally:
                os.close(file)

    def write_whereabouts(self, found: Iterable[Found]) -> None:
        """Keep where missing messages were found. Raises like ``write_document``."""
        lines = "".join(f"{one.model_dump_json()}\n" for one in found)
        replace_file(self.path / WHEREABOUTS, lines.encode())

    def add_windows(self, rows: Iterable[WindowRow]) -> None:
        """Keep what clients did; a part is written every 5 s. Raises like ``write_document``."""
        with self._lock:
            self._windows.add(rows)

    def merge_windows(self) -> None:
        """Write what is held back and put all parts into one file. Raises like ``write_document``."""
        with self._lock:
            self._windows.merge()

    def compact_ledger(self) -> None:
        """Compress the records once every engine has ended; nothing of them is lost. Raises like ``write_document``."""
        records.compact(self.ledger)

    def close(self) -> None:
        """Write what is held back; idempotent. Raises like ``write_document``."""
        with self._lock:
            self._windows.flush()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _name(text: str) -> str:
    """``text`` as one folder name; what file systems or shells trip over becomes ``-``."""
    name = re.sub(r"[^A-Za-z0-9._=,@+-]", "-", text).lstrip(".")
    if not name:
        raise UsageError(f"{text!r} cannot name a folder: use letters, digits, '-', '_' or '.'")
    return name


def _link(link: Path, target: str) -> None:
    """Point ``link`` to its sibling ``target`` in one step; a real file or folder of that name is left alone."""
    if link.exists() and not link.is_symlink():
        return
    temporary = link.with_name(f".latest-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target, target_is_directory=True)
    temporary.replace(link)

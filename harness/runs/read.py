"""Reading run folders back: whole ones, interrupted ones, and those whose crep was killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from crep.harness.checks.dead_letters import LETTER, GivenUp
from crep.harness.checks.detection import Sign
from crep.harness.checks.replays import Replayed
from crep.harness.checks.results import Drain, Found
from crep.harness.checks.steady import Second
from crep.harness.checks.tally import ChannelTally
from crep.harness.checks.usage import Sample
from crep.harness.config.errors import UsageError
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import (
    INTACT,
    OUTCOME,
    RECEIVED,
    SENT,
    Records,
    outcomes_file,
    received_file,
    sent_file,
)
from crep.harness.runs.dead_letters import read_dead_letters
from crep.harness.runs.document import SCHEMA, FaultEvent, RunDocument, SitePart
from crep.harness.runs.folder import DOCUMENT, EVENTS, LEDGER, WHEREABOUTS, WINDOWS
from crep.harness.runs.ledger import load_tallies
from crep.harness.runs.provenance import process_started
from crep.harness.runs.records import load_records
from crep.harness.runs.replays import read_replayed
from crep.harness.runs.tallies import saved_service
from crep.harness.runs.windows import read_by_second, read_counters, read_histogram
from crep.harness.scenario.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

State = Literal["complete", "incomplete", "interrupted", "failed", "not-supported", "running"]
"""The document's status, but told apart: ``running`` with its process alive, ``incomplete`` with its process gone."""


class Run:
    """One run folder, read only; files are read when asked for, and a damaged one raises ``UsageError``."""

    def __init__(self, path: Path, document: RunDocument, state: State) -> None:
        self.path, self.document, self.state = path, document, state

    @property
    def t0_ns(self) -> int | None:
        """Intended time of the first measured message; None in a run that never came so far."""
        return self.document.t0_ns

    @property
    def drain(self) -> Drain | None:
        """How the drain ended; None in a run that never came so far."""
        return self.document.drain

    @property
    def failure(self) -> str | None:
        """Why the run was cut short; None when it went to its end (or still does)."""
        if self.state == "incomplete":
            return "crep was killed"
        return self.document.failure

    @property
    def faults(self) -> tuple[FaultEvent, ...]:
        """What the timeline did."""
        return self.document.faults

    @property
    def sites(self) -> dict[str, SitePart]:
        """The brokers, by site."""
        return self.document.sites

    @property
    def labels(self) -> frozenset[str]:
        """Codes of the run's labels."""
        return frozenset(label.code for label in self.document.labels)

    @cached_property
    def signs(self) -> tuple[Sign, ...]:
        """What clients said of their connections, since t0 was known."""
        clients = {client.name: client for client in self.document.clients}
        return tuple(
            Sign(event["at_s"], client.name, client.role, client.channel, str(event.get("what")))
            for event in self.events
            if event.get("event") == "client"
            and event.get("at_s") is not None
            and (client := clients.get(event.get("client", ""))) is not None
        )

    @cached_property
    def whereabouts(self) -> tuple[Found, ...]:
        """Where missing messages were found in the broker's storage; none where nothing was missing."""
        path = self.path / WHEREABOUTS
        if not path.exists():
            return ()
        try:
            return tuple(Found.model_validate_json(line) for line in path.read_text().splitlines())
        except (ValidationError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: a line is damaged: {str(error)[:120]}") from error

    @cached_property
    def replays(self) -> tuple[Replayed, ...]:
        """What came again, by replay.

        Raises:
            UsageError: the file of it is damaged.
        """
        found = []
        for part in self.document.replays:
            records = read_replayed(self.path / LEDGER, part.channel)
            mine = records[(records["number"] == part.number) | (records["number"] == 0)]
            found.append(Replayed(part.channel, part.number, part.from_s, part.until_s, mine, part.trouble))
        return tuple(found)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """What the processes of local brokers used, second by second, since t0 was known."""
        names = {one.name for one in fields(Sample)}
        return tuple(
            Sample(**{name: value for name, value in event.items() if name in names})
            for event in self.events
            if event.get("event") == "system" and event.get("at_s") is not None
        )

    def rejection_reasons(self, channel: str) -> dict[str, int]:
        """How often the publishers of a channel were given which reason for a refusal."""
        reasons: Counter[str] = Counter()
        for event in self.events:
            if event.get("event") == "publisher-done" and event.get("channel") == channel:
                reasons.update(event.get("rejection_reasons", {}))
        return dict(reasons)

    @cached_property
    def events(self) -> tuple[dict[str, Any], ...]:
        """The lines of ``events.jsonl``; a last line that was cut off by a kill is left out."""
        path = self.path / EVENTS
        if not path.exists():
            return ()
        *lines, rest = path.read_text(errors="replace").split("\n")
        del rest  # what follows the last line end was not written to its own end
        try:
            return tuple(json.loads(line) for line in lines)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}: a line is not JSON: {error.doc[:80]!r}") from error

    @cached_property
    def counters(self) -> pd.DataFrame:
        """One row per client and second (``windows.read_counters``)."""
        return read_counters(self.path / WINDOWS)

    def receipts_counted(self, channel: str, reader: str) -> int:
        """Receipts of all kinds that the reader's clients counted in their windows."""
        frame = self.counters
        rows = frame[(frame["channel"] == channel) & (frame["reader"] == reader)]
        return int(
            rows[[kind for kind in ("received", "corrupt", "foreign", "failed") if kind in rows]].to_numpy().sum()
        )

    def by_second(self, channel: str, reader: str) -> dict[int, Second]:
        """What the clients of a reader received, and the latencies of what was intended, by second relative to t0."""
        frame = self.counters
        rows = frame[(frame["channel"] == channel) & (frame["reader"] == reader)]
        received: dict[Any, Any] = rows.groupby("second")["received"].sum().to_dict() if "received" in rows else {}
        latency = read_by_second(self.path / WINDOWS, "latency", channel, reader)
        seconds = sorted({int(second) for second in received} | set(latency))
        return {second: Second(int(received.get(second, 0)), latency.get(second, Histogram())) for second in seconds}

    def histogram(
        self, metric: str, channel: str, reader: str | None = None, seconds: Collection[int] | None = None
    ) -> Histogram:
        """Samples of ``latency``, ``service``, ``acknowledge`` or ``lateness``, merged over clients and seconds.

        ``seconds`` are those of the messages' intended times, relative to t0; None takes every one, warm-up included.
        No client knows both ends of ``service`` (received minus actual send): it comes from the message records, and
        where those were not kept from the ledger, which knows it of the measured phase as a whole only.
        """
        if metric == "service":
            if not self.document.records_kept:
                return self._saved_service(channel, reader)
            return self._service(channel, reader, seconds)
        return read_histogram(self.path / WINDOWS, metric, channel, reader, seconds)

    def _saved_service(self, channel: str, reader: str | None) -> Histogram:
        histogram = Histogram()
        for name in sorted({one.reader for one in self.document.clients if one.channel == channel and one.reader}):
            if reader in (None, name):
                histogram.merge(saved_service(self.path / LEDGER, channel, name))
        return histogram

    def tallies(self, plan: Plan, *, from_records: bool = False) -> dict[str, ChannelTally]:
        """What every message came to, by channel; ``from_records``: of the records alone, which must have been kept.

        Raises:
            UsageError: a file of the ledger is damaged.
        """
        return load_tallies(self.path / LEDGER, plan, self.t0_ns or 0, from_records=from_records)

    def given_up(self, channel: str, reader: str) -> GivenUp | None:
        """What was given up of a reader's messages; None where nothing could be, or it was never read.

        Raises:
            UsageError: the file of its letters is damaged.
        """
        for part in self.document.dead_letters:
            if (part.channel, part.reader) == (channel, reader):
                letters = read_dead_letters(self.path / LEDGER, channel, reader) if part.read else np.empty(0, LETTER)
                return GivenUp(letters, part.complete, part.expired_discarded)
        return None

    def _service(self, channel: str, reader: str | None, seconds: Collection[int] | None) -> Histogram:
        clients = [client for client in self.document.clients if client.channel == channel]
        sends = [(one.publisher, self.sent(one.publisher)) for one in clients if one.publisher is not None]
        histogram = Histogram()
        for client in clients:
            if client.reader is None or client.member is None or reader not in (None, client.reader):
                continue
            receipts = self.receipts(channel, client.reader, client.member)
            receipts = receipts[receipts["fault"] == INTACT]
            for publisher, sent in sends:
                intended_ns, service_ns = _service_times(sent, receipts[receipts["publisher"] == publisher])
                second = (intended_ns - (self.t0_ns or 0)) // 1_000_000_000
                histogram.record(service_ns if seconds is None else service_ns[np.isin(second, list(seconds))])
        return histogram

    def sent(self, publisher: int) -> Records:
        """Every message that the publisher's client library took (layout ``SENT``), where records were kept."""
        return load_records(self.path / LEDGER, sent_file(publisher), SENT)

    def outcomes(self, publisher: int) -> Records:
        """Every outcome that it reported (layout ``OUTCOME``), where records were kept."""
        return load_records(self.path / LEDGER, outcomes_file(publisher), OUTCOME)

    def receipts(self, channel: str, reader: str, member: int) -> Records:
        """Every receipt of one member (layout ``RECEIVED``), where records were kept."""
        return load_records(self.path / LEDGER, received_file(channel, reader, member), RECEIVED)


def _service_times(sent: Records, received: Records) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Intended time and service time (ns) of each receipt of a message of one publisher, whose sends are ascending."""
    received = received[np.isin(received["sequence"], sent["sequence"])]
    of = sent[np.searchsorted(sent["sequence"], received["sequence"])]
    return of["intended_ns"], received["received_ns"] - of["sent_ns"]


def read_run(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        UsageError: there is no run, or its ``run.json`` is cut off, garbled or of another version.
    """
    path = folder / DOCUMENT
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise UsageError(f"{folder} holds no run: {DOCUMENT} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    document = _parse(path, text)
    return Run(folder, document, state_of(document))


def _parse(path: Path, text: str) -> RunDocument:
    hint = "Copy the run folder again, or leave it out."
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: cut off or garbled: {error.msg}", hint=hint) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA:
        raise UsageError(f"{path}: is {version!r}; this crep reads {SCHEMA!r}", hint=hint)
    try:
        return RunDocument.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}", hint=hint) from error


def state_of(document: RunDocument) -> State:
    """What became of a run: its status, where ``running`` is believed only while that very process lives."""
    if document.status != "running":
        return document.status
    started = None if document.pid is None else process_started(document.pid)
    alive = started is not None and started == document.process_started
    return "running" if alive else "incomplete"


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Every run at or below the paths, each once, by path; links are followed only where they are named themselves.

    Raises:
        UsageError: a path does not exist, holds no run, or a run in it is damaged.
    """
    folders: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist", hint="Name a run folder or a folder of runs, such as results/.")
        found = {document.parent for document in path.resolve().rglob(DOCUMENT)}
        if not found:
            raise UsageError(f"{path} holds no run: no {DOCUMENT} in it or below it")
        folders |= found
    return [read_run(folder) for folder in sorted(folders)]

"""A run document and window rows as a small run leaves them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crep.harness.metrics.histogram import Histogram
from crep.harness.runs.document import Harness, Host, RunDocument, ScenarioPart, Status
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.provenance import process_started
from crep.harness.runs.windows import Sparse


@dataclass(frozen=True)
class Row:
    """One client's second."""

    second: int
    client: str
    role: str = "publisher"
    channel: str = "orders"
    reader: str | None = None
    publisher: int | None = 0
    member: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    histograms: Mapping[str, Sparse] = field(default_factory=dict)


def sparse(*values_ns: int) -> Sparse:
    histogram = Histogram()
    histogram.record(np.array(values_ns, np.int64))
    return histogram.sparse()


def document(status: Status = "running") -> RunDocument:
    return RunDocument(
        status=status,
        run_id="7f3a0001",
        campaign="demo",
        binding="kafka-local",
        repetition=1,
        kind="measured",
        started_utc="2026-01-02T03:04:05Z",
        pid=os.getpid(),
        process_started=process_started(os.getpid()),
        scenario=ScenarioPart(
            name="orders", file="orders.yaml", text="…", sha256="0" * 64, params={}, evidences=(), seed=7
        ),
        harness=Harness(version="0", commit=None, modified=None),
        host=Host(system="Linux", kernel="6", cpu="x", cores=2, memory_bytes=1, python="3.11"),
        sites={},
        t0_ns=5_000_000_000,
    )


def new_folder(root: Path, repetition: int = 1) -> RunFolder:
    return RunFolder.create(
        root,
        campaign="demo",
        started_utc="2026-01-02T03:04:05Z",
        scenario="orders",
        binding="kafka-local",
        repetition=repetition,
    )

"""Native replay: the broker's own history is read into an archive of the replay's own, and replayed from there.

So everything that no broker does (an end, a filter, a rate, going on after a kill, a ledger) is done by the same code
for both. Kafka's partitions come by chance among each other: they are brought into the order of their times, each kept
in its own order.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.history import HistorySpec, history
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.archive import Archive, Rolling
from crep.replay.capture import Capture
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.manifest import read_manifest, write_manifest
from crep.replay.segment import arrange_segments, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from crep.replay.selection import Times

_WHOLE = "whole"


@dataclass
class Fetched:
    """How far the reading is; ``capture`` counts."""

    capture: Capture | None = None

    @property
    def stored(self) -> int:
        """Messages read by this run."""
        return 0 if self.capture is None else self.capture.progress.stored


def origin_endpoint(job: Job, reach: Callable[[str], Endpoint]) -> Endpoint:
    """Where a native replay reads.

    Raises:
        UsageError: what is asked does not go with the target's system; with the reason.
    """
    origin, select = job.origin, job.select
    endpoint = reach(str(origin.target))
    if origin.vpn is not None:
        if endpoint.system != "solace":
            raise UsageError(f"'vpn' is Solace's, and target {origin.target!r} is {endpoint.system}")
        endpoint = replace(endpoint, vpn=origin.vpn)
    if endpoint.system == "solace" and job.pace.speed is not None:
        raise UsageError(
            "messages of Solace's replay log carry no time of the broker's, so their timing cannot be kept",
            hint="give a pace such as 2000/s or fastest; an archive (crep replay capture) keeps times",
        )
    if origin.after is not None and select.begin is not None:
        raise UsageError("give either 'after' or 'from', where the replay is to begin")
    if origin.offsets and select.begin is not None:
        raise UsageError("give either 'offsets' or 'from', where the replay is to begin")
    return endpoint


def fetch(job: Job, endpoint: Endpoint, folder: Path, control: Control, seen: Fetched) -> Times | None:
    """Read the history into ``folder``; what an earlier run has read is not read again.

    Returns:
        Which time of its messages counts; None: ``control`` ended it before all was read.

    Raises:
        NotSupported: the broker cannot begin or end there; with the reason.
        EnvironmentFailure: broker or disk fail. Running the replay again goes on.
    """
    times: Times = "broker" if endpoint.system == "kafka" else "none"
    if (folder / _WHOLE).exists():
        return times
    origin, select = job.origin, job.select
    source = {"target": str(origin.target), "place": ",".join(origin.topics), "system": endpoint.system}
    archive = Archive(folder, source, Rolling(after_s=3600.0))
    try:
        reader = history(
            HistorySpec(
                endpoint,
                f"crep-replay-{job.id}",
                origin.topics,
                since_ms=None if select.begin is None else math.floor(select.begin.timestamp() * 1000),
                until_ms=None if select.until is None else math.ceil(select.until.timestamp() * 1000),
                offsets=origin.offsets,
                reached=archive.reached(),
                after=archive.last_position() or origin.after if endpoint.system == "solace" else origin.after,
                topic_header=origin.topic_header,
            )
        )
    except BaseException:
        archive.leave()
        raise
    seen.capture = Capture(reader, archive, ended=reader.ended)
    seen.capture.run(lambda: control.ending)
    if control.ending:
        return None
    if times == "broker":
        _arrange(folder)
    with (folder / _WHOLE).open("w") as mark:
        mark.write(f"{time.time():.3f}\n")
        mark.flush()
        os.fsync(mark.fileno())
    sync_folder(folder)
    return times


def _arrange(folder: Path) -> None:
    """Bring what several partitions gave into the order of its times."""
    manifest = read_manifest(folder)
    if len(manifest.positions) < 2:
        return
    try:
        arranged = arrange_segments(folder, manifest.segments)
    except (duckdb.Error, OSError) as error:
        raise EnvironmentFailure(f"what was read cannot be put in order in {folder}: {error}") from error
    write_manifest(folder, replace(manifest, segments=(arranged,)))
    for segment in manifest.segments:
        (folder / segment.file).unlink()

"""METHOD rule 8, after a run: how near its publishers were to what they can do at all.

Measured once for the same clients and the same engines on the same machine, and only where a client sent so much that
it might matter: it takes three seconds, after the run, so that no run starts later for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.folders import cache_folder
from crep.harness.load.ceiling.measure import BOUND, WORTH_MEASURING_PER_S, Ceiling, ceiling, engine_digest
from crep.harness.load.engines import PublisherTask
from crep.harness.load.stamp import Carrier
from crep.harness.runner.prepare import Site
from crep.harness.runner.record import Record
from crep.harness.runs.read import Run, read_run

Note = Callable[[str], None]


def judge_ceiling(
    record: Record, sites: Sequence[Site], publishers: Sequence[PublisherTask], carrier: Carrier, note: Note
) -> None:
    """Label the run *client-bound* where the publishers of a site sent 70 % or more of their ceiling.

    What was measured is written as an event. A ceiling that cannot be had is told, and is no failure of the run.
    """
    run = read_run(record.folder.path)
    for site in sites:
        mine = [task for task in publishers if task.plan.site == site.name]
        sent_per_s = sent_rate(run, {task.plan.channel for task in mine})
        if not mine or sent_per_s / len(mine) < WORTH_MEASURING_PER_S:
            continue
        note(f"{site.target.name}: how fast its publishers are against a server that does nothing")
        try:
            found = ceiling(mine, carrier, _about(record, site), cache_folder())
        except EnvironmentFailure as error:
            note(f"their ceiling is not known: {error.message}")
            continue
        if found is None:
            continue
        words = {"site": site.name, "clients": found.clients, "per_s": round(found.per_s), "sent_per_s": sent_per_s}
        record.event("ceiling", time.monotonic_ns(), **words)
        if (text := bound(sent_per_s, found)) is not None:
            record.label("client-bound", text)


def _about(record: Record, site: Site) -> dict[str, str]:
    """What else than its settings makes a client fast or slow."""
    host = record.document.host
    return {
        "machine": f"{host.cpu}, {host.cores} cores",
        "python": host.python,
        "numpy": np.__version__,
        "engines": engine_digest(),
        "client": site.facts.client,
    }


def sent_rate(run: Run, channels: set[str]) -> float:
    """Messages per second that the publishers of these channels handed over in the measured phase."""
    frame, measured_s = run.counters, run.document.measured_s
    if "sent" not in frame or not measured_s:
        return 0.0
    rows = frame[
        (frame["role"] == "publisher")
        & frame["channel"].isin(sorted(channels))
        & (frame["second"] >= 0)
        & (frame["second"] < measured_s)
    ]
    return float(rows["sent"].sum()) / measured_s


def bound(sent_per_s: float, found: Ceiling) -> str | None:
    """The label's text where the publishers were at 70 % of their ceiling or above."""
    share = sent_per_s / found.per_s
    if share < BOUND:
        return None
    clients = "client" if found.clients == 1 else f"{found.clients} clients"
    return (
        f"the publishers sent {sent_per_s:,.0f} messages/s, {share:.0%} of the {found.per_s:,.0f} messages/s that the "
        f"same {clients} reached against a server that does nothing: no verdict on the broker's timings"
    )

"""METHOD rule 8, after a run: how near its clients were to what they can do at all, publishing and receiving.

Measured once for the same clients and the same engines on the same machine, and only where a client sent or received so
much that it might matter: it takes three seconds for each side, after the run, so that no run starts later for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.folders import cache_folder
from crep.harness.load.ceiling import publishing, receiving
from crep.harness.load.ceiling.cache import Ceiling, engine_digest
from crep.harness.load.ceiling.measure import BOUND, WORTH_MEASURING_PER_S
from crep.harness.load.ceiling.receiving import Receiver
from crep.harness.load.engines import PublisherTask, SubscriberTask
from crep.harness.load.stamp import Carrier
from crep.harness.runner.prepare import Site
from crep.harness.runner.record import Record
from crep.harness.runs.read import Run, read_run

Note = Callable[[str], None]
Work = Literal["sent", "received"]
"""What clients did, as their windows count it."""


def judge_ceiling(
    record: Record,
    sites: Sequence[Site],
    clients: tuple[Sequence[PublisherTask], Sequence[SubscriberTask]],
    carrier: Carrier,
    note: Note,
) -> None:
    """Label the run *client-bound* where a site's publishers, or its subscribers, did 70 % or more of their ceiling.

    What was measured is written as an event. A ceiling that cannot be had is told, and is no failure of the run.
    """
    run, texts = read_run(record.folder.path), []
    for site in sites:
        publishers = [task for task in clients[0] if task.plan.site == site.name]
        receivers = receivers_of(publishers, clients[1])
        sent_per_s = rate_of(run, "sent", {task.plan.channel for task in publishers})
        received_per_s = rate_of(run, "received", {one.task.spec.channel for one in receivers})
        found: list[tuple[Work, float, Ceiling]] = []
        with _told(note, f"{site.target.name}: the ceiling of its clients is not known"):
            if _worth_measuring(sent_per_s, publishers):
                note(f"{site.target.name}: how fast its publishers are against a server that does nothing")
                ceiling = publishing.ceiling(publishers, carrier, _about(record, site), cache_folder())
                found += [("sent", sent_per_s, ceiling)] if ceiling is not None else []
            if _worth_measuring(received_per_s, receivers):
                note(f"{site.target.name}: how fast its subscribers are where a server only pushes")
                ceiling = receiving.ceiling(receivers, carrier, _about(record, site), cache_folder())
                found += [("received", received_per_s, ceiling)] if ceiling is not None else []
        for work, per_s, ceiling in found:
            words = {"site": site.name, "clients": ceiling.clients, "per_s": round(ceiling.per_s)}
            record.event("ceiling", time.monotonic_ns(), **words, **{f"{work}_per_s": per_s})
            if (text := bound(work, per_s, ceiling)) is not None:
                texts.append(text)
    if texts:
        record.label("client-bound", "; ".join(texts))


@contextmanager
def _told(note: Note, what: str) -> Iterator[None]:
    """Say why something could not be had, and go on."""
    try:
        yield
    except EnvironmentFailure as error:
        note(f"{what}: {error.message}")


def _worth_measuring(per_s: float, clients: Sequence[object]) -> bool:
    return bool(clients) and per_s / len(clients) >= WORTH_MEASURING_PER_S


def receivers_of(publishers: Sequence[PublisherTask], subscribers: Sequence[SubscriberTask]) -> list[Receiver]:
    """The clients that receive what these publish: of an exclusive reader one, since the others only stand by."""
    of_channel = {task.spec.channel: task for task in reversed(publishers)}
    return [
        Receiver(task, of_channel[task.spec.channel])
        for task in subscribers
        if task.spec.channel in of_channel and not (task.spec.reader.share == "exclusive" and task.spec.member)
    ]


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


def rate_of(run: Run, work: Work, channels: set[str]) -> float:
    """Messages per second that the clients of these channels handed over, or received, in the measured phase."""
    frame, measured_s = run.counters, run.document.measured_s
    if work not in frame or not measured_s:
        return 0.0
    rows = frame[
        (frame["role"] == _ROLE[work])
        & frame["channel"].isin(sorted(channels))
        & (frame["second"] >= 0)
        & (frame["second"] < measured_s)
    ]
    return float(rows[work].sum()) / measured_s


def bound(work: Work, per_s: float, found: Ceiling) -> str | None:
    """The label's text where the clients were at 70 % of their ceiling or above."""
    share = per_s / found.per_s
    if share < BOUND:
        return None
    clients = "client" if found.clients == 1 else f"{found.clients} clients"
    return (
        f"the {_WHO[work]} {work} {per_s:,.0f} messages/s, {share:.0%} of the {found.per_s:,.0f} messages/s that the "
        f"same {clients} reached against a server that does nothing: no verdict on the broker's timings"
    )


_WHO: dict[Work, str] = {"sent": "publishers", "received": "subscribers"}
_ROLE: dict[Work, str] = {"sent": "publisher", "received": "subscriber"}

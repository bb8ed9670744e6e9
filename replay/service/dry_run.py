"""What a replay would send, found out in a process of its own: a native replay asks a broker for it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from crep.replay.service.jobs import Document, new_job
from crep.replay.service.models import DryRun, ReplayOrder
from crep.replay.service.problems import Problem, invalid
from crep.replay.service.worker import Places, Worker

MOST = 2
WITHIN_S = 120.0
_MICRO = 1_000_000


class DryRuns:
    """Dry runs, a few at a time."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._room = threading.BoundedSemaphore(MOST)

    def of(self, order: ReplayOrder) -> DryRun:
        """Count, bytes, time span and topics.

        Raises:
            Problem: too many at a time, or it cannot be told.
        """
        if not self._room.acquire(blocking=False):
            raise Problem(
                429,
                "too-many-dry-runs",
                "Too many dry runs at the same time",
                f"{MOST} are under way",
                hint="ask again in a moment",
                headers={"Retry-After": "2"},
            )
        try:
            return _shown(self._ask(order))
        finally:
            self._room.release()

    def _ask(self, order: ReplayOrder) -> Document:
        ends: list[Document] = []
        job = new_job(order.id, "plan", order.model_dump(mode="json", by_alias=True))
        worker = Worker(job, self._places, lambda *_: None, lambda _, end: ends.append(end))
        worker.start()
        worker.join(WITHIN_S)
        if not ends:
            worker.kill()
            raise Problem(503, "environment", "It takes too long", f"nothing was told within {WITHIN_S:.0f} s")
        [end] = ends
        if end["how"] == "completed":
            plan: Document = end["plan"]
            return plan
        if end.get("usage"):
            raise invalid(end["what"], hint=end.get("hint"))
        raise Problem(503, "environment", "A broker or the machine refuses", end["what"], hint=end.get("hint"))


def _shown(plan: Document) -> DryRun:
    return DryRun(
        count=plan["count"],
        bytes=plan["bytes"],
        first=moment(plan["first_us"]),
        last=moment(plan["last_us"]),
        topics=dict(plan["topics"]),
    )


def moment(us: Any) -> datetime | None:
    """Unix microseconds as a time."""
    return None if us is None else datetime.fromtimestamp(us / _MICRO, UTC)

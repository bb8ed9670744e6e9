"""A capture that replays when it is asked to: the process that a run of crep places behind a channel.

``python -m crep.replay.on_demand FOLDER KEEP_S`` captures into ``FOLDER/archive`` and looks for orders,
``FOLDER/orders/N.json`` with N from 1. For each it goes on capturing for `SETTLE_S`, so that what is on its way is on
the disk; closes the archive; sends again what was captured since the order's begin; and captures on: what came
meanwhile waits at the broker. Where it reads and writes is in the environment (``harness.brokers.directions``).

On standard output it says, each in a line of JSON, that it is ready, that it plays order N (``playing-N``), and the
ledger of that replay (``replay-N``). SIGTERM ends it in order.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from crep.harness.brokers.directions import FROM, TO, Directions
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import SourceSpec
from crep.harness.config.errors import CrepError
from crep.replay.archive import Archive, Rolling
from crep.replay.capture import Capture
from crep.replay.control import Control
from crep.replay.job import Job, PaceText
from crep.replay.opening import open_replay, replay_folder

ORDERS, ARCHIVE = "orders", "archive"
SETTLE_S = 1.0
_LOOK_S = 0.05
_ROLL_S = 30.0
_MICRO = 1_000_000


class Order(BaseModel):
    """What is to be sent again: all that was captured at ``from_us`` (Unix microseconds) or later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_us: int = Field(ge=0)
    pace: PaceText


class OnDemand:
    """Capture and replay in turns, until ``stop`` is set."""

    def __init__(self, folder: Path, keep_s: float, source: Directions, sink: Directions) -> None:
        self._folder, self._keep_s, self._source, self._sink = folder, keep_s, source, sink
        self.stop = threading.Event()
        self._ready = False
        self._number = 0  # of the last order that was carried out
        self._looked_s = 0.0

    def run(self) -> None:
        """Until the end. Raises CrepError."""
        while not self.stop.is_set():
            order = self._capture()
            if order is not None:
                self._number += 1
                _say({f"playing-{self._number}": {"from_us": order.from_us}})
                self._replay(order)

    def _capture(self) -> Order | None:
        """Capture until an order comes, and a little longer; None where the end comes first."""
        source = self._source
        name = f"crep-on-demand-{source.group or source.queue}"
        place = source.queue or source.topic or ""
        spec = SourceSpec(
            source.endpoint,
            name,
            (place,),
            source.group,
            {"group.instance.id": name} if source.group else {},  # so that it comes back to its partitions at once
            topic_header=source.topic_header,
            topic_prefix=source.topic_prefix or "",
        )
        described = {"target": source.endpoint.target, "place": place, "system": source.endpoint.system}
        rolling = Rolling(after_s=_ROLL_S, keep_s=self._keep_s)
        archive = Archive(self._folder / ARCHIVE, described, rolling, _print)
        capture = Capture(adapter(source.endpoint.system).source(spec), archive)
        found: list[Order] = []
        settled_s = 0.0

        def stopping() -> bool:  # asked for the first time when the source is open
            nonlocal settled_s
            if not self._ready:
                self._ready = True
                _say({"ready": True})
            if self.stop.is_set():
                return True
            if found:
                return time.monotonic() >= settled_s
            order = self._next_order()
            if order is not None:
                found.append(order)
                settled_s = time.monotonic() + SETTLE_S
            return False

        capture.run(stopping)
        return found[0] if found and not self.stop.is_set() else None

    def _next_order(self) -> Order | None:
        now = time.monotonic()
        if now - self._looked_s < _LOOK_S:
            return None
        self._looked_s = now
        try:
            written = (self._folder / ORDERS / f"{self._number + 1}.json").read_bytes()
        except FileNotFoundError:
            return None
        return Order.model_validate_json(written)

    def _replay(self, order: Order) -> None:
        sink, begin = self._sink, datetime.fromtimestamp(order.from_us / _MICRO, UTC)
        to = {"target": TO, "topic": sink.topic, "topic_header": sink.topic_header}
        prefix = sink.topic_prefix or ""
        job = Job.model_validate(
            {
                "id": f"order-{self._number}",
                "from": {"archive": str(self._folder / ARCHIVE)},
                "to": {name: value for name, value in to.items() if value is not None},
                "select": {"from": begin},
                "remap": [{"topic": ">", "to": f"{prefix}{{topic}}"}] if prefix else [],
                "pace": order.pace,
            }
        )
        with open_replay(job, lambda _: sink.endpoint, replay_folder(self._folder, job.id)) as replay:
            ledger = replay.run(Control(self.stop.is_set))
        _say({f"replay-{self._number}": ledger.document()})


def _say(what: dict[str, Any]) -> None:
    _print(json.dumps(what))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The process."""
    folder, keep_s = Path(sys.argv[1]), float(sys.argv[2])
    try:
        service = OnDemand(folder, keep_s, Directions.read(FROM, os.environ), Directions.read(TO, os.environ))

        def end(_number: int, _frame: FrameType | None) -> None:
            service.stop.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        service.run()
    except CrepError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The process of one job: ``python -m crep.replay.service.work``.

It reads what to do as one line of JSON from standard input, then orders; it tells its progress and its end on standard
output. When the service is gone (standard input ends) it stops in order, as if told so.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import orjson

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import CrepError
from crep.harness.config.targets import find_target, load_targets
from crep.harness.deployment.reach import endpoint_of
from crep.replay.capturing import open_capture
from crep.replay.control import Control
from crep.replay.job import Job as Replay
from crep.replay.opening import open_replay, replay_folder
from crep.replay.pacing import Pace
from crep.replay.service.jobs import Document
from crep.replay.service.models import CaptureOrder, ReplayOrder

TELL_EVERY_S = 0.4
_RATE_OVER_S = 5.0
_FAILED = 1


class _Told:
    """Lines to the service. What client libraries print to standard output goes to standard error from here on."""

    def __init__(self) -> None:
        self._stream: IO[bytes] = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._mutex = threading.Lock()

    def write(self, **said: Any) -> None:
        """One line."""
        with self._mutex:
            self._stream.write(orjson.dumps(said) + b"\n")
            self._stream.flush()

    @contextmanager
    def now_and_then(self, progress: Callable[[], Document]) -> Iterator[None]:
        """In its body, progress is told by a thread."""
        over = threading.Event()

        def tell() -> None:
            while not over.wait(TELL_EVERY_S):
                self.write(event="progress", progress=progress())

        self.write(event="progress", progress=progress())
        teller = threading.Thread(target=tell, name="progress")
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()


class _Rate:
    """How fast a counter rose, over the latest seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, count: int) -> float:
        """Per second."""
        now = time.monotonic()
        self._seen.append((now, count))
        while now - self._seen[0][0] > _RATE_OVER_S:
            self._seen.popleft()
        began_s, began = self._seen[0]
        return (count - began) / (now - began_s) if now > began_s else 0.0


class Work:
    """One job.

    Args:
        given: the first line: ``id``, ``kind``, ``spec``, ``progress`` so far, and the folders.
        told: takes progress and end.
    """

    def __init__(self, given: Document, told: _Told) -> None:
        self._given, self._told = given, told
        self._root = Path(given["archives"])
        self._targets = load_targets(None if given["targets"] is None else Path(given["targets"]))
        self._control = Control()
        self._stopping = threading.Event()

    def obey(self, orders: IO[bytes]) -> None:
        """Carry out orders until there will be none any more; on a daemon thread of its own."""
        for line in orders:
            order: Document = orjson.loads(line)
            if order["do"] == "pace":
                self._control.set_pace(Pace.parse(order["pace"]))
            elif order["do"] == "cancel":
                self._control.cancel()
                self._stopping.set()
            else:
                self._stop()
        self._stop()

    def _stop(self) -> None:
        self._control.stop()
        self._stopping.set()

    def run(self) -> Document:
        """Do it; returns how it ended.

        Raises:
            CrepError: it cannot be done.
        """
        return {"capture": self._capture, "replay": self._replay, "plan": self._plan}[self._given["kind"]]()

    def _reach(self, name: str) -> Endpoint:
        return endpoint_of(find_target(name, self._targets))

    def _order(self) -> Replay:
        """The replay, with the archive's folder instead of its name."""
        order = ReplayOrder.model_validate(self._given["spec"])
        if order.origin.archive is None:
            return order
        origin = order.origin.model_copy(update={"archive": str(self._root / order.origin.archive)})
        fields = order.model_copy(update={"origin": origin}).model_dump(by_alias=True, exclude={"kind"})
        return Replay.model_validate(fields)

    def _replay(self) -> Document:
        job = self._order()
        with open_replay(job, self._reach, replay_folder(self._root, job.id)) as replay:

            def progress() -> Document:
                found = asdict(replay.progress())
                del found["state"]
                return {**found, "rate_per_s": found.pop("rate")}

            with self._told.now_and_then(progress):
                ledger = replay.run(self._control)
            document = ledger.document()
            end = {"progress": progress(), "ledger": document}
            if replay.progress().state != "done":
                return {"how": "stopped", **end}
            if not ledger.exact:
                what = f"the ledger does not add up: {orjson.dumps(document).decode()}"
                return {"how": "failed", "what": what, "hint": "look into the log of the job", **end}
        return {"how": "completed", **end}

    def _capture(self) -> Document:
        order = CaptureOrder.model_validate(self._given["spec"])
        since: int | None = self._given["progress"].get("since")
        folder = self._root / order.archive
        capture, archive = open_capture(
            order.origin, order, self._reach, folder, since=since, rolling=order.rolling(), say=_say
        )
        since = archive.next_sequence if since is None else since
        before, rate = archive.next_sequence - since, _Rate()

        def progress() -> Document:
            counts = asdict(capture.progress)
            stored = before + counts.pop("stored")
            return {"since": since, "stored": stored, **counts, "rate_per_s": rate.at(stored)}

        if order.limit is not None and before >= order.limit:
            archive.close()
            return {"how": "completed", "progress": progress()}
        with self._told.now_and_then(progress):
            counts = capture.run(self._stopping.is_set)
        end = {"progress": progress(), "ledger": asdict(counts)}
        if counts.received != counts.stored + counts.doubled:
            return {"how": "failed", "what": f"the ledger does not add up: {counts}", **end}
        return {"how": "stopped" if self._stopping.is_set() else "completed", **end}

    def _plan(self) -> Document:
        with tempfile.TemporaryDirectory() as folder, open_replay(self._order(), self._reach, Path(folder)) as replay:
            return {"how": "completed", "plan": asdict(replay.plan())}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> int:
    """Work, and tell how it ended. What cannot be foreseen ends with a traceback in the log of the job."""
    told = _Told()
    orders = os.fdopen(0, "rb", buffering=0, closefd=False)  # a thread that waits in a buffered one would bar the exit
    try:
        work = Work(orjson.loads(orders.readline()), told)
        threading.Thread(target=work.obey, args=(orders,), name="orders", daemon=True).start()
        end = work.run()
    except CrepError as error:
        told.write(event="end", how="failed", what=error.message, hint=error.hint, usage=error.exit_code == 2)
        return _FAILED
    told.write(event="end", **end)
    return 0


if __name__ == "__main__":
    sys.exit(main())

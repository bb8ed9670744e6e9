"""Captures and replays that are killed with SIGKILL at random moments: what must hold, for tests and soak alike."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crep.harness import processes
from crep.harness.brokers.contract import Endpoint
from crep.replay.archive import verify_archive
from crep.replay.checkpoint import Recorded, read_checkpoint
from crep.replay.job import Job
from tests.replay.live import IDLE, Place, capture, fill, numbers_by_key, stored

KILLS = 3
WINDOW = 400
_ROLL = 100_000  # bytes: many segments, so that kills meet every step of rolling and merging
_WITHIN_S = 150.0
Figures = dict[str, float]


class Child:
    """One process of ``tests.replay.child``."""

    def __init__(self, order: dict[str, Any], endpoint: Endpoint) -> None:
        self._process = processes.spawn(
            [sys.executable, "-m", "tests.replay.child"],
            stdin=processes.PIPE,
            stdout=processes.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**order, "endpoint": asdict(endpoint)}).encode() + b"\n")
        self._process.stdin.close()
        self.count = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            if line.strip().isdigit():
                self.count = int(line)

    def kill_at(self, count: int, deadline: float) -> bool:
        """SIGKILL it when it tells this count; False: it ended before."""
        while self.count < count:
            if self._process.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"{self.count} of {count}"
            time.sleep(0.001)
        self._process.kill()
        self._process.wait(10)
        return True

    def wait(self, deadline: float) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(max(1.0, deadline - time.monotonic()))

    def end(self) -> None:
        """Leave nothing behind."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        self._process.release()
        self._thread.join(5)


@contextmanager
def child(order: dict[str, Any], endpoint: Endpoint) -> Iterator[Child]:
    """One that is ended whatever happens."""
    running = Child(order, endpoint)
    try:
        yield running
    finally:
        running.end()


@dataclass(frozen=True)
class Outcome:
    """What broke the promise, and what was seen."""

    faults: tuple[str, ...]
    figures: Figures


def killed_capture(seed: int, here: Place, folder: Path, count: int, kills: int = KILLS) -> Outcome:
    """Capture ``count`` messages, killed some times on the way, and look what the archive holds."""
    dice, deadline, done = random.Random(seed), time.monotonic() + _WITHIN_S, 0
    fill(here, range(count))
    origin = here.origin().model_dump(mode="json")
    order = {"do": "capture", "origin": origin, "folder": str(folder), "roll": _ROLL, "limits": {"idle": IDLE}}
    for _ in range(kills):
        with child(order, here.endpoint) as running:
            done += running.kill_at(dice.randint(1, max(1, count // kills)), deadline)
    found = stored(folder)
    if len(found) < count:
        capture(here, folder, count - len(found))
    found = capture(here, folder, idle="1 s")  # what was not accepted comes again, and is known
    numbers = Counter(int(str(one.message.properties["n"])) for one in found)
    faults = _wrong(
        {
            "no message is missing": set(numbers) == set(range(count)),
            "none is in the archive twice": max(numbers.values(), default=0) <= 1,
            "each key is in order": all(one == sorted(one) for one in numbers_by_key(found).values()),
            "sequences have no hole": [one.sequence for one in found] == list(range(len(found))),
            "every check sum is right": not verify_archive(folder),
        }
    )
    return Outcome(faults, {"kills": done, "captured": len(found)})


def killed_replay(seed: int, archive: Path, there: Place, folder: Path, *, kills: int = KILLS) -> Outcome:
    """Replay an archive of orders, killed some times on the way, and look what has arrived."""
    dice, deadline = random.Random(seed), time.monotonic() + _WITHIN_S
    before = stored(archive)
    job = Job.model_validate(
        {
            "id": f"killed-{seed}",
            "from": {"archive": str(archive)},
            "to": {"target": "there"},
            "remap": [{"topic": ">", "to": there.topic}, {"topic": "*", "to": there.topic}],
            "pace": "fastest",
            "window": WINDOW,
        }
    )
    order = {"do": "replay", "job": json.loads(job.model_dump_json(by_alias=True)), "folder": str(folder / "state")}
    done = 0
    for _ in range(kills):
        with child(order, there.endpoint) as running:
            done += running.kill_at(dice.randint(1, max(1, len(before) // kills)), deadline)
    with child(order, there.endpoint) as running:
        ended = running.wait(deadline)
    books = read_checkpoint(folder / "state")
    capture(there, folder / "arrived", len(before))
    found = capture(there, folder / "arrived", idle="1 s")  # what came twice
    numbers = Counter(int(str(one.message.properties["n"])) for one in found)
    doubled = sum(numbers.values()) - len(numbers)
    figures = {"kills": done, "arrived twice": doubled, "may have": 0 if books is None else books.maybe_doubled}
    expected = {int(str(one.message.properties["n"])) for one in before}
    return Outcome(
        _wrong(
            {
                "the last run ends well": ended == 0,
                "no message is missing": set(numbers) == expected,
                "each key's first copies are in order": numbers_by_key(found) == numbers_by_key(before),
                "the ledger is exact": books is not None and _exact(books, len(before)),
                "no more came twice than the ledger says": books is not None and doubled <= books.maybe_doubled,
                "a kill doubles no more than the window": books is not None and books.maybe_doubled <= WINDOW * done,
            }
        ),
        figures,
    )


def _exact(books: Recorded, count: int) -> bool:
    return books.state == "done" and books.selected == books.acknowledged == count and books.rejected == 0


def _wrong(conditions: dict[str, bool]) -> tuple[str, ...]:
    return tuple(f"does not hold: {name}" for name, holds in conditions.items() if not holds)

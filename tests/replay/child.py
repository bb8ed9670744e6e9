"""A capture or a replay as a process of its own, that can be killed: ``python -m tests.replay.child``, its order on
standard input, its progress on standard output as numbers, one a line."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crep.harness.brokers.contract import Endpoint
from crep.replay.archive import Rolling
from crep.replay.capturing import CaptureLimits, CaptureOrigin, open_capture
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.opening import open_replay

_TELL_S = 0.01


def _telling(count: Callable[[], int]) -> None:
    def tell() -> None:
        while True:
            sys.stdout.write(f"{count()}\n")
            sys.stdout.flush()
            over.wait(_TELL_S)

    over = threading.Event()
    threading.Thread(target=tell, daemon=True).start()


def capture(order: dict[str, Any], endpoint: Endpoint) -> None:
    """Capture until nothing came for a while."""
    limits = CaptureLimits.model_validate(order["limits"])
    running, _ = open_capture(
        CaptureOrigin.model_validate(order["origin"]),
        limits,
        lambda _: endpoint,
        Path(order["folder"]),
        rolling=Rolling(after_bytes=order["roll"], after_s=1.0),
    )
    _telling(lambda: running.progress.stored)
    running.run(lambda: False)


def replay(order: dict[str, Any], endpoint: Endpoint) -> None:
    """Replay to the end."""
    with open_replay(Job.model_validate(order["job"]), lambda _: endpoint, Path(order["folder"])) as running:
        _telling(lambda: running.progress().sent)
        running.run(Control())


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    {"capture": capture, "replay": replay}[given["do"]](given, Endpoint(**given["endpoint"]))

"""What the parent tells a running child, as flags that the engine looks at between two passes."""

from __future__ import annotations

import json
import os
import threading
from typing import IO

ORPHANED = 4
"""Exit code of a child whose parent is gone."""


class Orders:
    """Filled by ``listen`` from standard input. ``t0_ns`` is valid once ``go`` is set."""

    def __init__(self) -> None:
        self.go, self.stop, self.finish = threading.Event(), threading.Event(), threading.Event()
        self.paused = threading.Event()
        self.t0_ns = 0
        self.processing_ns: int | None = None  # instead of the task's

    def listen(self, lines: IO[bytes]) -> None:
        """Read orders until the end of the file, which ends the process at once: nobody is left to report to."""
        for line in lines:
            order = json.loads(line)
            if "go" in order:
                self.t0_ns = order["go"]
                self.go.set()
            if "stop" in order:
                self.stop.set()
            if "pause" in order:
                self.paused.set()
            if "resume" in order:
                self.paused.clear()
            if "slow" in order:
                self.processing_ns = order["slow"] if order["slow"] >= 0 else None
            if "finish" in order:
                self.finish.set()
        os._exit(ORPHANED)

"""A circuit breaker: after failures in a row nothing is tried for a while, then one attempt decides.

closed ──failures──► open ──pause──► half-open ──success──► closed, ──failure──► open
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Thread-safe."""

    def __init__(self, failures: int, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._pause_s, self._clock = failures, pause_s, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_s: float | None = None
        self._trying = False
        self.opened = 0

    @property
    def state(self) -> State:
        """What the next attempt would meet."""
        with self._lock:
            return self._state()

    def _state(self) -> State:
        if self._opened_s is None:
            return "closed"
        return "half-open" if self._clock() - self._opened_s >= self._pause_s else "open"

    def allows(self) -> bool:
        """Whether an attempt may be made now; half-open, one at a time may."""
        with self._lock:
            state = self._state()
            if state == "half-open" and not self._trying:
                self._trying = True
                return True
            return state == "closed"

    def succeeded(self) -> None:
        """An attempt came through."""
        with self._lock:
            self._failures, self._opened_s, self._trying = 0, None, False

    def failed(self) -> None:
        """An attempt did not."""
        with self._lock:
            self._failures += 1
            if self._trying or self._failures >= self._limit:
                if self._opened_s is None or self._trying:
                    self.opened += 1
                self._opened_s, self._trying = self._clock(), False

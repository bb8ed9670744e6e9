"""Answers that are remembered for a while, so that a slow source is asked once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from crep.enrichment.lookups import Row

MOST = 100_000
"""Values remembered at most; the least recently asked for go first."""


class Cache:
    """Thread-safe; also remembers that there is nothing. ``ask`` runs without the lock."""

    def __init__(self, keep_s: float, ask: Callable[[Any], Row | None], clock: Callable[[], float] = time.monotonic):
        self._keep_s, self._ask, self._clock = keep_s, ask, clock
        self._known: OrderedDict[Any, tuple[float, Row | None]] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0

    def get(self, value: Any) -> Row | None:
        """The remembered answer, or a new one."""
        now = self._clock()
        with self._lock:
            found = self._known.get(value)
            if found is not None and now - found[0] < self._keep_s:
                self._known.move_to_end(value)
                self.hits += 1
                return found[1]
            self.misses += 1
        row = self._ask(value)
        with self._lock:
            self._known[value] = self._clock(), row
            self._known.move_to_end(value)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return row

    def __len__(self) -> int:
        """Values remembered."""
        return len(self._known)

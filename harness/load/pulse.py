"""What an engine does beside its messages, a few times a second: report, forward client events, hand on records."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from crep.harness.brokers.contract import ClientEvent
from crep.harness.load.background import HistoryWriter
from crep.harness.load.meter import SECOND_NS, Measured, Meter
from crep.harness.load.protocol import window_to_json

BEAT_NS = 100_000_000
FINAL_WRITE_S = 20.0
_SOONER_NS = 500_000_000  # that nothing happened is said twice a second: the drain waits for this word

Line = dict[str, Any] | Callable[[], dict[str, Any]]
"""What is said to the parent, or how to put it into words: that is then done behind the engine's back."""
Tell = Callable[[Line], None]
"""Says one line to the parent; never waits. The caller changes nothing of it afterwards."""


class Pulse:
    """Call ``beat`` in every pass of the engine's loop; it acts at most every 100 ms, and reports once a second.

    A loop that cannot spare the time of a whole beat (half a millisecond) calls ``step`` instead.

    Args:
        meter: what is reported.
        history: what is flushed.
        tell: where it is reported.
        events: the client's connection events since the last call.
        before: called at each beat, before all else.
        until: from the time of a beat to that until which all that the client did has been appended by then.
    """

    def __init__(
        self,
        meter: Meter,
        history: HistoryWriter,
        tell: Tell,
        events: Callable[[], list[ClientEvent]],
        before: Callable[[int], None] = lambda now_ns: None,
        until: Callable[[int], int] = lambda now_ns: now_ns,
    ) -> None:
        self._meter, self._history, self._tell, self._events, self._before = meter, history, tell, events, before
        self._until = until
        self._next_ns = self._report_ns = time.monotonic_ns()
        self._left: deque[Callable[[], None]] = deque()
        self._cpu_ns = time.process_time_ns()

    @property
    def due_ns(self) -> int:
        """When the next beat is to come; one that waits for a gap in the schedule may come a little later."""
        return self._next_ns

    def beat(self, now_ns: int) -> None:
        """Act if it is time.

        Raises:
            EnvironmentFailure: the records cannot be written.
        """
        while self.step(now_ns):
            pass

    def step(self, now_ns: int) -> bool:
        """Do one part of a beat if it is time; False when there was nothing to do. Raises as ``beat``."""
        if not self._left:
            if now_ns < self._next_ns:
                return False
            self._begin(now_ns)
        self._left.popleft()()
        return True

    def _begin(self, now_ns: int) -> None:
        self._next_ns = now_ns + BEAT_NS
        self._left.append(partial(self._before, now_ns))
        self._left.append(self._history.flush)
        self._left.append(partial(self._mark, now_ns))
        if now_ns >= self._report_ns - (_SOONER_NS if self._meter.empty else 0):
            self._report_ns = now_ns + SECOND_NS
            self._left.append(partial(self._report, now_ns))

    def _mark(self, now_ns: int) -> None:
        self._history.mark(self._until(now_ns))
        self._forward_events()

    def last(self) -> None:
        """The end: everything that is left, and the records are on their way to the disk when this returns."""
        now_ns = time.monotonic_ns()
        self._before(now_ns)
        self._forward_events()
        self._report(now_ns)
        self._history.close(FINAL_WRITE_S)

    def _forward_events(self) -> None:
        for event in self._events():
            self._tell({"note": {"at_ns": event.at_ns, "kind": event.kind, "text": event.text}})

    def _report(self, now_ns: int) -> None:
        used_ns = time.process_time_ns()
        self._meter.add("cpu_ns", now_ns, used_ns - self._cpu_ns)
        self._cpu_ns = used_ns
        told_s = self._meter.since_t0_s(self._until(now_ns))
        for second, measured in self._meter.take().items():
            self._tell(partial(_window, second, measured, told_s))


def _window(second: int, measured: Measured, told_s: float) -> dict[str, Any]:
    return {"window": window_to_json(second, dict(measured.counters), dict(measured.histograms), told_s)}

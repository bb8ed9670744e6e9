from __future__ import annotations

import time

from crep.harness.faults.pause_reader import PauseReader
from crep.harness.faults.timeline import Injection, Scheduled, Timeline


class TwoMembers:
    """Members that take a moment to obey."""

    def __init__(self) -> None:
        self.told_ns = 0
        self.standing = False

    def pause(self) -> int:
        self.told_ns, self.standing = time.monotonic_ns(), True
        return self.told_ns

    def resume(self) -> None:
        self.told_ns, self.standing = time.monotonic_ns(), False

    def _obeyed(self) -> bool:
        return time.monotonic_ns() - self.told_ns > 50_000_000

    def paused(self) -> bool:
        return self.standing and self._obeyed()

    def reading(self) -> bool:
        return not self.standing and self._obeyed()


def test_a_pause_is_confirmed_by_its_members_and_ends_by_itself() -> None:
    fault = PauseReader(TwoMembers(), resume_after_s=0.3)
    event = Scheduled(Injection(0, "pause-reader", "bus", "orders.billing", 0.05), fault)
    timeline = Timeline([event], lambda _: None)
    timeline.start(time.monotonic_ns())
    assert event.done.wait(10)
    [done] = timeline.injections()
    assert (done.step, done.error) == ("healed", None)
    times = (done.injected_ns, done.confirmed_ns, done.heal_started_ns, done.healed_ns)
    assert None not in times
    assert list(times) == sorted(t for t in times if t is not None)

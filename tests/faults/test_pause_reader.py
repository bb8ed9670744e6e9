from __future__ import annotations

import time
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

from crep.harness.faults.contract import Stage
from crep.harness.faults.pause_reader import PauseReader
from crep.harness.faults.timeline import Scheduled, Timeline
from crep.harness.scenario.plan import TimelineEvent


class TwoMembers:
    """Members that take a moment to obey."""

    def __init__(self) -> None:
        self.told_ns = 0
        self.stands = False
        self.told: list[tuple[str, tuple[str, ...]]] = []

    def pause(self, channel: str, readers: Collection[str]) -> int:
        self.told.append((channel, tuple(readers)))
        self.told_ns, self.stands = time.monotonic_ns(), True
        return self.told_ns

    def resume(self, channel: str, readers: Collection[str]) -> None:
        self.told.append((channel, tuple(readers)))
        self.told_ns, self.stands = time.monotonic_ns(), False

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        obeyed = time.monotonic_ns() - self.told_ns > 50_000_000
        return [self.stands if obeyed else not self.stands] * 2


def test_a_pause_is_confirmed_by_its_members_and_ends_by_itself() -> None:
    members = TwoMembers()
    event = TimelineEvent(0, 0.05, "pause-reader", "bus", None, "orders", ("screen-1", "screen-2"), heal_after_s=0.3)
    nothing = cast(Any, SimpleNamespace())
    scheduled = Scheduled.of(
        event, PauseReader(Stage(event, nothing, nothing, nothing, nothing, cast(Any, members), seed=1))
    )
    timeline = Timeline([scheduled], lambda _: None)
    timeline.start(time.monotonic_ns())
    assert scheduled.done.wait(10)
    [done] = timeline.injections()
    assert (done.step, done.error, done.subject) == ("healed", None, "orders.screen-1 and orders.screen-2")
    times = (done.injected_ns, done.confirmed_ns, done.heal_started_ns, done.healed_ns)
    assert None not in times
    assert list(times) == sorted(t for t in times if t is not None)
    assert members.told == [("orders", ("screen-1", "screen-2"))] * 2

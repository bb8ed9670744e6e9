from __future__ import annotations

import threading
import time

from crep.harness.deployment.contract import DeploymentError
from crep.harness.faults.contract import Fault
from crep.harness.faults.timeline import Injection, Scheduled, Timeline


class SwitchOff(Fault):
    """A fault on a thing that is on or off; ``refuse`` makes one step fail."""

    def __init__(self, heal_after_s: float | None = 0.1, refuse: str = "") -> None:
        self.heal_after_s = heal_after_s
        self.on = True
        self.acts: list[tuple[str, int]] = []
        self._refuse = refuse

    @property
    def subject(self) -> str:
        return "node-1"

    def inject(self) -> int:
        self._act("inject")
        self.on = False
        return self.acts[-1][1]

    def confirmed(self) -> bool:
        return not self.on

    def heal(self) -> None:
        self._act("heal")
        self.on = True

    def healed(self) -> bool:
        return self.on

    def _act(self, name: str) -> None:
        if self._refuse == name:
            raise DeploymentError(f"{name} refused")
        self.acts.append((name, time.monotonic_ns()))


def scheduled(fault: SwitchOff, at_s: float, index: int = 0) -> Scheduled:
    return Scheduled(Injection(index, "switch-off", "bus", "node-1", at_s), fault)


def run(events: list[Scheduled], within_s: float = 5.0) -> tuple[Injection, ...]:
    timeline = Timeline(events, lambda _injection: None)
    timeline.start(time.monotonic_ns())
    deadline = time.monotonic() + within_s
    while not timeline.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    assert timeline.finished
    timeline.cancel(1.0)
    return timeline.injections()


def test_every_step_is_stamped_in_order_and_at_its_declared_time() -> None:
    t0 = time.monotonic_ns()
    [done] = run([scheduled(SwitchOff(heal_after_s=0.2), at_s=0.1)])
    assert done.step == "healed"
    assert done.injected_ns is not None
    assert done.confirmed_ns is not None
    assert done.heal_started_ns is not None
    assert done.healed_ns is not None
    assert t0 + 100_000_000 <= done.injected_ns <= done.confirmed_ns <= done.heal_started_ns <= done.healed_ns
    assert done.heal_started_ns - done.injected_ns >= 200_000_000


def test_a_slow_fault_does_not_delay_the_next() -> None:
    slow, quick = SwitchOff(heal_after_s=1.0), SwitchOff(heal_after_s=0.0)
    run([scheduled(slow, 0.0), scheduled(quick, 0.1, index=1)])
    assert quick.acts[0][1] < slow.acts[1][1]


def test_a_fault_that_cannot_be_injected_is_recorded_with_its_reason() -> None:
    [done] = run([scheduled(SwitchOff(refuse="inject"), 0.0)])
    assert (done.step, done.error) == ("failed", "inject refused")
    assert done.injected_ns is None


def test_a_fault_that_cannot_be_healed_is_recorded_with_its_reason() -> None:
    [done] = run([scheduled(SwitchOff(heal_after_s=0.0, refuse="heal"), 0.0)])
    assert (done.step, done.error) == ("failed", "heal refused")
    assert done.injected_ns is not None


def test_a_fault_that_shows_no_effect_is_not_confirmed() -> None:
    class NoEffect(SwitchOff):
        def confirmed(self) -> bool:
            return False

    [done] = run([scheduled(NoEffect(heal_after_s=0.1), 0.0)])
    assert done.confirmed_ns is None
    assert done.step == "healed"


def test_cancelling_heals_at_once_what_is_injected_and_injects_nothing_more() -> None:
    injected, later = SwitchOff(heal_after_s=60.0), SwitchOff()
    seen = threading.Event()
    timeline = Timeline(
        [scheduled(injected, 0.0), scheduled(later, 60.0, index=1)], lambda i: seen.set() if i.confirmed_ns else None
    )
    timeline.start(time.monotonic_ns())
    assert seen.wait(5.0)
    timeline.cancel(5.0)
    assert timeline.finished
    assert injected.on
    assert later.acts == []


def test_what_is_injected_is_healed_even_where_it_cannot_be_written_down() -> None:
    def full_disk(injection: Injection) -> None:
        if injection.step == "injected":
            raise DeploymentError("no space left")

    fault = SwitchOff(heal_after_s=60.0)
    timeline = Timeline([scheduled(fault, 0.0)], full_disk)
    timeline.start(time.monotonic_ns())
    timeline.cancel(5.0)
    assert timeline.finished
    assert fault.on
    [done] = timeline.injections()
    assert (done.step, done.error) == ("failed", "no space left")


def test_a_fault_that_lasts_is_healed_when_the_run_ends() -> None:
    fault = SwitchOff(heal_after_s=None)
    [done] = run([scheduled(fault, 0.0)])
    assert [act for act, _ in fault.acts] == ["inject", "heal"]
    assert done.step == "healed"

"""Faults on their own, without a run: a stage around a live deployment, and a timeline that carries one event out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from crep.harness.brokers.contract import Provisioned
from crep.harness.brokers.registry import adapter
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment
from crep.harness.faults.contract import Stage
from crep.harness.faults.registry import make_fault
from crep.harness.faults.timeline import Guard, Injection, Scheduled, Timeline
from crep.harness.scenario.actions.base import Json
from crep.harness.scenario.plan import TimelineEvent


def stage(
    deployment: Deployment,
    action: str,
    *,
    node: str | None = None,
    heal_after_s: float | None = 0.0,
    parameters: Mapping[str, Json] | None = None,
    target: Target | None = None,
) -> Stage:
    """An event at time 0 on a deployment that runs, nothing provisioned on it."""
    event = TimelineEvent(
        0, 0.0, action, "bus", node=node, heal_after_s=heal_after_s, parameters=dict(parameters or {})
    )
    return Stage(
        event,
        target or cast(Any, SimpleNamespace(name=deployment.target)),
        deployment,
        adapter(deployment.system).admin(deployment.endpoint()),
        Provisioned("0", "none", {}, {}),
        cast(Any, SimpleNamespace()),
        seed=1,
    )


def carry_out(where: Stage, guard: Guard | None = None, within_s: float = 90.0) -> Injection:
    """Inject, confirm, heal, confirm healed; what came of it."""
    event = Scheduled.of(where.event, make_fault(where))
    timeline = Timeline([event], lambda _: None, guard)
    timeline.start(time.monotonic_ns())
    try:
        assert event.done.wait(within_s)
    finally:
        timeline.cancel()
        where.admin.close()
    [done] = timeline.injections()
    return done


def all_steps(done: Injection) -> None:
    """Every step was reached, in order."""
    assert (done.step, done.error) == ("healed", None)
    times = [done.injected_ns, done.confirmed_ns, done.heal_started_ns, done.healed_ns]
    assert None not in times
    assert times == sorted(at for at in times if at is not None)

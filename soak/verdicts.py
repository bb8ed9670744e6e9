"""Kafka compared with itself: no winner where there is none, and the right one where one answers 5 ms later."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crep.harness.config.targets import Target
from crep.harness.deployment.local import LocalDeployment
from crep.harness.deployment.ports import LOOPBACK
from soak.claim import Verdict
from soak.crep_outside import crep_in
from soak.delay import delayed
from soak.two_doors import TwoDoors

NEAR, OTHER = "near", "other"
REPETITIONS = 5
MUST_WIN = ("latency p50", "acknowledge p50")
"""A delay of every answer moves these; what a delay does to a p99 of some seconds on a busy machine is a toss."""
_WITHIN_S = 600.0
_WARM_S = 15
_SCENARIO = """\
scenario: {name}
durability: {{copies: 1, sync: memory}}
channels:
  orders:
    topics: "orders/{{region:eu,us}}"
    keys: 100
    readers: {{billing: {{share: group, members: 1, delivery: at-least-once}}}}
load:
  - {{to: orders, publishers: 1, mode: guaranteed, message: {{size: 256 B}}, rate: {{total: [{{hold: {rate}/s, for: {for_s} s}}]}}}}
measure: {{warm_up: 2 s, drain: 30 s, repeat: 1, seed: {seed}, lateness: 5 s}}
expect:
  - billing.lost == 0
"""  # noqa: E501
"""The lateness limit is wide: on two busy cores 200 ms made one of ten runs invalid, and a campaign of four pairs says
nothing. What a client was late is part of latency all the same, so it is noise here, on both sides."""


@dataclass(frozen=True)
class ComparedWithItself:
    """One campaign of five short repetitions, interleaved; ``delay_ms`` 0: both targets are the very same."""

    name: str
    delay_ms: float
    count: int = 20
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        begin = f"a campaign of {REPETITIONS} repetitions on a local Apache Kafka (profile default) "
        if not self.delay_ms:
            return (
                begin + "under two names, interleaved, names no winner in any metric; corrected as they are, reports "
                "err once in twenty, so one of the twenty may."
            )
        return (
            begin + f"and on the same broker behind a proxy that delays its answers by {self.delay_ms:g} ms, "
            f"interleaved, names the direct one the winner in {' and '.join(MUST_WIN)}, and the delayed one in nothing."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One campaign on a broker of its own, which some seconds of load have warmed."""
        doors = TwoDoors()
        broker = LocalDeployment(
            Target(name="kafka-of-trial", system="kafka", source="local", mapping=None, port=0), doors, folder / "kafka"
        )
        with ExitStack() as stack:
            stack.callback(broker.stop)
            broker.start(lambda _line: None)
            if self.delay_ms:
                stack.enter_context(delayed(doors.told, doors.far, self.delay_ms / 1000))
            near = broker.endpoint().bootstrap
            far = f"{LOOPBACK}:{doors.told}" if self.delay_ms else near
            crep = stack.enter_context(crep_in(folder))
            (folder / "targets.yaml").write_text(json.dumps({"targets": {NEAR: _target(near), OTHER: _target(far)}}))
            on = [word for name in (NEAR, OTHER) for word in ("--on", name)]
            common = ("--targets", "targets.yaml", *on)
            warm = crep.scenario(_SCENARIO.format(name="warm", rate=3000, for_s=_WARM_S, seed=seed), "warm.yaml")
            crep("run", warm, *common, "--no-report", timeout=_WITHIN_S)
            name = crep.scenario(_SCENARIO.format(name="pair", rate=500, for_s=6, seed=seed), "pair.yaml")
            words = ("--repeat", str(REPETITIONS), "--name", "verdict")
            done = crep("run", name, *common, *words, timeout=_WITHIN_S)
        (folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        report = folder / "results" / "verdict" / "report.json"
        if not report.exists():
            return Verdict((f"no report, exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}",))
        [scenario] = json.loads(report.read_text())["scenarios"]
        return judged(scenario, delayed=bool(self.delay_ms))


def _target(bootstrap: str | None) -> dict[str, Any]:
    return {"system": "kafka", "source": "address", "kafka": {"bootstrap": bootstrap}}


def judged(scenario: dict[str, Any], *, delayed: bool) -> Verdict:
    """What is wrong with the verdict of a scenario of ``report.json``; figures are the ratios of near to other."""
    contests = scenario["contests"]
    won = {f"{one['metric']} of {one['where']}": one["winner"] for one in contests if one["winner"]}
    why = []
    short = {one["key"]: len(one["counted"]) for one in scenario["subjects"] if len(one["counted"]) < REPETITIONS}
    why += [f"{name}: {counted} of {REPETITIONS} repetitions counted" for name, counted in short.items()]
    if not any(one["p_value"] is not None for one in contests):
        why.append("nothing was compared")
    wrong = OTHER if delayed else None
    why += [f"{winner} wins {what}" for what, winner in won.items() if wrong in (None, winner.removeprefix("bus="))]
    if delayed:
        right = {one["metric"] for one in contests if (one["winner"] or "").removeprefix("bus=") == NEAR}
        why += [f"{NEAR} does not win {metric}" for metric in MUST_WIN if metric not in right]
    ratios = {f"{one['metric']} ratio": one["ratio"] for one in contests if one["ratio"] is not None}
    return Verdict(tuple(why), ratios)

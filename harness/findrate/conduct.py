"""Make the runs of a search, one after the other, and keep what each of them said."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crep.harness.campaign import Campaign, Rounds, Turn
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.config.units import format_rate
from crep.harness.findrate.criteria import disturbed, gave_way
from crep.harness.findrate.document import Ending, ProbePart, SearchDocument
from crep.harness.findrate.search import Bounds, Ended, Probe, next_rate, result
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.runner.run import Evaluate
from crep.harness.runs.disk import replace_file
from crep.harness.runs.read import Run, read_run
from crep.harness.scenario.binding import Binding
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan, plan

FILE = "find-rate.json"
_DIGITS = 4
_ENDINGS: dict[Ended, Ending] = {
    Ended.FOUND: "found",
    Ended.NEVER_HELD: "never-held",
    Ended.NEVER_FAILED: "never-failed",
    Ended.OUT_OF_PROBES: "out-of-probes",
}
_WEAKEST_FIRST = ("mock", "emulated", "genuine")

ScenarioAt = Callable[[str], Scenario]
"""The scenario with the parameter set to a rate as it is written (``2000/s``)."""


@dataclass(frozen=True)
class Search:
    """What is searched: the scenario's ``parameter`` is the rate; ``campaign`` has one part with one binding."""

    campaign: Campaign
    scenario_at: ScenarioAt
    parameter: str
    bounds: Bounds


def written(rate: float) -> float:
    """Return a rate that can be written down and read back, within four digits."""
    return float(f"{rate:.{_DIGITS}g}")


def check(search: Search) -> None:
    """Refuse a scenario whose runs say nothing about one rate.

    Raises:
        UsageError: a timeline, a rate that changes, or one that the parameter does not set.
    """
    low, high = (plan(search.scenario_at(format_rate(rate))) for rate in (1000.0, 2000.0))
    name = low.scenario
    if low.timeline:
        raise UsageError(
            f"scenario {name!r} has a timeline; the highest rate is searched without faults",
            hint="leave the timeline out, or search with another scenario, for example: crep find-rate sustained",
        )
    for publisher in low.publishers:
        if not publisher.profile.constant:
            raise UsageError(
                f"scenario {name!r} changes its rate to {publisher.channel}; a search holds one rate for a whole run",
                hint=f"write one part: rate: {{total: [{{hold: ${search.parameter}, for: 20 s}}]}}",
            )
    if total(high) <= total(low):
        raise UsageError(
            f"parameter {search.parameter!r} of scenario {name!r} does not set its rate",
            hint=f"write hold: ${search.parameter} in its load, or name the parameter that does with --param",
        )


def total(plan: Plan) -> float:
    """Messages per second of all publishers together, at their first rate."""
    return sum(publisher.profile.first_rate / publisher.of for publisher in plan.publishers)


def find_rate(search: Search, view: LiveView, stop: Stop, evaluate: Evaluate) -> tuple[SearchDocument, Path]:
    """Search; return what was found and the file that holds it.

    Raises:
        EnvironmentFailure: a broker cannot be started, results cannot be written, or every run failed.
    """
    [part] = search.campaign.parts
    [binding] = part.bindings
    made: list[tuple[Probe, ProbePart]] = []
    kinds: set[str] = set()
    with Rounds(search.campaign, view, stop, evaluate) as rounds:
        file = rounds.outcome.folder / FILE
        while not stop.requested.is_set():
            rate = next_rate([probe for probe, _ in made], search.bounds)
            if rate is None:
                break
            folder = _run(search, binding, rounds, written(rate), len(made) + 1)
            if folder is None:
                raise EnvironmentFailure(f"{binding} does not support scenario {part.scenario.name!r}")
            run = read_run(folder)
            if run.state in ("interrupted", "not-supported"):
                continue  # the stop is seen above; what is not supported is refused in the next round
            kinds.update(site.genuineness for site in run.sites.values())
            made.append(_probe(run, rate, rounds.outcome.folder))
            replace_file(file, _document(search, made, kinds, "searching").model_dump_json(indent=1).encode() + b"\n")
            _say(view, made[-1][0])
    found = _document(search, made, kinds, "interrupted" if stop.requested.is_set() else None)
    replace_file(file, found.model_dump_json(indent=1).encode() + b"\n")
    if made and all(run.status == "failed" for run in rounds.outcome.runs):
        raise EnvironmentFailure(f"every run failed; the last one: {rounds.outcome.runs[-1].failure}")
    return found, file


def _run(search: Search, binding: Binding, rounds: Rounds, rate: float, number: int) -> Path | None:
    scenario = search.scenario_at(format_rate(rate))
    turn = Turn(scenario, binding, repetition=number, plan=plan(scenario), timeline=(), what=f"at {format_rate(rate)}")
    folder = rounds.carry_out(turn, number=number, of=search.bounds.probes)
    return None if folder is None else folder.path


def _probe(run: Run, rate: float, beside: Path) -> tuple[Probe, ProbePart]:
    reasons = gave_way(run, run.document.results, run.document.measured_s)
    by_chance = disturbed(run, run.document.results, run.document.measured_s)
    part = ProbePart(
        rate_per_s=written(rate),
        held=not reasons,
        gave_way=reasons,
        disturbed=by_chance,
        run=os.path.relpath(run.path, beside),
        labels=tuple(sorted(run.labels)),
    )
    return Probe(rate, not reasons, reasons, by_chance), part


def _say(view: LiveView, probe: Probe) -> None:
    rate = format_rate(written(probe.rate))
    if probe.held:
        view.event(f"{rate} held", style="green")
    else:
        so = "disturbed, no word on the brokers" if probe.disturbed else "not held"
        view.event(f"{rate} {so}: {'; '.join(probe.gave_way)}", style="yellow")


def _document(
    search: Search, made: Sequence[tuple[Probe, ProbePart]], kinds: set[str], ended: Ending | None
) -> SearchDocument:
    found = result([probe for probe, _ in made], search.bounds)
    [part] = search.campaign.parts
    upper = None if found.lowest_failed is None else written(found.lowest_failed)
    return SearchDocument(
        scenario=part.scenario.name,
        sha256=part.scenario.sha256,
        binding=str(part.bindings[0]),
        parameter=search.parameter,
        genuineness=next((kind for kind in _WEAKEST_FIRST if kind in kinds), "unknown"),
        least_per_s=search.bounds.least,
        most_per_s=search.bounds.most,
        tolerance=search.bounds.tolerance,
        confirm=search.bounds.confirm,
        ended=ended or _ENDINGS[found.ended],
        highest_held_per_s=None if found.highest_held is None else written(found.highest_held),
        lowest_failed_per_s=upper,
        gave_way=dict(found.gave_way),
        client_bound=any("client-bound" in part.labels for _, part in made if part.rate_per_s == upper),
        probes=tuple(part for _, part in made),
    )

"""From the counted runs of one subject to what its faults did: per fault, per group of them, and beside them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from crep.harness.checks.results import BacklogPeak, FaultResult, Found, Whereabouts
from crep.reports.blocks import plural
from crep.reports.comparison import (
    BacklogSummary,
    BesideFaults,
    FaultGroupRow,
    FaultRow,
    FaultSummary,
    Quantity,
    WhereaboutsRow,
)
from crep.reports.gather import Origin, RunData, added_up, over_runs, results_of, run_ids

EXAMPLES_KEPT = 5


def faults(origin: Origin, runs: Sequence[RunData]) -> tuple[FaultRow, ...]:
    """Every injected fault of every run."""
    return tuple(
        FaultRow(
            subject=origin.subject,
            run_id=run.document.run_id,
            repetition=run.document.repetition,
            kind=origin.kind,
            durability=origin.durability,
            result=result,
        )
        for run in runs
        for result in results_of(run).faults
    )


def fault_summaries(origin: Origin, runs: Sequence[RunData]) -> tuple[FaultSummary, ...]:
    """Median and range over the runs, per fault of the timeline."""
    indices = sorted({fault.index for run in runs for fault in results_of(run).faults})
    return tuple(_fault_summary(origin, runs, index) for index in indices)


def _fault_summary(origin: Origin, runs: Sequence[RunData], index: int) -> FaultSummary:
    found = [next((f for f in results_of(run).faults if f.index == index), None) for run in runs]
    there = [f for f in found if f is not None]
    first = there[0]

    def over(value: Callable[[FaultResult], float | None], note: str = "", unit: str = "s") -> Quantity:
        return over_runs([None if f is None else value(f) for f in found], unit, origin, runs, note)

    def received(where: str) -> Quantity:
        return over(lambda f: next((o.outage_s for o in f.receive if o.where == where), None))

    def waited(where: str) -> BacklogSummary:
        def of(f: FaultResult) -> BacklogPeak | None:
            return next((one for one in f.backlogs if one.where == where), None)

        usual = [one.usual for one in map(of, there) if one is not None and one.usual is not None]
        return BacklogSummary(
            peak=over(lambda f: _known(of(f), lambda one: one.peak), unit="messages"),
            drain=over(lambda f: _known(of(f), lambda one: one.drain_s), "not as before within the run"),
            usual=max(usual, default=None),
        )

    def reconnected(role: str) -> Quantity:
        return over(lambda f: f.reconnects.get(role, 0), unit="connections")

    because = [f.not_recovered_because for f in there if f.not_recovered_because]
    why = f"in {len(because)} of {plural(len(runs), 'run')}: {because[0]}" if because else ""
    controls = [f.publish.control_s for f in there if f.publish and f.publish.control_s is not None]
    return FaultSummary(
        subject=origin.subject,
        index=index,
        action=first.action,
        acted_on=_distinct(f.subject or f.node or "" for f in there),
        declared_s=first.declared_s,
        runs=run_ids(runs),
        detected=over(lambda f: f.detected_s, "no client noticed"),
        detected_by=_distinct(f.detected_by for f in there),
        publish_outage=over(lambda f: f.publish.outage_s if f.publish else None),
        publish_control=max(controls, default=None),
        keys_hit=over(lambda f: f.publish.keys_hit if f.publish else None, unit="share"),
        receive_outages={where: received(where) for where in _distinct(o.where for f in there for o in f.receive)},
        time_to_recover=over(lambda f: f.time_to_recover_s, why),
        bad_seconds_later=max(f.bad_seconds_later for f in there),
        backlogs={where: waited(where) for where in _distinct(one.where for f in there for one in f.backlogs)},
        reconnects={role: reconnected(role) for role in _distinct(role for f in there for role in f.reconnects)},
        overlaps=tuple(sorted({index for f in there for index in f.group})),
        cost=added_up(f.cost for f in there if not f.group),
        baseline=first.baseline,
    )


def _known(one: BacklogPeak | None, value: Callable[[BacklogPeak], float | None]) -> float | None:
    return None if one is None else value(one)


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in dict.fromkeys(words) if word)


def fault_groups(origin: Origin, runs: Sequence[RunData]) -> tuple[FaultGroupRow, ...]:
    """Faults that overlapped, by which they were; those that were alone have their cost with them."""
    groups: dict[tuple[int, ...], list[tuple[str, dict[str, int]]]] = {}
    for run in runs:
        for group in results_of(run).fault_groups:
            if len(group.faults) > 1:
                groups.setdefault(group.faults, []).append((run.document.run_id, group.cost))
    return tuple(
        FaultGroupRow(
            subject=origin.subject,
            faults=faults,
            runs=tuple(run_id for run_id, _ in found),
            cost=added_up(cost for _, cost in found),
        )
        for faults, found in sorted(groups.items())
    )


def beside_faults(origin: Origin, runs: Sequence[RunData]) -> tuple[BesideFaults, ...]:
    """What belongs to no fault, and what came without any; nothing for a subject without faults."""
    disturbed = [results_of(run) for run in runs if results_of(run).faults]
    if not disturbed:
        return ()
    control = next((results.control_cost for results in disturbed if results.control_cost is not None), None)
    outside = added_up(results.outside_faults for results in disturbed)
    return (BesideFaults(subject=origin.subject, outside=outside, control=control),)


def whereabouts(origin: Origin, runs: Sequence[RunData]) -> tuple[WhereaboutsRow, ...]:
    """Where what was lost is, per reader that misses something."""
    rows: dict[tuple[str, str], list[Whereabouts]] = {}
    for run in runs:
        for one in results_of(run).whereabouts:
            rows.setdefault((one.channel, one.reader), []).append(one)
    return tuple(
        WhereaboutsRow(
            subject=origin.subject,
            channel=channel,
            reader=reader,
            kind=origin.kind,
            missing=sum(one.missing for one in found),
            looked_for=sum(one.looked_for for one in found),
            states=added_up({str(state): count for state, count in one.states.items()} for one in found),
            reasons=added_up(one.reasons for one in found),
            examples=_examples(example for one in found for example in one.examples),
        )
        for (channel, reader), found in rows.items()
    )


def _examples(found: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(found)[:EXAMPLES_KEPT]

"""Runs → `Comparison`: group by scenario, sort out which runs count, gather, judge. Pure over what the runs hold."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from crep.harness.config.errors import UsageError
from crep.harness.runs.document import ClientPart, RunDocument, ScenarioPart, ServicePart, SitePart
from crep.reports import contest, disturbance, gather, judge, over_time, sweep, usage
from crep.reports.comparison import (
    ClientGroup,
    Comparison,
    Contest,
    ExpectationCell,
    Planned,
    RunRow,
    RunState,
    ScenarioComparison,
    ServiceRow,
    Site,
    Standing,
    Subject,
)
from crep.reports.gather import Origin, RunData

Row = TypeVar("Row")
SYSTEM_NAMES = {"kafka": "Apache Kafka", "solace": "Solace PubSub+"}
SHORT_NAMES = {"kafka": "Kafka", "solace": "Solace"}
_UNKNOWN_CLASS = "durability class unknown"


def compile_comparison(runs: Sequence[RunData]) -> Comparison:
    """The report of these runs, in an order of its own: that of ``runs`` does not matter.

    Raises:
        UsageError: there is no run.
    """
    if not runs:
        raise UsageError("there is no run to report on", hint="name a results folder that holds at least one run.json")
    once = {run.document.run_id: run for run in runs}  # a folder and its copy hold the same runs
    ordered = sorted(once.values(), key=lambda r: (r.document.started_utc, r.document.binding, r.document.run_id))
    groups: dict[tuple[object, ...], list[RunData]] = {}
    for run in ordered:
        scenario = run.document.scenario
        apart = (*sorted(scenario.params.items()), *scenario.varied.items())
        groups.setdefault((scenario.name, scenario.sha256, apart), []).append(run)
    compiled = [_scenario(group) for group in groups.values()]
    contests = iter(contest.decide([pairing for _, pairings in compiled for pairing in pairings]))
    scenarios = tuple(_judged(scenario, list(islice(contests, len(pairings)))) for scenario, pairings in compiled)
    names = list(dict.fromkeys(s.title for scenario in scenarios for s in scenario.subjects))
    return Comparison(
        as_of=max(run.document.ended_utc or run.document.started_utc for run in runs),
        title=" and ".join(names) if len(names) <= 2 else "Event broker comparison",
        campaigns=tuple(dict.fromkeys(run.document.campaign for run in ordered)),
        scenarios=scenarios,
        sweeps=sweep.sweeps(scenarios),
    )


def _scenario(runs: Sequence[RunData]) -> tuple[ScenarioComparison, tuple[contest.Pairing, ...]]:
    """One scenario without its performance verdict, and what that verdict is to be drawn from."""
    states = {run.document.run_id: judge.state_of(run) for run in runs}
    bindings = sorted({run.document.binding for run in runs})
    of = {binding: [run for run in runs if run.document.binding == binding] for binding in bindings}
    counted = {b: [run for run in of[b] if states[run.document.run_id][0] == "counted"] for b in bindings}
    origins = {b: Origin(b, judge.kind_of(_documents(of[b])), _durability(_documents(of[b]))) for b in bindings}
    refusals = {b: judge.refusal(of[b]) for b in bindings}
    standings = {b: _standing(origins[b], of[b], refusals[b]) for b in bindings}
    cells = {b: judge.expectations(origins[b], standings[b], counted[b]) for b in bindings}
    subjects = _told_apart(
        [_subject(origins[b], of[b], counted[b], standings[b], cells[b].values(), refusals[b]) for b in bindings]
    )
    document = runs[0].document
    scenario = document.scenario

    def each(collect: Callable[[Origin, Sequence[RunData]], tuple[Row, ...]]) -> tuple[Row, ...]:
        return tuple(row for b in bindings for row in collect(origins[b], counted[b]))

    compiled = ScenarioComparison(
        name=scenario.name,
        file=scenario.file,
        text=scenario.text,
        sha256=scenario.sha256,
        params=scenario.params,
        evidences=scenario.evidences,
        seed=scenario.seed,
        durability=_durabilities(origins.values()),
        warm_up_s=document.warm_up_s,
        measured_s=max(run.document.measured_s for run in runs),
        reconnect_s=next((d.reconnect_s for d in _documents(runs) if d.reconnect_s is not None), None),
        timeline=_timeline(_documents(runs)),
        subjects=subjects,
        runs=tuple(_run_row(run, *states[run.document.run_id]) for run in runs),
        expectations=judge.expectation_rows(bindings, cells),
        sends=each(gather.sends),
        ledger=each(gather.ledger),
        curves=each(gather.curves),
        series=each(over_time.series),
        uncounted=tuple(
            row
            for b in bindings
            for row in over_time.series(
                origins[b], [run for run in of[b] if _is_left_out(states[run.document.run_id][0])]
            )
        ),
        faults=each(disturbance.faults),
        fault_summaries=each(disturbance.fault_summaries),
        fault_groups=each(disturbance.fault_groups),
        beside_faults=each(disturbance.beside_faults),
        whereabouts=each(disturbance.whereabouts),
        throughput=each(gather.throughput),
        usage=each(usage.usage),
        contests=(),
        performance=(),
        command=_command(
            scenario,
            bindings,
            {site.profile for run in runs for site in run.document.sites.values()},
            max(run.document.repetition for run in runs),
        ),
        varied=scenario.varied,
        dated_utc=max((d.scenario.dated_utc for d in _documents(runs) if d.scenario.dated_utc), default=None),
    )
    return compiled, contest.pairings(subjects, counted)


def _timeline(documents: Sequence[RunDocument]) -> tuple[Planned, ...]:
    """What any run of the scenario was to do; control runs do nothing of it."""
    events = {event.index: event for document in documents for event in document.faults}
    return tuple(
        Planned(index=event.index, action=event.action, declared_s=event.declared_s)
        for _, event in sorted(events.items())
    )


def _is_left_out(state: RunState) -> bool:
    return state not in ("counted", "control")


def _judged(scenario: ScenarioComparison, contests: Sequence[Contest]) -> ScenarioComparison:
    verdict = judge.performance(scenario.subjects, contests)
    return scenario.model_copy(update={"contests": tuple(contests), "performance": verdict})


def _subject(
    origin: Origin,
    runs: Sequence[RunData],
    counted: Sequence[RunData],
    place: Standing,
    cells: Collection[ExpectationCell],
    refused: str,
) -> Subject:
    document = next((run.document for run in (*counted, *runs) if run.document.sites), runs[0].document)
    measured = [run for run in runs if run.document.kind == "measured"]
    verdict, text = judge.functional(cells, len(counted), len(measured), refused)
    return Subject(
        key=origin.subject,
        title=" → ".join(_site_title(site) for site in document.sites.values()) or _target_names(document.binding),
        kind=origin.kind,
        profile=_profile(_documents(runs)),
        durability=origin.durability,
        counted=gather.run_ids(counted),
        functional=verdict,
        functional_text=text,
        performance_failed=judge.performance_failed(cells),
        standing=place,
        labels={label.code: label.text for run in measured for label in run.document.labels},
        sites=tuple(_site(name, site) for name, site in document.sites.items()),
        clients=_client_groups(document.clients),
        services=_services(_documents(counted)),
    )


def _services(documents: Sequence[RunDocument]) -> tuple[ServiceRow, ...]:
    """Each service by its channel, over the counted runs."""
    found: dict[str, list[ServicePart]] = {}
    for document in documents:
        for service in document.services:
            found.setdefault(service.channel, []).append(service)
    return tuple(
        ServiceRow(
            channel=channel,
            source=parts[0].source,
            what=parts[0].bridge or " ".join(parts[0].command),
            transform=parts[0].transform,
            starts=tuple(part.lives for part in parts),
            given_up=tuple(part.given_up for part in parts),
            forced=sum(part.in_order is False for part in parts),
        )
        for channel, parts in found.items()
    )


def _target_names(binding: str) -> str:
    """The binding as one writes it: the site ``bus`` is not named."""
    return binding.removeprefix("bus=")


def _told_apart(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Two set-ups of one product have one title: then the binding stands behind it."""
    titles = [subject.title for subject in subjects]
    return tuple(
        subject.model_copy(update={"title": f"{subject.title} ({_target_names(subject.key)})"})
        if titles.count(subject.title) > 1
        else subject
        for subject in subjects
    )


def _standing(origin: Origin, runs: Sequence[RunData], refused: str) -> Standing:
    if refused:
        return Standing(comparable=False, why="does not support the scenario")
    documents = _documents(runs)
    systems = dict.fromkeys(SHORT_NAMES.get(s.system, s.system) for d in documents for s in d.sites.values())
    labels = sorted({label.code for document in documents for label in document.labels})
    return judge.standing(origin.kind, " and ".join(systems), _profile(documents), labels)


def _documents(runs: Sequence[RunData]) -> list[RunDocument]:
    return [run.document for run in runs]


def _profile(documents: Sequence[RunDocument]) -> str:
    """``default`` only where every site of every run has it: one quick site makes the whole chain quick."""
    profiles = dict.fromkeys(site.profile for document in documents for site in document.sites.values())
    return next((profile for profile in profiles if profile != "default"), "default")


def _site_title(site: SitePart) -> str:
    name = SYSTEM_NAMES.get(site.system, site.system)
    if site.genuineness == "genuine":
        return f"{name} {_version(site)}"
    return f"{site.genuineness.capitalize()} {SHORT_NAMES.get(site.system, site.system)}"


def _site(name: str, site: SitePart) -> Site:
    facts = site.facts
    return Site(
        site=name,
        target=site.target,
        system=site.system,
        source=site.source,
        profile=site.profile,
        kind=judge.KIND_OF[site.genuineness],
        product=str(facts.get("product") or "unknown"),
        version=_version(site),
        edition=str(facts.get("edition") or ""),
        client=str(facts.get("client") or "unknown"),
        recognised_by=str(facts.get("recognised_by") or ""),
        configuration={str(k): str(v) for k, v in dict(facts.get("configuration") or {}).items()},
        caps={str(k): str(v) for k, v in dict(facts.get("caps") or {}).items()},
        mapping=site.mapping,
        durability={channel: _class(stated) for channel, stated in site.durability.items()},
        objects=site.objects,
        deployment=site.deployment,
    )


def _version(site: SitePart) -> str:
    """As the broker says; where crep installed it and the broker tells less of the same version, as installed."""
    said, installed = str(site.facts.get("version") or ""), str(site.deployment.get("version") or "")
    return (installed if installed.startswith(f"{said}.") else said) or "of unknown version"


def _durability(documents: Sequence[RunDocument]) -> str:
    """The class as it stands in titles: without how it is known, so that equal classes are equal texts."""
    sites = [site for document in documents for site in document.sites.values()]
    classes = dict.fromkeys(_class({**stated, "known": None}) for site in sites for stated in site.durability.values())
    return ", ".join(classes) or _UNKNOWN_CLASS


def _durabilities(origins: Collection[Origin]) -> str:
    """Every class that was reached; that of a target which never came so far says nothing of the others."""
    reached = dict.fromkeys(origin.durability for origin in origins if origin.durability != _UNKNOWN_CLASS)
    return "; ".join(reached) or _UNKNOWN_CLASS


def _class(stated: Mapping[str, Any]) -> str:
    if "copies" not in stated:
        return _UNKNOWN_CLASS
    copies = int(stated["copies"])
    known = f" ({stated['known']})" if stated.get("known") else ""
    return f"{copies} {'copy' if copies == 1 else 'copies'}, sync {stated.get('sync', 'unknown')}{known}"


def _client_groups(clients: Sequence[ClientPart]) -> tuple[ClientGroup, ...]:
    groups: dict[tuple[str, str, str | None], list[ClientPart]] = {}
    for client in clients:
        groups.setdefault((client.role, client.channel, client.reader), []).append(client)
    return tuple(_client_group(group) for _, group in sorted(groups.items(), key=lambda item: str(item[0])))


def _client_group(clients: Sequence[ClientPart]) -> ClientGroup:
    names = sorted({name for client in clients for name in client.settings})
    found = {name: {client.settings.get(name) for client in clients} for name in names}
    first = clients[0]
    return ClientGroup(
        clients=tuple(client.name for client in clients),
        role=first.role,
        channel=first.channel,
        reader=first.reader,
        settings={name: first.settings[name] for name in names if len(found[name]) == 1},
        own=tuple(name for name in names if len(found[name]) > 1),
    )


def _run_row(run: RunData, state: RunState, why: str) -> RunRow:
    document = run.document
    return RunRow(
        run_id=document.run_id,
        subject=document.binding,
        repetition=document.repetition,
        state=state,
        why=why,
        started_utc=document.started_utc,
        ended_utc=document.ended_utc,
        t0_utc=document.t0_utc,
        phases=document.phases,
        harness=document.harness,
        host=document.host,
        labels=tuple(label.code for label in document.labels),
        steadiness=document.results.steadiness if document.results else None,
    )


def _command(scenario: ScenarioPart, bindings: Sequence[str], profiles: Collection[str], repetitions: int) -> str:
    words = ["crep", "run", scenario.file]
    words += [word for binding in bindings for word in ("--on", _target_names(binding))]
    if profiles == {"quick"}:
        words += ["--profile", "quick"]
    given = {name: value for name, value in scenario.params.items() if name not in scenario.varied}
    words += [word for name, value in sorted(given.items()) for word in ("-p", f"{name}={value}")]
    words += ["--repeat", str(max(repetitions, 1))]
    return shlex.join(words)

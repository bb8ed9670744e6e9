"""The back of the report: every run, provenance, settings, mapping, scenario text, method and how to run it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from crep.reports.blocks import (
    NOTHING,
    Block,
    Cell,
    Code,
    Column,
    Facts,
    Heading,
    Paragraph,
    Picture,
    Table,
    count,
    listed,
    plural,
    significant,
)
from crep.reports.comparison import RunRow, ScenarioComparison, Site, Subject
from crep.reports.figures import UNCOUNTED_SHOWN, uncounted_name
from crep.reports.wording import STATE_WORDS

_MAPPING_HEAD = ("name", "version", "summary", "system")
_METHOD = (
    "Latency is received − intended send time of an open-loop schedule; a stalled client or broker therefore "
    "shows in the latency of every message that was due meanwhile. Lateness is what the load generator itself "
    "added.",
    "Each message carries its own stamp (run, publisher, sequence, key, intended time, check sum), the same on "
    "every broker; no time stamp of a broker is used. Sender and receiver share one monotonic clock.",
    "Steady: from when on a reader's rate and latency, second by second, stayed as they were, found by MSER-5 and held "
    "against a tolerance of 5 % (rate) and 25 % (latency). A run whose warm-up was too short, or that never became "
    "steady, is labelled not-steady.",
    "Histograms are merged, never averaged or clipped. A percentile with fewer than 10 samples beyond it is not "
    "printed; sample count and maximum stand beside the others.",
    "A message is lost only when it was acknowledged, was not received, and the drain ended with the broker's own "
    "backlog at 0 and 3 s of quiet; otherwise it is pending. Engines never resend above the client library.",
    "Outage is measured per key: the longest interval with intended sends and no acknowledgement (or receipt), "
    "less that of a no-fault control run. Recovered is the first second from which, for 5 s, at least 95 % of the "
    "intended sends are acknowledged, the backlog is no higher than before, and latency is at most twice the "
    "baseline's.",
    "A run that breaks a rule is invalid: it is listed, and no number of it enters a table, figure or verdict. "
    "Incomplete runs likewise.",
    "Performance is compared only between measured targets of the same durability class, with the vendor's "
    "default time-outs (profile default), paired by repetition, from 5 repetitions on. A winner needs a 95 % "
    "bootstrap interval of the median ratio without 1 and a paired t test that stands after correction over all "
    "comparisons of the report (Holm).",
    "An emulated target answers functional questions only. Its timings are grey and enter no performance verdict; "
    "no option changes that.",
    "Brokers and clients of local targets share one host. What is shown is that host's behaviour: it says little "
    "about a cluster on separate machines, and a process kill says nothing about a power failure.",
)


def runs(scenario: ScenarioComparison) -> list[Block]:
    """Every run of the scenario, counted or not, and why not."""
    columns = (
        Column("Run", "left", 2),
        Column("Target", "left", 4),
        Column("Rep.", "right", 1),
        Column("State", "left", 3),
        Column("Started (UTC)", "left", 4),
        Column("Why it is not counted", "left", 6),
    )
    table = Table(
        "All runs. Only counted runs enter numbers; a control run is the no-fault run that outages are compared with.",
        columns,
        tuple(_run_row(scenario, row) for row in scenario.runs),
    )
    blocks: list[Block] = [Heading(1, "Runs"), table]
    if scenario.uncounted:
        left = len(scenario.uncounted) - UNCOUNTED_SHOWN
        more = f" {left} more are not drawn." if left > 0 else ""
        caption = f"Runs that are not counted: messages per second, as far as they went. {scenario.durability}.{more}"
        blocks.append(Picture(uncounted_name(scenario), caption, "Rates over time of the runs that are not counted"))
    return blocks


def _run_row(scenario: ScenarioComparison, row: RunRow) -> tuple[Cell, ...]:
    words, tone = STATE_WORDS[row.state]
    return (
        Cell(row.run_id),
        Cell(scenario.subject(row.subject).title),
        Cell(count(row.repetition) if row.repetition else NOTHING),
        Cell(words, tone),
        Cell(_moment(row.started_utc)),
        Cell(row.why),
    )


def provenance(scenario: ScenarioComparison) -> list[Block]:
    """Who measured, on what, with which settings, from which text; and the command that does it again."""
    blocks: list[Block] = [Heading(1, f"Provenance of {scenario.label}")]
    blocks.append(Facts(tuple(_origin(scenario))))
    blocks += [
        Heading(2, "Run it again"),
        Code(scenario.command, "With crep of the commit above and the scenario that is printed below."),
    ]
    for subject in scenario.subjects:
        for site in subject.sites:
            blocks += _site(subject, site)
        blocks += _clients(subject)
    blocks += [Heading(2, "Scenario as it was run"), Code(scenario.text, f"{scenario.file}, SHA-256 {scenario.sha256}")]
    return blocks


def _origin(scenario: ScenarioComparison) -> list[tuple[str, str]]:
    hosts, harnesses = [], []
    for run in scenario.runs:
        h, c = run.host, run.harness
        hosts.append(
            f"{h.cpu}, {plural(h.cores, 'core')}, {significant(h.memory_bytes / 2**30)} GiB; "
            f"{h.system}, kernel {h.kernel}; Python {h.python}"
        )
        changed = {True: ", with uncommitted changes", False: "", None: ""}[c.modified]
        harnesses.append(f"crep {c.version}, commit {c.commit or 'unknown'}{changed}")
    first, last = scenario.runs[0].started_utc, scenario.runs[-1].ended_utc or scenario.runs[-1].started_utc
    return [
        ("Harness", "; ".join(dict.fromkeys(harnesses))),
        ("Host", "; ".join(dict.fromkeys(hosts))),
        ("Time (UTC)", f"{_moment(first)} to {_moment(last)}"),
        ("Seed", str(scenario.seed)),
        ("Scenario SHA-256", scenario.sha256),
        ("Scenario and thresholds dated", _moment(scenario.dated_utc) if scenario.dated_utc else NOTHING),
    ]


def _site(subject: Subject, site: Site) -> list[Block]:
    pairs = [
        ("Product", f"{site.product} {site.version} {site.edition}".strip()),
        ("Recognised by", site.recognised_by or NOTHING),
        ("Client library", site.client),
        ("Durability", listed([f"{c}: {text}" for c, text in site.durability.items()]) or NOTHING),
        *_pairs("Configuration", site.configuration),
        *_pairs("Limits", site.caps),
        ("Mapping", f"{site.mapping.get('name', 'unknown')}, version {site.mapping.get('version', 'unknown')}"),
        ("Mapping, summary", str(site.mapping.get("summary", NOTHING))),
        *_pairs("Mapping", {k: v for k, v in site.mapping.items() if k not in _MAPPING_HEAD}),
        *(pair for channel, made in sorted(site.objects.items()) for pair in _pairs(f"Objects of {channel}", made)),
        *_pairs("Deployment", site.deployment),
    ]
    where = "" if len(subject.sites) == 1 else f", site {site.site}"
    return [
        Heading(2, f"{subject.title}: target {site.target}{where} ({site.kind}, profile {site.profile})"),
        Facts(tuple(pairs)),
    ]


def _clients(subject: Subject) -> list[Block]:
    if not subject.clients:
        return []
    rows = tuple(
        (
            Cell(group.role, below=".".join(p for p in (group.channel, group.reader) if p)),
            Cell(
                plural(len(group.clients), "client"), below=group.clients[0] + (" …" if len(group.clients) > 1 else "")
            ),
            Cell(
                "; ".join(f"{name} = {value}" for name, value in group.settings.items()),
                below=f"different for each client: {', '.join(group.own)}" if group.own else "",
            ),
        )
        for group in subject.clients
    )
    columns = (Column("Role", "left", 3), Column("Clients", "left", 3), Column("Effective settings", "left", 10))
    return [Table(f"Effective client settings, {subject.title}.", columns, rows)]


def method() -> list[Block]:
    """The rules that every number follows, and what the report cannot say."""
    return [Heading(1, "Method and limits"), *(Paragraph(text, "rule") for text in _METHOD)]


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """Nested plain data as lines: what lies on one level in one line, each deeper level in its own."""
    if not isinstance(value, Mapping):
        return [(name, _short(value))]
    flat = [f"{key} = {_short(item)}" for key, item in sorted(value.items()) if not isinstance(item, Mapping)]
    deeper = [_pairs(f"{name}, {key}", item) for key, item in sorted(value.items()) if isinstance(item, Mapping)]
    own = [(name, "; ".join(flat))] if flat else []
    return own + [pair for pairs in deeper for pair in pairs]


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _moment(utc: str) -> str:
    """``2026-11-24 21:58:09`` of an ISO 8601 time."""
    return utc.replace("T", " ").split(".")[0].split("+")[0].rstrip("Z")

"""What stands in the report and in which order: `Comparison` → blocks, result first, evidence after it."""

from __future__ import annotations

from crep.reports import appendix, evidence, imported, recovery, sweep, usage
from crep.reports.blocks import (
    NOTHING,
    Block,
    Cell,
    Column,
    Facts,
    Heading,
    Paragraph,
    Table,
    Tone,
    VerdictLine,
    Verdicts,
    count,
    declared,
    listed,
    number,
    plural,
    quantity,
)
from crep.reports.comparison import (
    Comparison,
    Curve,
    FaultSummary,
    FunctionalVerdict,
    ScenarioComparison,
    Site,
    Subject,
)
from crep.reports.wording import (
    badge,
    column_of,
    counted_in,
    fault_keys,
    faults_declared,
    left_out,
    performance_failed,
    steady,
    tone_of,
)
from crep.reports.wording import (
    recovery as recovered,
)

VERDICT_WORDS: dict[str | None, tuple[str, Tone]] = {
    "passed": ("✓ passed", "good"),
    "not-supported": ("not supported", "muted"),
    "failed": ("✗ failed", "bad"),
    "no-data": ("✗ no data", "bad"),
    "not-judged": ("not judged", "muted"),
    None: ("no run counted", "warn"),
}
FUNCTIONAL_WORDS: dict[FunctionalVerdict, tuple[str, Tone]] = {
    "passed": ("✓ functional passed", "good"),
    "failed": ("✗ functional failed", "bad"),
    "no-verdict": ("no verdict", "warn"),
    "not-supported": ("not supported", "muted"),
}


def story(comparison: Comparison) -> tuple[Block, ...]:
    """All blocks of the report."""
    blocks: list[Block] = []
    several = len(comparison.scenarios) > 1
    for one in comparison.sweeps:
        blocks += sweep.blocks(one, comparison.scenarios)
    for scenario in comparison.scenarios:
        if several:
            blocks.append(Heading(1, f"Scenario {scenario.label}", new_page=bool(blocks)))
        blocks += _result(scenario)
        blocks += _what_was_run(scenario)
        blocks += evidence.ledger(scenario)
        blocks += recovery.faults(scenario)
        blocks += usage.blocks(scenario)
        blocks += evidence.latency(scenario)
        blocks += evidence.contests(scenario)
        blocks += appendix.runs(scenario)
    blocks += imported.blocks(comparison.imported)
    for scenario in comparison.scenarios:
        blocks += appendix.provenance(scenario)
    blocks += appendix.method()
    return tuple(blocks)


def _result(scenario: ScenarioComparison) -> list[Block]:
    lines = []
    for subject in scenario.subjects:
        words, tone = FUNCTIONAL_WORDS[subject.functional]
        also = performance_failed(subject)
        lines.append(
            VerdictLine(
                subject.title,
                badge(subject).replace(", ", " · "),
                tone_of(subject),
                words,
                tone,
                subject.functional_text,
                f"✗ {also}" if also else "",
            )
        )
    blocks: list[Block] = [Heading(1, "Result"), Verdicts(tuple(lines), " ".join(scenario.performance))]
    if parts := left_out(scenario):
        number = sum(run.state not in ("counted", "control") for run in scenario.runs)
        text = f"{plural(number, 'run')} not counted: {listed(parts)}. See Runs; they enter no number."
        blocks.append(Paragraph(text, "warning"))
    if any(subject.counted for subject in scenario.subjects):
        blocks.append(_key_numbers(scenario))
    if scenario.expectations:
        blocks.append(_expectations(scenario))
    return blocks


def _key_numbers(scenario: ScenarioComparison) -> Table:
    rows: list[tuple[str, list[str]]] = []
    subjects = scenario.subjects

    def ledger_sum(subject: Subject, *names: str) -> str:
        found = [r for r in scenario.ledger if r.subject == subject.key and r.delivery == "at-least-once"]
        return count(sum(r.counts[n] for r in found for n in names)) if found else NOTHING

    rows.append(("Messages acknowledged", [_acknowledged(scenario, s) for s in subjects]))
    rows.append(("Lost (guaranteed readers)", [ledger_sum(s, "lost") for s in subjects]))
    duplicates = ("duplicates_flagged", "duplicates_unflagged", "duplicates_flag_not_offered")
    rows.append(("Duplicates (guaranteed readers)", [ledger_sum(s, *duplicates) for s in subjects]))
    rows.append(("Reordered within a key", [ledger_sum(s, "reordered") for s in subjects]))
    for fault in fault_keys(scenario):
        found = [_fault_of(scenario, s, fault) for s in subjects]
        name = f"{fault[1]} at {declared(fault[2])}"
        rows.append((f"Publish outage, {name}", [quantity(f.publish_outage) if f else NOTHING for f in found]))
        rows.append((f"Time to recover, {name}", [recovered(f.time_to_recover) if f else NOTHING for f in found]))
    for where in dict.fromkeys(c.where for c in scenario.curves if c.metric == "latency"):
        curves = [_curve_of(scenario, s, "latency", where) for s in subjects]
        for p in ("50", "99"):
            values = [quantity(c.percentiles[p]) if c else NOTHING for c in curves]
            rows.append((f"Latency p{p}, {where}", values))
    return Table(
        f"Key numbers. {scenario.durability}. {counted_in(scenario)}; counts added up, outage and recovery as median "
        "over the runs, latency from merged histograms of the whole measured phase, faults included.",
        (Column("", "left", 2), *(column_of(s) for s in subjects)),
        tuple(
            (Cell(name), *(Cell(v, tone_of(s)) for v, s in zip(values, subjects, strict=True))) for name, values in rows
        ),
    )


def _acknowledged(scenario: ScenarioComparison, subject: Subject) -> str:
    found = [r.counts["acknowledged"] for r in scenario.sends if r.subject == subject.key]
    return count(sum(found)) if found else NOTHING


def _expectations(scenario: ScenarioComparison) -> Table:
    rows = []
    for row in scenario.expectations:
        cells = [Cell(row.text, below=", ".join((row.kind, *row.evidences)))]
        for cell, subject in zip(row.cells, scenario.subjects, strict=True):
            refused = subject.functional == "not-supported"
            words, tone = VERDICT_WORDS["not-supported" if refused else cell.verdict]
            values = [f"{number(r.value, r.unit)} {r.unit}".strip() for r in cell.results if r.value is not None]
            seen = listed(list(dict.fromkeys(values)))
            below = "; ".join(part for part in (seen, cell.reason if cell.results else "") if part)
            cells.append(Cell(words, "muted" if tone == "muted" and subject.kind != "measured" else tone, below))
        rows.append(tuple(cells))
    return Table(
        "Expectations, set in the scenario before the run: worst verdict over the counted runs, values per run. "
        "A threshold without samples fails.",
        (Column("Expectation", "left", 4), *(Column(s.title, "left", 3, tone_of(s)) for s in scenario.subjects)),
        tuple(rows),
    )


def _what_was_run(scenario: ScenarioComparison) -> list[Block]:
    pairs = [
        ("Scenario", f"{scenario.name} ({scenario.file}), seed {scenario.seed}, SHA-256 {scenario.sha256[:16]}…"),
        ("Evidence for", listed(list(scenario.evidences)) or NOTHING),
        ("Parameters", ", ".join(f"{k} = {v}" for k, v in sorted(scenario.params.items())) or "as in the file"),
        *((f"Varied: {dimension}", value) for dimension, value in scenario.varied.items()),
        ("Durability class", scenario.durability),
        (
            "Phases",
            f"warm-up {declared(scenario.warm_up_s)}, measured {declared(scenario.measured_s)}, drain",
        ),
        ("Steady", steady(scenario)),
        ("Faults", faults_declared(scenario)),
        ("Runs", counted_in(scenario)),
    ]
    rows = []
    for subject in scenario.subjects:
        for site in subject.sites:
            product = f"{site.product} {site.version}" + (f", {site.edition}" if site.edition else "")
            mapping = f"{site.mapping.get('name', 'unknown')} v{site.mapping.get('version', '?')}"
            known = listed(list(dict.fromkeys(site.durability.values())))
            rows.append(
                (
                    Cell(
                        site.target,
                        tone_of(subject),
                        below=f"{_place(subject, site)}{site.source}, profile {site.profile}",
                    ),
                    Cell(product, tone_of(subject), below=site.client),
                    Cell(mapping, tone_of(subject)),
                    Cell(known, tone_of(subject)),
                    Cell(site.kind, tone_of(subject)),
                )
            )
    columns = (
        Column("Target", "left", 2),
        Column("Broker and client", "left", 3),
        Column("Mapping", "left", 2),
        Column("Durability", "left", 2),
        Column("Kind", "left", 1),
    )
    blocks: list[Block] = [Heading(1, "What was run", new_page=True), Facts(tuple(pairs))]
    if rows:  # none where no target came so far as to be set up
        caption = "Targets: how the neutral scenario became native objects, and how it is known."
        blocks.append(Table(caption, columns, tuple(rows)))
    blocks += _services(scenario)
    return blocks + [Paragraph(text, "note") for text in _labels(scenario)]


def _place(subject: Subject, site: Site) -> str:
    return "" if len(subject.sites) == 1 else f"site {site.site}, "


def _services(scenario: ScenarioComparison) -> list[Block]:
    """What stands between channels: not crep's to vouch for, but declared, and held to that by the ledger."""
    rows = tuple(
        (
            Cell(service.channel, tone_of(subject), below=subject.title if len(scenario.subjects) > 1 else ""),
            Cell(service.what, tone_of(subject), below=service.transform),
            Cell(", ".join(map(str, service.starts)), tone_of(subject)),
            Cell(", ".join(NOTHING if n is None else str(n) for n in service.given_up), tone_of(subject)),
            Cell("by force" if service.forced else "in order", tone_of(subject)),
        )
        for subject in scenario.subjects
        for service in subject.services
    )
    if not rows:
        return []
    caption = (
        "Services between channels, and what is declared of them: what must arrive behind them is computed from that. "
        "Latency behind them counts from the intended send to the channel that they take. Starts and given up: per run."
    )
    columns = (
        Column("Fills", "left", 2),
        Column("Service", "left", 6),
        Column("Starts", "right", 1),
        Column("Given up", "right", 1),
        Column("Ended", "left", 1),
    )
    return [Table(caption, columns, rows)]


def _labels(scenario: ScenarioComparison) -> list[str]:
    """Marks that every reader of the numbers must see, with the targets that bear them."""
    bearers: dict[tuple[str, str], list[str]] = {}
    for subject in scenario.subjects:
        for label in sorted(subject.labels.items()):
            bearers.setdefault(label, []).append(subject.title)
    return [f"{code} ({listed(titles)}): {text}" for (code, text), titles in bearers.items()]


def _fault_of(scenario: ScenarioComparison, subject: Subject, key: tuple[int, str, float]) -> FaultSummary | None:
    found = (f for f in scenario.fault_summaries if (f.subject, f.index) == (subject.key, key[0]))
    return next(found, None)


def _curve_of(scenario: ScenarioComparison, subject: Subject, metric: str, where: str) -> Curve | None:
    found = (c for c in scenario.curves if (c.subject, c.metric, c.where) == (subject.key, metric, where))
    return next(found, None)

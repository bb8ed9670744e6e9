"""``docs/soak.md``: one row per claim and commit, nothing left out, failures first to see below the table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from statistics import median

from soak.claim import Claim
from soak.interval import NAME, clopper_pearson
from soak.trials import Trial

_COMMIT = 10  # digits
_SHOWN_FAILURES = 20


def page(claims: Sequence[Claim], trials: Sequence[Trial], earlier: str = "") -> str:
    """The whole page, from every trial on record here; of the ``earlier`` page it keeps what was tried elsewhere.

    Args:
        claims: all of them.
        trials: on record on this machine.
        earlier: the page as it was.
    """
    here = {(trial.claim, _short(trial.commit)) for trial in trials}
    rows, told = _elsewhere(earlier, here)
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial.claim, trial.commit].append(trial)
    lines = [
        "# Soak: how often each claim was tried",
        "",
        "Written by `make soak`; do not edit. One row per claim and commit, newest first. *95 % interval*: "
        f"{NAME}, two-sided, of the probability that one trial holds. Figures are the median and the range over the "
        "trials; those of the emulator are no measurement of Solace.",
        "",
        "| claim | tried | held | 95 % interval | figures | last tried | commit | host |",
        "|---|---|---|---|---|---|---|---|",
    ]
    failures: list[Trial] = []
    for claim in claims:
        mine = [group for (name, _), group in groups.items() if name == claim.name]
        for group in sorted(mine, key=lambda group: max(trial.started_utc for trial in group), reverse=True):
            lines.append(_row(claim, group))
            failures += [trial for trial in group if not trial.held]
        lines += rows[claim.name]
        if not mine and not rows[claim.name]:
            lines.append(f"| {claim.name} | 0 of {claim.count} | – | – | – | – | – | – |")
    lines += ["", "## The claims", ""]
    lines += [f"* **{claim.name}** (a whole soak tries it {claim.count} times): {claim.text}" for claim in claims]
    if failures or told:
        lines += ["", "## Trials that did not hold", ""]
        lines += [
            f"* {trial.claim}, seed {trial.seed}, commit {_short(trial.commit)}: {'; '.join(trial.why)}"
            for trial in failures[:_SHOWN_FAILURES]
        ]
        if len(failures) > _SHOWN_FAILURES:
            lines.append(f"* and {len(failures) - _SHOWN_FAILURES} more")
        lines += told
    return "\n".join(lines) + "\n"


def _row(claim: Claim, trials: Sequence[Trial]) -> str:
    held = sum(trial.held for trial in trials)
    low, high = clopper_pearson(held, len(trials))
    last = max(trial.started_utc for trial in trials)
    hosts = ", ".join(sorted({trial.host for trial in trials}))
    cells = [
        claim.name,
        f"{len(trials)} of {claim.count}",
        str(held),
        f"{low:.1%}–{high:.1%}",
        figures(trials) or "–",
        last[:10],
        _short(trials[0].commit),
        hosts,
    ]
    return "| " + " | ".join(cells) + " |"


def _elsewhere(page: str, here: Collection[tuple[str, str]]) -> tuple[dict[str, list[str]], list[str]]:
    """Rows by claim, and lines about trials that did not hold, of commits that were not tried here."""
    rows: dict[str, list[str]] = defaultdict(list)
    for row in re.finditer(r"^\| (?P<claim>[a-z0-9-]+) \|.*\| (?P<commit>[^|–]+) \| [^|]+ \|$", page, re.MULTILINE):
        if (row["claim"], row["commit"]) not in here and row["claim"] != "claim":
            rows[row["claim"]].append(row[0])
    line = r"^\* (?P<claim>[a-z0-9-]+), seed \d+, commit (?P<commit>[^:]+): .*$"
    failed = re.finditer(line, page, re.MULTILINE)
    return rows, [one[0] for one in failed if (one["claim"], one["commit"]) not in here]


def figures(trials: Sequence[Trial]) -> str:
    """``outage s: 4.2 (3.9–5.1)`` for every figure; with the number of trials that have it, where not all do."""
    values: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        for name, value in trial.figures.items():
            values[name].append(value)
    return "<br>".join(
        f"{name}: {median(found):.4g} ({min(found):.4g}–{max(found):.4g})"
        + (f", in {len(found)} trials" if len(found) < len(trials) else "")
        for name, found in values.items()
    )


def _short(commit: str) -> str:
    name, dash, _ = commit.partition("-")
    return name[:_COMMIT] + (" with uncommitted changes" if dash else "")

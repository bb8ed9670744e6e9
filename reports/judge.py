"""What may be said: functional verdicts, who may take part in a performance verdict, who wins. Pure.

`standing` is the gate of METHOD rules 8, 12, 15, 16 and 18, and `contest` lets nobody in without it: no number of an
emulated target, of the profile *quick* or of an invalid run ever reaches the statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crep.harness.checks.results import ExpectationResult, Verdict
from crep.harness.checks.statistics import LEAST_REPETITIONS
from crep.harness.runs.document import RunDocument
from crep.reports.blocks import plural
from crep.reports.comparison import (
    Contest,
    ExpectationCell,
    ExpectationRow,
    FunctionalVerdict,
    Kind,
    RunState,
    Standing,
    Subject,
)
from crep.reports.gather import Origin, RunData, results_of, run_ids

BARRING = {
    "client-bound": "the load generator was near its own limit (client-bound)",
    "capped": "a limit of the edition, a quota or the host bound the number (capped)",
    "late-criteria": "the scenario is dated after the start of the run (late-criteria)",
}
"""Labels that bar every performance verdict (METHOD rules 8, 12 and 15)."""
_UNFINISHED: Mapping[str, tuple[RunState, str]] = {
    "running": ("incomplete", "the run is still going on"),
    "incomplete": ("incomplete", "ended from outside before it was finished; what was measured is kept"),
    "interrupted": ("interrupted", "ended early by the user; what was measured is kept"),
    "failed": ("failed", "the run ended with an error"),
    "not-supported": ("not-supported", "the target cannot do what the scenario asks"),
}
_WEAKEST_FIRST: tuple[Kind, ...] = ("mock", "emulated", "measured")
_WORST_FIRST: tuple[Verdict, ...] = ("failed", "no-data", "not-judged", "passed")
_BAD: tuple[Verdict, ...] = ("failed", "no-data")
KIND_OF: Mapping[str, Kind] = {"genuine": "measured", "emulated": "emulated", "mock": "mock"}


def kind_of(documents: Iterable[RunDocument]) -> Kind:
    """The weakest site of all runs decides: a chain with one emulated broker in it measures nothing."""
    kinds = {KIND_OF[site.genuineness] for document in documents for site in document.sites.values()}
    return next((kind for kind in _WEAKEST_FIRST if kind in kinds), "unknown")


def state_of(run: RunData) -> tuple[RunState, str]:
    """Whether the run counts, and in one sentence why not."""
    document, results = run.document, run.document.results
    if run.state != "complete":
        state, default = _UNFINISHED[run.state]
        return state, document.failure or default
    if results is None:
        return "unchecked", "the run has not been checked"
    if not results.valid:
        broken = "; ".join(f"{rule.name}: {rule.text}" for rule in results.rules if not rule.holds)
        return "invalid", broken if document.kind == "measured" else f"control run, used for no outage: {broken}"
    if document.kind == "control":
        return "control", "no-fault control run: subtracted from outages, not averaged in"
    return "counted", ""


def refusal(runs: Sequence[RunData]) -> str:
    """Why the target does not support the scenario, in one line; empty where it does or may.

    ``runs`` are all those of one subject, oldest first: what it once could not, it may since have been set up for.
    """
    states = [state_of(run) for run in runs]
    if any(state == "counted" for state, _ in states) or states[-1][0] != "not-supported":
        return ""
    return " ".join(states[-1][1].splitlines()[0].split())


def standing(kind: Kind, system: str, profile: str, labels: Iterable[str]) -> Standing:
    """Whether a subject may be compared in performance at all."""
    if kind == "emulated":
        return Standing(comparable=False, why=f"emulator, not a measurement of {system}")
    if kind == "mock":
        return Standing(comparable=False, why=f"mock, not a measurement of {system}")
    if kind == "unknown":
        return Standing(comparable=False, why="no run came so far as to say what the broker is")
    if profile != "default":
        return Standing(comparable=False, why=f"profile {profile}: its time-outs are not the vendor's defaults")
    for label in labels:
        if label in BARRING:
            return Standing(comparable=False, why=BARRING[label])
    return Standing(comparable=True, why="")


def expectations(origin: Origin, place: Standing, runs: Sequence[RunData]) -> dict[str, ExpectationCell]:
    """One cell per expectation text: the worst verdict over the counted runs."""
    found: dict[str, list[ExpectationResult]] = {}
    for run in runs:
        for result in results_of(run).expectations:
            found.setdefault(result.text, []).append(_admitted(result, place))
    cells = {}
    for text, results in found.items():
        worst = min(results, key=lambda r: _WORST_FIRST.index(r.verdict))
        cells[text] = ExpectationCell(
            subject=origin.subject,
            verdict=worst.verdict,
            reason=worst.reason,
            results=tuple(results),
            runs=run_ids(runs),
        )
    return cells


def expectation_rows(
    subjects: Sequence[str], cells: Mapping[str, Mapping[str, ExpectationCell]]
) -> tuple[ExpectationRow, ...]:
    """Rows over all subjects, in the order of the scenario."""
    texts = dict.fromkeys(text for of_subject in cells.values() for text in of_subject)
    rows = []
    for text in texts:
        first = next(cells[s][text] for s in subjects if text in cells[s]).results[0]
        empty = [
            ExpectationCell(subject=s, verdict=None, reason="no run counted", results=(), runs=()) for s in subjects
        ]
        rows.append(
            ExpectationRow(
                text=text,
                kind=first.kind,
                evidences=first.evidences,
                cells=tuple(cells[s].get(text, none) for s, none in zip(subjects, empty, strict=True)),
            )
        )
    return tuple(rows)


def performance_failed(cells: Iterable[ExpectationCell]) -> int:
    """How many performance expectations were judged and not met: they fail a run as functional ones do."""
    return sum(c.verdict in _BAD for c in cells if c.results and c.results[0].kind == "performance")


def functional(
    cells: Iterable[ExpectationCell], counted: int, listed: int, refused: str = ""
) -> tuple[FunctionalVerdict, str]:
    """The functional verdict of one subject and its reason in words; ``refused`` as `refusal` has it."""
    if refused:
        return "not-supported", f"{refused}. Found before any load was sent, and tried once."
    if counted == 0:
        return "no-verdict", f"none of {plural(listed, 'run')} could be counted"
    judged = [c for c in cells if c.results and c.results[0].kind == "functional"]
    if not judged:
        return "no-verdict", "the scenario has no functional expectation"
    bad = [c for c in judged if c.verdict in _BAD]
    over = f"in {plural(counted, 'run')}"
    if counted < listed:
        over += f" ({listed - counted} of {listed} could not be counted)"
    if bad:
        return "failed", f"{len(bad)} of {plural(len(judged), 'functional expectation')} not met {over}"
    return "passed", f"{plural(len(judged), 'functional expectation')} met {over}"


def performance(subjects: Sequence[Subject], found: Sequence[Contest]) -> tuple[str, ...]:
    """The performance verdict in sentences: who wins what, or why nobody does; who was left out and why."""
    ran = [s for s in subjects if s.functional != "not-supported"]
    if not ran:
        return ("No performance verdict: no target supports the scenario.",)
    sentences = [_verdict(subjects, found)]
    barred = "; ".join(f"{s.title}: {s.standing.why}" for s in subjects if not s.standing.comparable)
    if barred:
        sentences.append(f"Out of every performance verdict: {barred}.")
    repetitions = min(len(s.counted) for s in ran)
    if repetitions < LEAST_REPETITIONS:
        counted = f"{plural(repetitions, 'repetition')} counted"
        sentences.append(f"{counted}: below {LEAST_REPETITIONS} there is neither an interval nor a winner.")
    return tuple(sentences)


def _verdict(subjects: Sequence[Subject], found: Sequence[Contest]) -> str:
    admitted = [s for s in subjects if s.standing.comparable]
    if len(subjects) == 1:
        return "No performance verdict: one target was run, so there is nothing to compare."
    if len(admitted) < 2:
        who = f"only {admitted[0].title} may be compared" if admitted else "no target may be compared"
        return f"No performance verdict: {who}."
    if len({s.durability for s in admitted}) == len(admitted):
        return "No performance verdict: the durability classes differ."
    won = [contest.statement for contest in found if contest.winner]
    if won:
        return "; ".join(won) + "."
    if any(contest.p_value is not None for contest in found):
        return "No winner: no difference is certain enough (95 %, corrected over all comparisons)."
    return "No winner."


def _admitted(result: ExpectationResult, place: Standing) -> ExpectationResult:
    """A performance threshold on a subject that may not be compared is not judged, whatever the run's own file says."""
    if result.kind == "functional" or place.comparable or result.verdict == "no-data":
        return result
    return result.model_copy(update={"verdict": "not-judged", "reason": place.why})

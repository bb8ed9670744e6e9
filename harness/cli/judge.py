"""Joins what was recorded, what was planned and what is judged; the only place that knows all three."""

from __future__ import annotations

import hashlib
from pathlib import Path

from crep.harness.checks.balance import NOT_KEPT
from crep.harness.checks.channel import channel_runs
from crep.harness.checks.evaluate import evaluate
from crep.harness.checks.ledger import ledger
from crep.harness.checks.results import ReaderLedger, RunResults
from crep.harness.config.errors import UsageError
from crep.harness.runs.folder import INPUTS
from crep.harness.runs.read import Run, read_run
from crep.harness.scenario.load import parse_scenario
from crep.harness.scenario.plan import Plan, plan, without_faults


def evaluate_folder(folder: Path) -> RunResults:
    """All verdicts of a run, from its folder and that of its control run, and from nothing else.

    Raises:
        UsageError: the folder holds no run, or a damaged one, or its control run is not beside it.
    """
    run = read_run(folder)
    control = None if run.document.control is None else _control_of(folder, run.document.control)
    return evaluate(run, plan_of(run), control)


def contradictions(run: Run) -> tuple[str, ...]:
    """Where ``run.json`` says something else than its own folder: the names of its parts, none for a true one.

    Every count and verdict is computed again from the ledger's bitmaps, counters and anomalies, and from the windows.
    Where each message's records were kept, the ledger is moreover computed from these alone, in the one-step way that
    is its specification (``checks.ledger``), not in the one that was taken while the run went on.

    Raises:
        UsageError: as ``evaluate_folder``.
    """
    scenario, claimed = run.document.scenario, run.document.results
    found = []
    if hashlib.sha256(scenario.text.encode()).hexdigest() != scenario.sha256:
        found.append("scenario text (its SHA-256 is another)")
    for name, sha256 in scenario.files.items():
        copy = run.path / INPUTS / name
        if not copy.is_file():
            raise UsageError(f"{copy} is missing: the run was made with it", hint="keep the run folder together")
        if hashlib.sha256(copy.read_bytes()).hexdigest() != sha256:
            found.append(f"{INPUTS}/{name} (its SHA-256 is another)")
    if claimed is not None:
        computed = evaluate_folder(run.path)
        parts = claimed.model_fields_set  # what an older crep did not look at it cannot have got wrong
        found += [
            part
            for part in RunResults.model_fields
            if part in parts and getattr(computed, part) != getattr(claimed, part)
        ]
        if run.document.records_kept and not _as_recorded(run, claimed):
            found.append("ledger (the records of the messages say something else)")
    return tuple(found)


def _as_recorded(run: Run, claimed: RunResults) -> bool:
    ledgers = [
        ledger(
            channel.history,
            drain_clean=run.drain is not None and run.drain.clean,
            t0_ns=channel.t0_ns,
            rejection_reasons=run.rejection_reasons(channel.name),
        )
        for channel in channel_runs(run, plan_of(run)).values()
    ]
    readers = [reader for _, found in ledgers for reader in found]
    if tuple(channel for channel, _ in ledgers) != claimed.channels or len(readers) != len(claimed.readers):
        return False
    return all(_same(one, other) for one, other in zip(readers, claimed.readers, strict=True))


def _same(recorded: ReaderLedger, claimed: ReaderLedger) -> bool:
    """All counts, and every offender but for kinds of which the tally says that it could not keep all."""
    vague = {offender.kind for offender in claimed.offenders if offender.detail.endswith(NOT_KEPT)}

    def comparable(one: ReaderLedger) -> ReaderLedger:
        return one.model_copy(update={"offenders": tuple(each for each in one.offenders if each.kind not in vague)})

    return comparable(recorded) == comparable(claimed)


def plan_of(run: Run) -> Plan:
    """What the run was to do, from the scenario's text that it carries, and the files beside it."""
    written = run.document.scenario
    scenario = parse_scenario(
        written.text,
        Path(written.file),
        written.params,
        varied=next(iter(written.varied.items()), None),
        inputs=run.path / INPUTS,
    )
    made = plan(scenario)
    return without_faults(made) if run.document.kind == "control" else made


def _control_of(folder: Path, run_id: str) -> Run:
    """The control run lies beside the repetitions: same campaign, scenario and binding."""
    missing = UsageError(
        f"{folder}: its control run {run_id} is missing", hint="keep the campaign folder together: control, 1, 2, …"
    )
    beside = folder.resolve().parent / "control"
    if not beside.is_dir():
        raise missing
    control = read_run(beside)
    if control.document.run_id != run_id:
        raise missing
    return control

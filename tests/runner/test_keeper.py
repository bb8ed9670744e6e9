"""The thread that keeps the ledger: it works behind the run, and what stops it stops the run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.metrics.history import DONE
from crep.harness.runner.keeper import LedgerKeeper, keeps_records
from crep.harness.runs.ledger import LedgerFolder, load_tallies
from tests.checks.simulated import T0, a_plan
from tests.runs.appended import Recorded, clients_of, plan_with


def test_records_stay_where_outages_are_judged_or_where_they_were_asked_for() -> None:
    faults, none = a_plan(), a_plan(kill_at_s=None)
    assert keeps_records(faults, "measured", asked=False)
    assert keeps_records(none, "control", asked=False)
    assert keeps_records(none, "measured", asked=True)
    assert not keeps_records(none, "measured", asked=False)


def test_what_is_left_when_the_engines_have_ended_is_folded_too(tmp_path: Path) -> None:
    run = Recorded(plan_with(guaranteed=True, order="per-key"), seed=1)
    keeper = LedgerKeeper(LedgerFolder(tmp_path, run.plan, T0, keep_records=False))
    for client in clients_of(run, tmp_path, None):
        client.write(DONE, mark=False)  # without a mark nothing may be folded before the end
    keeper.finish()
    (tally,) = load_tallies(tmp_path, run.plan, T0).values()
    assert [reader.receipts for reader in tally.readers] == [
        sum(len(records) for (name, _), records in run.got.items() if name == reader.spec.name)
        for reader in tally.readers
    ]
    assert not list(tmp_path.glob("reader-*"))


def test_a_ledger_that_cannot_be_written_is_said_at_the_next_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerFolder(tmp_path, a_plan(), T0, keep_records=True)

    def full() -> bool:
        raise EnvironmentFailure("no space is left")

    monkeypatch.setattr(ledger, "step", full)
    keeper = LedgerKeeper(ledger)
    deadline = time.monotonic() + 10
    while keeper.failure is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(EnvironmentFailure, match="no space"):
        keeper.check()
    with pytest.raises(EnvironmentFailure, match="no space"):
        keeper.finish()

"""A world as the ledger judges it."""

from __future__ import annotations

from crep.harness.checks.ledger import ledger
from crep.harness.checks.results import ReaderLedger
from tests.checks.honest import KINDS, T0, World


def judged(world: World, drain_clean: bool = True) -> dict[str, ReaderLedger]:
    _, readers = ledger(world.history(), drain_clean=drain_clean, t0_ns=T0)
    return {reader.reader: reader for reader in readers}


def counts(reader: ReaderLedger) -> dict[str, int]:
    return {kind: getattr(reader, kind) for kind in KINDS}


def accused(reader: ReaderLedger) -> dict[str, int]:
    """All that is not zero in a ledger, apart from what an honest run has as well."""
    return {k: v for k, v in counts(reader).items() if v and k not in {"expected", "received", "receipts"}}

"""What a publisher did before it was ended, by its records: it goes on from there, or somebody else speaks for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from crep.harness.brokers.contract import Outcome
from crep.harness.load.protocol import PublisherDone, PublisherTask
from crep.harness.metrics.history import OUTCOME, SENT, Records, outcomes_file, read_records, sent_file, whole_records


def settled(sent: int, outcomes: Records) -> Counter[str]:
    """What so many sends came to: ``sent``, ``acknowledged``, ``rejected``, ``unknown``.

    Of several outcomes of one message the acknowledgement counts. What has none is unknown for good: the process that
    would have heard of it is gone, and nothing is ever sent again.
    """
    seen = {kind: np.unique(outcomes["sequence"][outcomes["outcome"] == kind]) for kind in Outcome}
    acknowledged = seen[Outcome.ACKNOWLEDGED]
    rejected = np.setdiff1d(seen[Outcome.REJECTED], acknowledged, assume_unique=True)
    told = len(np.union1d(acknowledged, rejected)) + len(
        np.setdiff1d(seen[Outcome.SENT], np.union1d(acknowledged, rejected), assume_unique=True)
    )
    return Counter(sent=sent, acknowledged=len(acknowledged), rejected=len(rejected), unknown=max(0, sent - told))


def earlier(ledger: Path, publisher: int) -> Counter[str]:
    """What a publisher's records come to; all zero where it never was."""
    path = ledger / outcomes_file(publisher)
    outcomes = read_records(path, OUTCOME) if path.exists() else np.empty(0, OUTCOME)
    return settled(whole_records(ledger / sent_file(publisher), SENT), outcomes)


def done_by_its_records(ledger: Path, task: PublisherTask) -> PublisherDone:
    """The last word of a publisher that cannot say it any more. What it did not come to counts as unsent."""
    number, count = task.plan.publisher, task.plan.count
    known = earlier(ledger, number)
    return PublisherDone(
        task.spec.name,
        number,
        task.spec.channel,
        intended=count,
        sent=known["sent"],
        acknowledged=known["acknowledged"],
        rejected=known["rejected"],
        unknown=known["unknown"],
        unsent=max(0, count - known["sent"]),
    )

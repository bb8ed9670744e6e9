"""Fold so many synthetic messages into a tally and print what it cost, as JSON: ``python -m … MESSAGES LOSS``.

A process of its own, because its memory is the question. One publisher, one reader with four members; messages come in
the order of their keys' partitions, so neither sequences nor keys are sorted. A share of ``LOSS`` never comes.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

from crep.harness.brokers.contract import Outcome, ReaderSpec
from crep.harness.checks.balance import channel_ledger, reader_ledger
from crep.harness.checks.planned import FromPlan
from crep.harness.checks.tally import ChannelTally, Clock
from crep.harness.metrics.history import OUTCOME, RECEIVED, SENT
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

BATCH = 1 << 16
PARTITIONS = 4
RATE = 1_000_000


class Computed:
    """``Handovers`` of a publisher that is never late."""

    def __init__(self, planned: FromPlan) -> None:
        self._planned = planned

    def put(self, sequences: np.ndarray, sent_ns: np.ndarray) -> None:
        """Nothing to keep."""

    def get(self, sequences: np.ndarray) -> np.ndarray:
        """The intended times."""
        return self._planned.intended_ns(sequences)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(messages: int, loss: float) -> None:
    """Fold, and say what came out and what it took."""
    profile = Profile(tuple(hold(RATE, messages / RATE)))
    plan = PublisherPlan(
        publisher=0,
        site="bus",
        channel="orders",
        load=0,
        index=0,
        of=1,
        guaranteed=True,
        seed=7,
        profile=profile,
        assignment=Assignment(7, 0, 1, 1000, 1),
        sizes=Sizes(((100, 1.0),)),
    )
    planned = FromPlan(plan)
    spec = ReaderSpec("billing", "group", PARTITIONS, "at-least-once", order="per-key")
    tally = ChannelTally.empty(
        "orders",
        Clock(0, round(profile.duration_s * 1e9)),
        {0: (planned, Computed(planned))},
        [(spec, np.ones(1, np.bool_))],
    )
    (publisher,), (reader,) = tally.publishers, tally.readers
    chance = np.random.default_rng(11)
    before = _peak_bytes()
    folding_s = 0.0
    for first in range(0, messages, BATCH):
        sequences = np.arange(first, min(first + BATCH, messages), dtype=np.uint64)
        key, key_sequence = planned.identity(sequences)
        intended_ns = planned.intended_ns(sequences)
        sent = np.zeros(len(sequences), SENT)
        sent["sequence"], sent["intended_ns"], sent["sent_ns"] = sequences, intended_ns, intended_ns
        sent["key"], sent["key_sequence"] = key, key_sequence
        outcomes = np.zeros(len(sequences), OUTCOME)
        outcomes["sequence"], outcomes["at_ns"], outcomes["outcome"] = sequences, intended_ns, Outcome.ACKNOWLEDGED
        member = (key % PARTITIONS).astype(np.uint16)
        order = np.argsort(member, kind="stable")
        order = order[chance.random(len(order)) >= loss]
        received = np.zeros(len(order), RECEIVED)
        for name in ("sequence", "intended_ns", "key", "key_sequence"):
            received[name] = sent[name][order]
        received["received_ns"] = int(intended_ns[-1]) + 1000 + np.arange(len(order)) % 5
        received["received_ns"].sort()
        started = time.process_time()
        tally.sends(publisher, sent)
        publisher.outcomes(outcomes)
        reader.fold(received, member[order])
        folding_s += time.process_time() - started
    peak = _peak_bytes()
    channel, found = channel_ledger(tally), reader_ledger(tally, reader, drain_clean=True)
    sys.stdout.write(
        json.dumps(
            {
                "acknowledged": channel.acknowledged,
                "received": found.received,
                "lost": found.lost,
                "reordered": found.reordered,
                "peak_bytes": peak,
                "grown_bytes": peak - before,
                "messages_per_cpu_s": messages / folding_s,
            }
        )
    )


if __name__ == "__main__":
    main(int(float(sys.argv[1])), float(sys.argv[2]))

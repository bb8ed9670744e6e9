"""Clients that append what a broker did that does anything at all: drawn from a seed, written as time passes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from crep.harness.brokers.contract import ChannelSpec, Durability, Outcome, ReaderSpec
from crep.harness.metrics.history import (
    CORRUPT,
    FOREIGN,
    MARK,
    OUTCOME,
    RECEIVED,
    SENT,
    RecordFile,
    Records,
    outcomes_file,
    publisher_marks,
    reader_marks,
    received_file,
    sent_file,
)
from crep.harness.scenario.plan import Plan
from tests.checks.simulated import T0, a_plan

MEASURED_S = 2


def plan_with(*, guaranteed: bool, order: str) -> Plan:
    readers = (
        ReaderSpec("billing", "group", 3, "at-least-once", order="none" if order == "none" else "per-key"),
        ReaderSpec("audit", "exclusive", 1, "at-least-once", topic_filter="orders/eu", order="per-key"),
        ReaderSpec("screen", "all", 1, "at-most-once"),
    )
    made = a_plan(rate=100, measured_s=MEASURED_S, warm_up_s=1, keys=20, kill_at_s=None, guaranteed=guaranteed)
    channel = ChannelSpec("orders", ("orders/eu", "orders/us"), 20, readers, Durability(1, "disk"))
    return replace(made, channels={"bus": (channel,)})


@dataclass
class Recorded:
    """``checks.channel.Recorded``: a run with a broker that does anything at all, drawn from a seed."""

    plan: Plan
    seed: int
    t0_ns: int = T0
    sends: dict[int, Records] = field(default_factory=dict)
    settled: dict[int, Records] = field(default_factory=dict)
    got: dict[tuple[str, int], Records] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chance = np.random.default_rng(self.seed)
        for publisher in self.plan.publishers:
            sequences = np.arange(publisher.count - int(chance.integers(0, 4)), dtype=np.uint64)
            sent = np.zeros(len(sequences), SENT)
            sent["sequence"], sent["intended_ns"] = sequences, publisher.intended_ns(sequences) + T0
            sent["sent_ns"] = sent["intended_ns"] + chance.integers(0, 3_000_000, len(sent))
            sent["key"], sent["key_sequence"] = publisher.assignment.of(sequences)
            sent["topic"] = publisher.assignment.topic_of(sent["key"])
            self.sends[publisher.publisher] = sent
            outcomes = np.zeros(len(sent), OUTCOME)
            outcomes["sequence"] = sequences
            outcomes["at_ns"] = sent["sent_ns"] + chance.integers(0, 400_000_000, len(sent))
            kinds = [Outcome.ACKNOWLEDGED] * 8 + [Outcome.REJECTED, Outcome.UNKNOWN]
            outcomes["outcome"] = chance.choice(
                kinds if publisher.guaranteed else [Outcome.SENT] * 9 + kinds[8:9], len(sent)
            )
            outcomes = outcomes[chance.random(len(outcomes)) < 0.95]
            self.settled[publisher.publisher] = outcomes[np.argsort(outcomes["at_ns"], kind="stable")]
        for reader in self.plan.channels["bus"][0].readers:
            everything = np.concatenate([self._received(chance, number) for number in self.sends])
            members = chance.integers(0, reader.members, len(everything))
            if chance.random() < 0.5:
                members = everything["key"] % reader.members
            for member in range(reader.members):
                mine = everything[members == member]
                self.got[reader.name, member] = mine[np.argsort(mine["received_ns"], kind="stable")]

    def _received(self, chance: np.random.Generator, publisher: int) -> Records:
        sent = self.sends[publisher]
        copies = chance.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3], len(sent))
        sent = np.repeat(sent, copies)
        got = np.zeros(len(sent), RECEIVED)
        for name in ("sequence", "intended_ns", "key", "key_sequence"):
            got[name] = sent[name]
        delay = np.where(chance.random(len(got)) < 0.1, 700_000_000, 2_000_000)
        # coarse, so that receipts of several members share an instant
        got["received_ns"] = (sent["sent_ns"] + chance.integers(0, delay + 1)) // 10_000_000 * 10_000_000 + 10_000_000
        got["publisher"], got["redelivered"] = publisher, chance.choice([0, 0, 0, 1, 2], len(got))
        got["fault"] = chance.choice([0] * 30 + [CORRUPT, FOREIGN], len(got))
        forged = chance.random(len(got)) < 0.03
        got["key_sequence"][forged] += 1
        invented = chance.random(len(got)) < 0.02
        got["sequence"][invented] = 2**63
        return got

    def sent(self, publisher: int) -> Records:
        return self.sends[publisher]

    def outcomes(self, publisher: int) -> Records:
        return self.settled[publisher]

    def receipts(self, channel: str, reader: str, member: int) -> Records:
        return self.got[reader, member]


class Client:
    """Appends one client's records as time passes, with marks."""

    def __init__(self, folder: Path, files: dict[str, tuple[Records, str]], marks: str, segment: int | None) -> None:
        self.files = {
            name: (records, records[by].copy(), RecordFile(folder / name, records.dtype, segment))
            for name, (records, by) in files.items()
        }
        self.at = dict.fromkeys(files, 0)
        self.marks = RecordFile(folder / marks, MARK)

    def write(self, until_ns: int, *, mark: bool) -> None:
        for name, (records, times, file) in self.files.items():
            end = int(np.searchsorted(np.maximum.accumulate(times), until_ns, "right"))
            file.append(records[self.at[name] : end])
            self.at[name] = end
        if mark:
            line = np.zeros(1, MARK)
            line["until_ns"] = until_ns
            line["records"][0, : len(self.at)] = list(self.at.values())
            self.marks.append(line)


def clients_of(run: Recorded, folder: Path, segment: int | None) -> list[Client]:
    publishers = [
        Client(
            folder,
            {sent_file(n): (run.sends[n], "sent_ns"), outcomes_file(n): (run.settled[n], "at_ns")},
            publisher_marks(n),
            segment,
        )
        for n in run.sends
    ]
    readers = [
        Client(
            folder,
            {received_file("orders", reader, member): (records, "received_ns")},
            reader_marks("orders", reader, member),
            segment,
        )
        for (reader, member), records in run.got.items()
    ]
    return publishers + readers

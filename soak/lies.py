"""The lying broker tells a random mixture of lies to real engines: the ledger names exactly those, and nothing else."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crep.harness.brokers.contract import ReaderSpec
from crep.harness.checks.results import ChannelLedger, ReaderLedger
from crep.harness.load.engines import PublisherDone, Said
from soak import records
from soak.claim import Verdict
from tests.fakes.lying_broker import Lies, LyingBroker

KEYS = 40
RATE, FOR_S = 500.0, 3.0
CYCLE = 3
"""Lies are told in every third cycle of the keys only, so that none disturbs what another shows."""
READERS = (
    ReaderSpec("billing", "group", 2, "at-least-once", order="per-key"),
    ReaderSpec("screen", "all", 1, "at-most-once"),
)
SHORT_S, LONG_S = 0.5, 60.0
"""A delay that is overtaken but ends before the drain does, and one that ends long after it."""
QUIET_S = 1.5
_PUBLISHED_WITHIN_S = 30.0

OF_DELIVERY = ("drop", "double", "redeliver", "reorder", "corrupt", "delay", "delay past the drain")
OF_OUTCOME = ("reject", "reject_and_deliver", "silent", "swallow")
MOST_OF_A_KIND = 8

SHOWN_AS: Mapping[str, Counter[str]] = {
    "drop": Counter(lost=1),
    "delay past the drain": Counter(lost=1),
    "double": Counter(duplicates_unflagged=1),
    "redeliver": Counter(duplicates_flagged=1),
    "reorder": Counter(reordered=1),
    "delay": Counter(reordered=1),
    "corrupt": Counter(corrupt=1, lost=1),
    "reject_and_deliver": Counter(rejected_received=1),
    "silent": Counter(unknown_received=1),
    "swallow": Counter(missing_unknown=1),
    "reject": Counter(),
}
"""What one lie is in the ledger of an at-least-once reader that is owed order."""
ALLOWED = {"lost": "missing_allowed", "reordered": "reordered_allowed"}
"""The same where the reader is at-most-once."""
ACCUSATIONS = (
    "lost",
    "pending",
    "missing_allowed",
    "missing_unknown",
    "unknown_received",
    "rejected_received",
    "duplicates_flagged",
    "duplicates_unflagged",
    "duplicates_flag_not_offered",
    "reordered",
    "reordered_allowed",
    "corrupt",
    "foreign",
    "unexpected",
)


@dataclass(frozen=True)
class Mixture:
    """Which lies are told: kind → sequence numbers, each number in one of them; ``readers`` None: to both."""

    told: Mapping[str, frozenset[int]]
    readers: frozenset[str] | None

    @classmethod
    def of(cls, seed: int) -> Mixture:
        """The mixture of a seed."""
        chance = random.Random(f"lies {seed}")  # noqa: S311 - a trial is to be repeatable
        cycles = range(CYCLE, int(RATE * FOR_S) // KEYS - 2 * CYCLE, CYCLE)
        numbers = [cycle * KEYS + place for cycle in cycles for place in range(KEYS)]
        chance.shuffle(numbers)
        kinds = [kind for kind in (*OF_DELIVERY, *OF_OUTCOME) if chance.random() < 0.6] or ["drop"]
        told = {}
        for kind in kinds:
            amount = chance.randint(1, MOST_OF_A_KIND)
            told[kind] = frozenset(numbers[:amount])
            del numbers[:amount]
        readers = chance.choice([None, *(frozenset({reader.name}) for reader in READERS)])
        return cls(told, readers)

    def of_kind(self, kind: str) -> frozenset[int]:
        """The messages that this lie is told of."""
        return self.told.get(kind, frozenset())

    @property
    def lies(self) -> Lies:
        """For the broker."""
        delay = dict.fromkeys(self.of_kind("delay"), SHORT_S) | dict.fromkeys(
            self.of_kind("delay past the drain"), LONG_S
        )
        return Lies(
            drop=self.of_kind("drop"),
            double=self.of_kind("double"),
            redeliver=self.of_kind("redeliver"),
            reorder=self.of_kind("reorder"),
            corrupt=self.of_kind("corrupt"),
            delay=delay,
            reject=self.of_kind("reject"),
            reject_and_deliver=self.of_kind("reject_and_deliver"),
            silent=self.of_kind("silent"),
            swallow=self.of_kind("swallow"),
            readers=self.readers,
        )

    def expected(self, reader: ReaderSpec) -> dict[str, int]:
        """What the ledger of a reader must say, and nothing beside."""
        total: Counter[str] = Counter()
        for kind, numbers in self.told.items():
            if kind in OF_DELIVERY and self.readers is not None and reader.name not in self.readers:
                continue
            for shown, times in SHOWN_AS[kind].items():
                name = ALLOWED.get(shown, shown) if reader.delivery == "at-most-once" else shown
                total[name] += times * len(numbers)
        return dict(total)


@dataclass(frozen=True)
class LiesCaught:
    """Real engine processes, real records, a broker that lies."""

    name: str
    count: int = 100
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            "a broker that drops, doubles, redelivers, reorders, corrupts and delays (also past the drain), refuses "
            "what it delivers, or keeps silent, each of a random set of messages in random mixtures, told to both "
            "readers or to one: the ledger counts each lie as what it is, and accuses of nothing else."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One mixture."""
        mixture = Mixture.of(seed)
        plan = records.publisher_plan(seed=seed, rate=RATE, for_s=FOR_S, keys=KEYS)
        with LyingBroker(mixture.lies) as broker:
            objects = {"topics": records.TOPICS}
            publisher = records.publisher(plan, broker.endpoint, objects, {}, f"p-{seed}")
            readers = records.subscribers(READERS, broker.endpoint, objects, {}, f"s-{seed}")
            with records.running([publisher], readers, run_number=seed, folder=folder) as engines:
                engines.go(records.soon_ns())
                said = records.listen(engines, FOR_S + SHORT_S + QUIET_S)
                engines.stop_publishers()  # who kept silent is not waited for any longer
                if not _published(said):
                    said += records.listen(engines, _PUBLISHED_WITHIN_S, _published)
                engines.finish(records.FINISH_WITHIN_S)
        channel, ledgers, _ = records.judged(folder, READERS)
        why = _sends(mixture, channel, plan.count)
        for reader in READERS:
            why += _difference(reader.name, mixture.expected(reader), ledgers[reader.name])
        return Verdict(tuple(why), {"lies told": float(sum(map(len, mixture.told.values())))})


def _published(said: Sequence[Said]) -> bool:
    return any(isinstance(one, PublisherDone) for one in said)


def _sends(mixture: Mixture, channel: ChannelLedger, count: int) -> list[str]:
    rejected = len(mixture.of_kind("reject")) + len(mixture.of_kind("reject_and_deliver"))
    unknown = len(mixture.of_kind("silent")) + len(mixture.of_kind("swallow"))
    wanted = (count, count - rejected - unknown, rejected, unknown, 0)
    found = (channel.handed_over, channel.acknowledged, channel.rejected, channel.unknown, channel.contradictions)
    if wanted == found:
        return []
    return [f"handed over, acknowledged, rejected, unknown, contradictions: {found}, told {wanted}"]


def _difference(reader: str, expected: Mapping[str, int], ledger: ReaderLedger) -> list[str]:
    found = {name: getattr(ledger, name) for name in ACCUSATIONS}
    return [
        f"{reader}: {found[name]} {name}, told {expected.get(name, 0)}"
        for name in ACCUSATIONS
        if found[name] != expected.get(name, 0)
    ]


def children_find_the_broker(checkout: Path) -> None:
    """Engine processes import the lying broker by its name."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH"))))

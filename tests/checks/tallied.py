"""Whole histories, folded into a tally piece by piece, cut wherever a test likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.balance import channel_ledger, reader_ledger
from crep.harness.checks.channel import ChannelRun
from crep.harness.checks.dead_letters import GivenUp
from crep.harness.checks.history import ChannelHistory, PublisherHistory
from crep.harness.checks.results import ChannelLedger, ReaderLedger
from crep.harness.checks.tally import SECOND, ChannelTally, Clock, KeptInMemory
from crep.harness.metrics.history import RECEIVED, SENT, Records, joined


@dataclass
class Listed:
    """``checks.planned.Planned`` by the sends of a history, in place of a scenario's plan."""

    history: PublisherHistory
    t0_ns: int

    def __post_init__(self) -> None:
        everything = joined([self.history.sent, self.history.unscheduled], SENT)
        self._rows = np.zeros(int(everything["sequence"].max(initial=0)) + 1, SENT)
        self._rows[everything["sequence"].astype(np.intp)] = everything
        self._known = len(np.unique(everything["sequence"]))
        self._topics = {int(r["key"]): int(r["topic"]) for r in everything}

    @property
    def publisher(self) -> int:
        return self.history.publisher

    @property
    def guaranteed(self) -> bool:
        return self.history.guaranteed

    @property
    def count(self) -> int:
        return self._known

    @property
    def expires(self) -> bool:
        return self.history.expires

    @property
    def has_poison(self) -> bool:
        return bool(self.history.poison)

    def poisonous(self, sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return np.array([sequence in self.history.poison for sequence in sequences.tolist()], np.bool_)

    @property
    def has_oversize(self) -> bool:
        return bool(self.history.oversize)

    def oversized(self, sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return np.array([sequence in self.history.oversize for sequence in sequences.tolist()], np.bool_)

    def identity(self, sequences: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        rows = self._rows[sequences.astype(np.intp)]
        return rows["key"].copy(), rows["key_sequence"].copy()

    def topic_of(self, keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return np.array([self._topics[key] for key in keys.tolist()], np.uint32)

    def intended_ns(self, sequences: NDArray[np.uint64]) -> NDArray[np.int64]:
        return np.asarray(self._rows["intended_ns"][sequences.astype(np.intp)] - self.t0_ns)


def tallied(
    history: ChannelHistory, *, t0_ns: int, measured_s: float = 60.0, cuts: Sequence[float] = ()
) -> ChannelTally:
    """The history, folded in pieces that end at ``cuts``: shares of each publisher's and each reader's records."""
    tally = ChannelTally.empty(
        history.channel,
        Clock(t0_ns, round(measured_s * SECOND)),
        {one.publisher: (Listed(one, t0_ns), KeptInMemory()) for one in history.publishers},
        [(reader.spec, reader.selected) for reader in history.readers],
    )
    bounds = [0.0, *sorted(cuts), 1.0]
    merged = []
    for reader in history.readers:
        records = joined(reader.members, RECEIVED)
        members = np.repeat(np.arange(len(reader.members), dtype=np.uint16), [len(part) for part in reader.members])
        order = np.argsort(records["received_ns"], kind="stable")
        merged.append((records[order], members[order]))
    pieces = list(pairwise(bounds))
    for publisher, one in zip(tally.publishers, history.publishers, strict=True):
        for start, end in pieces:
            tally.sends(publisher, one.sent[int(start * len(one.sent)) : int(end * len(one.sent))])
    for start, end in pieces:
        for publisher, one in zip(tally.publishers, history.publishers, strict=True):
            publisher.outcomes(one.outcomes[_whole(one.outcomes, start) : _whole(one.outcomes, end)])
        for reader, (records, members) in zip(tally.readers, merged, strict=True):
            part = slice(int(start * len(records)), int(end * len(records)))
            reader.fold(records[part], members[part])
    return tally


def tallied_run(channel: ChannelRun) -> ChannelTally:
    """A channel of a run, in ten pieces."""
    cuts = [tenth / 10 for tenth in range(1, 10)]
    return tallied(channel.history, t0_ns=channel.t0_ns, measured_s=channel.measured_s, cuts=cuts)


def _whole(outcomes: Records, share: float) -> int:
    """Where to cut: outcomes of one message stay together."""
    at = int(share * len(outcomes))
    while 0 < at < len(outcomes) and outcomes["sequence"][at] == outcomes["sequence"][at - 1]:
        at += 1
    return at


def balanced(
    tally: ChannelTally, *, drain_clean: bool, given_up: Mapping[str, GivenUp] | None = None
) -> tuple[ChannelLedger, tuple[ReaderLedger, ...]]:
    """As ``checks.ledger.ledger`` returns it; ``given_up`` is by reader."""
    known = given_up or {}
    return channel_ledger(tally), tuple(
        reader_ledger(tally, reader, drain_clean=drain_clean, given_up=known.get(reader.spec.name))
        for reader in tally.readers
    )

"""What became of each send: gathered in every pass, put into records, counters and histograms once in a while.

Array operations cost the same for one message as for a hundred; doing them in each pass of the engine's loop took most
of a core at 5,000 messages per second, gathering takes a fifth.
"""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import Outcome, Outcomes
from crep.harness.load.background import HistoryWriter
from crep.harness.load.meter import Meter
from crep.harness.load.outstanding import Outstanding
from crep.harness.load.pulse import Tell
from crep.harness.metrics.history import OUTCOME, SENT, Records, joined, outcomes_file, sent_file

_GATHER = 4096  # sends and outcomes
_REASONS = 20  # different reasons that are told apart
_OTHER_REASONS = "other reasons"


class Accounts:
    """The books of one publisher; ``totals``, ``rejection_reasons`` and ``unsettled`` are valid after ``settle``."""

    def __init__(self, publisher: int, *, meter: Meter, history: HistoryWriter, tell: Tell) -> None:
        self._sent_file, self._outcomes_file = sent_file(publisher), outcomes_file(publisher)
        self._meter, self._history, self._tell = meter, history, tell
        self._outstanding = Outstanding()
        self._sent: list[Records] = []
        self._outcomes: list[Outcomes] = []
        self._gathered = 0
        self._balance = 0
        self.totals: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()

    @property
    def waiting(self) -> bool:
        """Whether outcomes are still to come, by their number alone; cheap."""
        return self._balance > 0

    @property
    def rejection_reasons(self) -> dict[str, int]:
        """The client library's reasons, with how many messages each refused."""
        return {reason: count for (name, reason), count in self._reasons.items() if name == "rejected"}

    @property
    def unsettled(self) -> int:
        """Sends without an outcome."""
        return len(self._outstanding)

    def handed_over(self, sent: Records) -> None:
        """``SENT`` records of messages that the client library took, in order."""
        self._sent.append(sent)
        self._balance += len(sent)
        self._gather(len(sent))

    def came(self, outcomes: Outcomes) -> None:
        """What the client library reported."""
        count = len(outcomes.sequence)
        if count:
            self._outcomes.append(outcomes)
            self._balance -= count
            self._gather(count)

    def settle(self) -> None:
        """Bring records, counters and histograms up to date."""
        if self._sent:  # before outcomes: a send is older than its outcome
            self._settle_sent(joined(self._sent, SENT))
            self._sent.clear()
        if self._outcomes:
            self._settle_outcomes(self._outcomes)
            self._outcomes = []
        self._gathered = 0

    def close(self) -> None:
        """Settle; what has no outcome now is *unknown*."""
        self.settle()
        self._meter.add("unknown", time.monotonic_ns(), self.unsettled)
        self.totals["unknown"] += self.unsettled

    def _gather(self, count: int) -> None:
        self._gathered += count
        if self._gathered >= _GATHER:
            self.settle()

    def _settle_sent(self, sent: Records) -> None:
        self._history.append(self._sent_file, sent)
        self._outstanding.add(sent["sequence"], sent["intended_ns"])
        self._meter.count("sent", sent["sent_ns"])
        self._meter.observe("lateness", sent["intended_ns"], sent["sent_ns"] - sent["intended_ns"])
        self.totals["sent"] += len(sent)

    def _settle_outcomes(self, outcomes: list[Outcomes]) -> None:
        records = np.empty(sum(len(part.sequence) for part in outcomes), OUTCOME)
        for name in ("sequence", "outcome", "at_ns"):
            records[name] = np.concatenate([getattr(part, name) for part in outcomes])
        self._history.append(self._outcomes_file, records)
        known, intended_ns = self._outstanding.settle(records["sequence"])
        at_ns: NDArray[np.int64] = records["at_ns"]
        self._meter.count("contradiction", at_ns[~known])
        for outcome, name in _COUNTED.items():
            these = known & (records["outcome"] == outcome)
            self._meter.count(name, at_ns[these])
            self.totals[name] += int(np.count_nonzero(these))
            if outcome is Outcome.ACKNOWLEDGED:
                self._meter.observe("acknowledge", intended_ns[these], at_ns[these] - intended_ns[these])
        for part in outcomes:
            if part.reasons:
                self._count_reasons(part)

    def _count_reasons(self, outcomes: Outcomes) -> None:
        for sequence, outcome in zip(outcomes.sequence.tolist(), outcomes.outcome.tolist(), strict=True):
            reason = outcomes.reasons.get(sequence)
            if reason is None or outcome not in _COUNTED:
                continue
            name = _COUNTED[outcome]
            if (name, reason) not in self._reasons:
                if len(self._reasons) >= _REASONS:
                    reason = _OTHER_REASONS
                else:
                    self._tell({"note": {"at_ns": time.monotonic_ns(), "kind": name, "text": reason}})
            self._reasons[name, reason] += 1


_COUNTED: dict[int, str] = {
    Outcome.ACKNOWLEDGED: "acknowledged",
    Outcome.REJECTED: "rejected",
    Outcome.UNKNOWN: "unknown",
}

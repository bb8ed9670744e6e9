"""What became of each send: gathered in every pass, put into records, counters and histograms once in a while.

Array operations cost the same for one message as for a hundred; doing them in each pass of the engine's loop took most
of a core at 5,000 messages per second, gathering takes a fifth. What waits lies in arrays made beforehand: laying a
thousand small ones end to end took milliseconds, in which messages were late.
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

_ROOM = 4096  # sends, and outcomes, that can wait
_SENT_BYTES = f"V{SENT.itemsize}"  # whole records: numpy copies others field by field, at twenty times the cost
_ENOUGH = 512  # sends and outcomes that are worth settling: so few take a tenth of a millisecond
_REASONS = 20  # different reasons that are told apart
_OTHER_REASONS = "other reasons"


class Accounts:
    """The books of one publisher; ``totals``, ``rejection_reasons`` and ``unsettled`` are valid after ``settle``.

    Args:
        publisher: its number.
        meter: counts and times.
        history: has the publisher's files.
        tell: says a line to the parent.
        before: the totals of its earlier lives. What was unknown then is unknown now, and is told as such.
    """

    def __init__(
        self, publisher: int, *, meter: Meter, history: HistoryWriter, tell: Tell, before: Counter[str] | None = None
    ) -> None:
        self._sent_file, self._outcomes_file = sent_file(publisher), outcomes_file(publisher)
        self._meter, self._history, self._tell = meter, history, tell
        self._outstanding = Outstanding()
        self._sent, self._outcomes = np.empty(_ROOM, SENT), np.empty(_ROOM, OUTCOME)
        self._sent_bytes = self._sent.view(_SENT_BYTES)
        self._sends = self._reports = 0  # of these, filled
        self._reported_reasons: dict[int, str] = {}
        self._balance = 0
        self.totals: Counter[str] = Counter(before)
        meter.add("unknown", time.monotonic_ns(), self.totals["unknown"])
        self._reasons: Counter[tuple[str, str]] = Counter()

    @property
    def waiting(self) -> bool:
        """Whether outcomes are still to come, by their number alone; cheap."""
        return self._balance > 0

    @property
    def under_way(self) -> int:
        """Sends whose outcome is still to come, by their number alone; cheap."""
        return self._balance

    @property
    def rejection_reasons(self) -> dict[str, int]:
        """The client library's reasons, with how many messages each refused."""
        return {reason: count for (name, reason), count in self._reasons.items() if name == "rejected"}

    @property
    def unsettled(self) -> int:
        """Sends without an outcome."""
        return len(self._outstanding)

    @property
    def worth_settling(self) -> bool:
        """Whether enough waits for ``settle`` to be worth its while."""
        return self._sends + self._reports >= _ENOUGH

    def handed_over(self, sent: Records) -> None:
        """``SENT`` records of messages that the client library took, in order. They are copied."""
        self._balance += len(sent)
        while len(sent):
            if self._sends == _ROOM:
                self.settle()
            part = sent[: _ROOM - self._sends]
            self._sent_bytes[self._sends : self._sends + len(part)] = part.view(_SENT_BYTES)
            self._sends += len(part)
            sent = sent[len(part) :]

    def came(self, outcomes: Outcomes) -> None:
        """What the client library reported. It is copied."""
        count, taken = len(outcomes.sequence), 0
        self._balance -= count
        if outcomes.reasons:
            self._reported_reasons |= outcomes.reasons
        while taken < count:
            if self._reports == _ROOM:
                self.settle()
            part = slice(taken, taken + _ROOM - self._reports)
            sequence = outcomes.sequence[part]
            records = self._outcomes[self._reports : self._reports + len(sequence)]
            records["sequence"], records["at_ns"] = sequence, outcomes.at_ns[part]
            records["outcome"] = outcomes.outcome[part]
            self._reports += len(sequence)
            taken += len(sequence)

    def settle(self) -> None:
        """Bring records, counters and histograms up to date."""
        if self._sends:  # before outcomes: a send is older than its outcome
            sends, self._sends = self._sends, 0
            self._settle_sent(joined([self._sent[:sends]], SENT))
        if self._reports:
            reports, self._reports = self._reports, 0
            self._settle_outcomes(joined([self._outcomes[:reports]], OUTCOME))

    def close(self) -> None:
        """Settle; what has no outcome now is *unknown*."""
        self.settle()
        self._meter.add("unknown", time.monotonic_ns(), self.unsettled)
        self.totals["unknown"] += self.unsettled

    def _settle_sent(self, sent: Records) -> None:
        self._history.append(self._sent_file, sent)
        self._outstanding.add(sent["sequence"], sent["intended_ns"])
        self._meter.count("sent", sent["sent_ns"])
        self._meter.observe("lateness", sent["intended_ns"], sent["sent_ns"] - sent["intended_ns"])
        self.totals["sent"] += len(sent)

    def _settle_outcomes(self, records: Records) -> None:
        self._history.append(self._outcomes_file, records)
        known, intended_ns = self._outstanding.settle(records["sequence"])
        at_ns: NDArray[np.int64] = records["at_ns"]
        outcomes = records["outcome"]
        if known.all() and (outcomes == Outcome.ACKNOWLEDGED).all():  # as mostly: no copy of each part
            self._count_outcomes(Outcome.ACKNOWLEDGED, at_ns, intended_ns)
            return
        self._meter.count("contradiction", at_ns[~known])
        for outcome in _COUNTED:
            these = known & (outcomes == outcome)
            if these.any():
                self._count_outcomes(outcome, at_ns[these], intended_ns[these])
        if self._reported_reasons:
            self._count_reasons(records[records["outcome"] != Outcome.ACKNOWLEDGED])

    def _count_outcomes(self, outcome: int, at_ns: NDArray[np.int64], intended_ns: NDArray[np.int64]) -> None:
        name = _COUNTED[outcome]
        self._meter.count(name, at_ns)
        self.totals[name] += len(at_ns)
        if outcome == Outcome.ACKNOWLEDGED:
            self._meter.observe("acknowledge", intended_ns, at_ns - intended_ns)

    def _count_reasons(self, refused: Records) -> None:
        for sequence, outcome in zip(refused["sequence"].tolist(), refused["outcome"].tolist(), strict=True):
            reason = self._reported_reasons.pop(sequence, None)
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

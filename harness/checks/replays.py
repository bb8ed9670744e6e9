"""Whether a replay was complete: what came again, held against what publishers were told is stored.

A replay owes every message whose intended time lies in its window and that was acknowledged before the window's end,
the moment when it was asked for. More may come: what was acknowledged only then, or intended shortly before.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from crep.harness.checks.history import Sends
from crep.harness.checks.results import Offender, ReplayResult
from crep.harness.metrics.history import INTACT, Records

REPLAYED_RECORD = np.dtype(
    [
        ("publisher", "<u2"),
        ("sequence", "<u8"),
        ("key", "<u4"),
        ("key_sequence", "<u4"),
        ("fault", "u1"),  # metrics.history: INTACT, CORRUPT or FOREIGN
        ("number", "<u2"),  # of the replay, from 1; 0: it says none that there was
    ]
)
"""One message that came again, in the order of its receipt."""

_SECOND = 1_000_000_000
_MOST_OFFENDERS = 20


@dataclass(frozen=True)
class Replayed:
    """One replay of a channel. Its window is in seconds relative to t0.

    ``records``: what was read of the place for what comes again, of this replay and of those that say none.
    ``trouble``: why that is not all; empty where it is.
    """

    channel: str
    number: int
    from_s: float
    until_s: float
    records: Records
    trouble: str = ""


def judge_replay(sends: Sends, replayed: Replayed, t0_ns: int) -> ReplayResult:
    """Hold one replay against the channel's sends."""
    from_ns, until_ns = (t0_ns + round(at_s * _SECOND) for at_s in (replayed.from_s, replayed.until_s))
    owed = (sends.intended_ns >= from_ns) & (sends.intended_ns <= until_ns) & (sends.acknowledged_ns <= until_ns)
    records = replayed.records
    rows = sends.locate(records["publisher"], records["sequence"])
    known = (rows >= 0) & (records["fault"] == INTACT) & (records["number"] == replayed.number)
    known[known] = sends.key[rows[known]] == records["key"][known]
    came = np.bincount(rows[known], minlength=len(sends))
    missing, doubled = owed & (came == 0), came > 1
    return ReplayResult(
        channel=replayed.channel,
        number=replayed.number,
        from_s=replayed.from_s,
        until_s=replayed.until_s,
        owed=int(np.count_nonzero(owed)),
        replayed=int(np.count_nonzero(came)),
        missing=int(np.count_nonzero(missing)),
        doubled=int((came[doubled] - 1).sum()),
        unexpected=int(np.count_nonzero(~known)),
        trouble=replayed.trouble,
        offenders=tuple(
            Offender(
                kind=f"{kind} of a replay",
                publisher=int(sends.publisher[row]),
                sequence=int(sends.sequence[row]),
                key=int(sends.key[row]),
                key_sequence=int(sends.key_sequence[row]),
                at_s=(int(sends.intended_ns[row]) - t0_ns) / _SECOND,
            )
            for kind, row in chain(
                (("missing", row) for row in np.flatnonzero(missing)[:_MOST_OFFENDERS].tolist()),
                (("doubled", row) for row in np.flatnonzero(doubled)[:_MOST_OFFENDERS].tolist()),
            )
        ),
    )

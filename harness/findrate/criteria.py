"""Whether a run held its rate, and what gave way where it did not.

A rate is held when the clients kept the schedule, every threshold of the scenario was met, nothing was lost, everything
could be drained, and no reader fell behind: all in the same run. A broker that takes messages faster than its readers
get them has not held the rate, however good its acknowledges look.

A run whose clients were late although nobody held them up says nothing of the broker (METHOD rule 1: it is invalid):
the machine stood still. Near capacity such a moment lasts, since a backlog goes away as slowly as there is little to
spare; so where machines are noisy, rates below capacity fail by chance, and rates above it hold by none. Such a run is
*disturbed*: neither held nor given way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.results import RunResults

if TYPE_CHECKING:
    import pandas as pd

BACKLOG_SHARE: Final = 0.02
"""A reader that falls behind by more than this share of the rate does not hold it."""
BACKLOG_SECONDS: Final = 0.1
"""Less than what the rate brings in this time is no backlog: a batch under way, or the second's edge."""
LOST: Final = "messages were lost"
_LATE: Final = "lateness"
_RULES: Final = {
    _LATE: "the clients could not keep the schedule",
    "schedule": "messages of the schedule were never handed over",
    "drain": "the drain did not end clean",
}


class Recorded(Protocol):
    """What is asked of a run (``runs.read.Run``)."""

    @property
    def counters(self) -> pd.DataFrame:
        """One row per client and second."""

    @property
    def failure(self) -> str | None:
        """Why the run was cut short."""


def gave_way(run: Recorded, results: RunResults | None, measured_s: float) -> tuple[str, ...]:
    """Return what did not hold in a run at a constant rate; empty where all held.

    Args:
        run: the run as it was recorded.
        results: its verdicts; None where it did not come so far.
        measured_s: length of the measured phase, at the constant rate.
    """
    if results is None:
        return (f"the run failed: {run.failure}",)
    found = [_RULES.get(rule.name, f"rule {rule.name}: {rule.text}") for rule in results.rules if not rule.holds]
    found += [one.text for one in results.expectations if one.verdict in ("failed", "no-data")]
    found += _lasting(run, results, measured_s)
    return tuple(dict.fromkeys(found))


def disturbed(run: Recorded, results: RunResults | None, measured_s: float) -> bool:
    """Return whether a run says nothing of the brokers: its clients alone were late, and no library held them up.

    Args:
        run: the run as it was recorded.
        results: its verdicts; None where it did not come so far.
        measured_s: length of the measured phase.
    """
    if results is None or [rule.name for rule in results.rules if not rule.holds] != [_LATE]:
        return False
    rows = run.counters[run.counters["role"] == "publisher"]
    held_up = _by_second(rows, "window_full", range(int(measured_s)))
    return not held_up.any() and not _lasting(run, results, measured_s)


def _lasting(run: Recorded, results: RunResults, measured_s: float) -> list[str]:
    """What shows that a rate is too much, and not that something stood still: losses, and backlogs that grow."""
    found = [LOST] if any(reader.lost for reader in results.readers) else []
    for channel in results.channels:
        if _waits_for_acknowledges(run.counters, channel.channel, measured_s):
            found.append(f"acknowledges of {channel.channel} fell behind")
    for reader in results.readers:
        if reader.delivery != "at-most-once" and _falls_behind(run.counters, reader.channel, reader.reader, measured_s):
            found.append(f"{reader.channel}.{reader.reader} fell behind")
    return found


def _waits_for_acknowledges(counters: pd.DataFrame, channel: str, measured_s: float) -> bool:
    """Whether ever more messages were under way to the broker: they hide in windows before they are late."""
    rows = counters[(counters["channel"] == channel) & (counters["role"] == "publisher")]
    seconds = range(int(measured_s))
    settled = _by_second(rows, "acknowledged", seconds) + _by_second(rows, "rejected", seconds)
    return bool(settled.any()) and backlog_grows(_by_second(rows, "sent", seconds), settled)


def _falls_behind(counters: pd.DataFrame, channel: str, reader: str, measured_s: float) -> bool:
    """Whether the reader's backlog grew while messages were sent at a constant rate."""
    seconds = range(int(measured_s))
    of_channel = counters[counters["channel"] == channel]
    acknowledged = _by_second(of_channel[of_channel["role"] == "publisher"], "acknowledged", seconds)
    received = _by_second(of_channel[of_channel["reader"] == reader], "received", seconds)
    if not acknowledged.any():
        return False
    # A reader with a filter gets a part: its share over the whole run, drain included, is what it is sent.
    total = _total(of_channel[of_channel["role"] == "publisher"], "acknowledged")
    share = _total(of_channel[of_channel["reader"] == reader], "received") / total if total else 0.0
    return backlog_grows(acknowledged * min(share, 1.0), received)


def backlog_grows(entered: NDArray[np.float64], left: NDArray[np.float64]) -> bool:
    """Return whether a backlog has a slope.

    Args:
        entered: messages per second that a reader was to get, one item a second.
        left: messages per second that it got.

    The slope is Theil's and Sen's (median of the slopes between all pairs of seconds): one stalled second is none.
    """
    backlog = np.cumsum(entered - left)
    if len(backlog) < 2:
        return False
    first, second = np.triu_indices(len(backlog), 1)
    slope = float(np.median((backlog[second] - backlog[first]) / (second - first)))
    rate = float(entered.mean())
    return slope > BACKLOG_SHARE * rate and slope * len(backlog) > BACKLOG_SECONDS * rate


def _by_second(rows: pd.DataFrame, counter: str, seconds: range) -> NDArray[np.float64]:
    if counter not in rows:
        return np.zeros(len(seconds))
    sums = rows.groupby("second")[counter].sum().reindex(seconds, fill_value=0)
    return sums.to_numpy(dtype=np.float64)


def _total(rows: pd.DataFrame, counter: str) -> int:
    return int(rows[counter].sum()) if counter in rows else 0

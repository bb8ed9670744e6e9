"""When nothing more can come: the broker's own backlog is zero and no receipt came for three seconds.

Only then is a missing message *lost*; until then it is *pending* (METHOD rule 5). Silence is no quiet: each receiving
client must itself have said, three seconds after the last receipt of any, that nothing came. One that is stalled, or
whose word is still under way, says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crep.harness.brokers.contract import Observation
from crep.harness.checks.results import Drain

QUIET_S = 3.0


@dataclass
class DrainWatch:
    """Decides from looks at the brokers and from what clients say; the caller brings the clock. Seconds on one clock.

    ``clients`` are the names of the receiving clients.
    """

    started_s: float
    limit_s: float
    clients: frozenset[str]
    _said_s: dict[str, float] = field(default_factory=dict)
    _backlog: dict[str, int | None] = field(default_factory=dict)
    _last_receipt_s: float | None = None
    _looked_s: dict[str, float | None] = field(default_factory=dict)
    _trouble: str = ""

    def receipts(self, at_s: float) -> None:
        """Something was received then, or a little before."""
        self._last_receipt_s = max(at_s, self._last_receipt_s or at_s)

    def said(self, client: str, at_s: float) -> None:
        """A client has reported all that it received until then."""
        self._said_s[client] = max(at_s, self._said_s.get(client, at_s))

    def observed(self, site: str, observation: Observation, now_s: float) -> None:
        """The broker of ``site`` said how much it still holds for each reader."""
        self._looked_s[site] = now_s
        self._trouble = ""
        self._backlog.update({reader: state.backlog for reader, state in observation.readers.items()})

    def not_observed(self, site: str, reason: str) -> None:
        """The broker of ``site`` did not answer."""
        self._looked_s[site] = None
        self._trouble = reason

    def quiet_s(self, now_s: float) -> float:
        """Seconds without a receipt, counted to the last word of the client that was heard of least."""
        heard_s = min((self._said_s.get(client, self.started_s) for client in self.clients), default=now_s)
        return min(now_s, heard_s) - self._last_s

    @property
    def _last_s(self) -> float:
        """Time of the last receipt, or when the drain began."""
        return self.started_s if self._last_receipt_s is None else max(self.started_s, self._last_receipt_s)

    @property
    def backlog(self) -> Mapping[str, int | None]:
        """Reader → what the broker still holds, as it said last."""
        return self._backlog

    def verdict(self, now_s: float) -> Drain | None:
        """How the drain ended, or None while it goes on."""
        held = {reader: count for reader, count in self._backlog.items() if count}
        answered = bool(self._looked_s) and None not in self._looked_s.values()
        if answered and not held and self._looked_after_the_last_receipt() and self.quiet_s(now_s) >= QUIET_S:
            return self._end(now_s, clean=True, reason=f"backlog 0 and nothing came for {QUIET_S:.0f} s")
        if now_s - self.started_s < self.limit_s:
            return None
        if not answered:
            why = f"the broker's own backlog could not be read: {self._trouble or 'it was never asked'}"
        elif held:
            why = "the broker still holds " + ", ".join(f"{count} for {reader}" for reader, count in held.items())
        elif now_s - self._last_s < QUIET_S:
            why = f"receipts still came {now_s - self._last_s:.1f} s before the end"
        else:
            silent = [
                one for one in sorted(self.clients) if self._said_s.get(one, self.started_s) - self._last_s < QUIET_S
            ]
            why = f"not heard of in the last {QUIET_S:.0f} s: {', '.join(silent) or 'the broker'}"
        return self._end(now_s, clean=False, reason=f"ended at the limit of {self.limit_s:.0f} s: {why}")

    def cut_short(self, now_s: float, reason: str) -> Drain:
        """The drain as it stands when the run is ended from outside."""
        return self._end(now_s, clean=False, reason=reason)

    def _looked_after_the_last_receipt(self) -> bool:
        return all(looked is not None and looked >= self._last_s for looked in self._looked_s.values())

    def _end(self, now_s: float, *, clean: bool, reason: str) -> Drain:
        return Drain(
            clean=clean, reason=reason, backlog=dict(self._backlog), duration_s=round(now_s - self.started_s, 3)
        )

"""``bandwidth``: the connections between the sides share so many bytes a second, each way."""

from __future__ import annotations

import time
from collections.abc import Mapping

from crep.harness.faults.contract import Stage
from crep.harness.faults.on_links import OnLinks
from crep.harness.proxy import Bandwidth, Effect

_WATCHED_S = 0.3
_MORE = 1.25
"""A bucket lets a burst pass at once, and what was on its way before is counted when it arrives."""
_BURST_S = 0.1


class LimitBandwidth(OnLinks):
    """Confirmed when, over a while, no more than that passed each way, as the proxy counted the clients' own bytes.

    A probe would take from what the clients have left.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._before: tuple[float, Mapping[str, int]] | None = None

    def effects(self) -> tuple[Effect, ...]:
        """The rate."""
        return (Bandwidth(self.parameters["bytes_per_s"]),)

    def inject(self) -> int:
        """Limit it, and count from there."""
        at_ns = super().inject()
        self._before = time.monotonic(), self._bytes()
        return at_ns

    def confirmed(self) -> bool:
        """Whether the limit holds."""
        if self._before is None or not self.in_effect():
            return False
        then_s, before = self._before
        passed_s, now = time.monotonic() - then_s, self._bytes()
        if passed_s < _WATCHED_S:
            return False
        most = self.parameters["bytes_per_s"] * (passed_s + _BURST_S) * _MORE
        if all(now[way] - before[way] <= most for way in now):
            return True
        self._before = time.monotonic(), now
        return False

    def _bytes(self) -> Mapping[str, int]:
        links = self.covered()
        return {
            "to-node": sum(one.to_node_bytes for one in links),
            "from-node": sum(one.from_node_bytes for one in links),
        }

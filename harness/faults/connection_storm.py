"""``connection-storm``: many short-lived clients connect over a time, from a process of their own."""

from __future__ import annotations

import time

from crep.harness.faults.contract import Fault, Stage, Storm

_OVER_WITHIN_S = 60.0  # after the last has begun: a connection may take as long as its client waits for it


class ConnectionStorm(Fault):
    """Confirmed when the broker has let one in or has refused one; healed when the last is gone.

    The record counts those that connected and those that failed. With crep they end anyway.
    """

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = 0.0  # it goes on, and ends, by itself
        self.heal_within_s = (stage.event.heal_after_s or 0.0) + _OVER_WITHIN_S
        self._clients, self._channel = stage.clients, stage.event.channel or ""
        self._connections = int(str(stage.event.parameters["connections"]))
        self._over_s = float(str(stage.event.parameters["over_s"]))
        self._storm: Storm | None = None

    @property
    def subject(self) -> str:
        """The channel as whose publishers they connect; with what became of them, once that is known."""
        counts = {} if self._storm is None else self._storm.counts
        told = "".join(f", {count} {what}" for what, count in counts.items())
        return f"{self._channel}: {self._connections} connections{told}"

    def inject(self) -> int:
        """Begin."""
        at_ns = time.monotonic_ns()
        self._storm = self._clients.storm(self._channel, self._connections, self._over_s)
        return at_ns

    def confirmed(self) -> bool:
        """Whether the first has had an answer."""
        return self._storm is not None and any(self._storm.counts.values())

    def heal(self) -> None:
        """Nothing to do: each client leaves by itself."""

    def cut_short(self) -> None:
        """No more of them."""
        if self._storm is not None:
            self._storm.end()

    def healed(self) -> bool:
        """Whether the last is gone."""
        return self._storm is None or self._storm.over

"""``scale``: members join a reader, or close and leave; ``back_after`` later it has its former members."""

from __future__ import annotations

import time

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.faults.contract import Stage
from crep.harness.faults.on_clients import OnClients


class Scale(OnClients):
    """Confirmed when the right members run, are ready, and the broker itself counts as many connections.

    That takes a start of a client, and with Kafka until the other members hear that their group has changed.
    """

    confirm_within_s = 60.0

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._admin, self._provisioned = stage.admin, stage.provisioned
        self._to = int(str(stage.event.parameters["to"]))
        self._back = bool(stage.event.parameters["back"])
        self._reader = f"{stage.event.channel}.{' '.join(stage.event.readers)}"
        self._wanted: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The reader."""
        return self._reader

    def aim(self) -> None:
        """Which are there; the lowest numbers among the others join, the highest of these leave."""
        super().aim()
        others = [name for name in self.candidates() if name not in self.names]
        self._wanted = (*self.names[: self._to], *others[: max(0, self._to - len(self.names))])
        if len(self._wanted) < self._to:
            raise EnvironmentFailure(f"{self._reader} cannot have {self._to} members: {len(self._wanted)} are planned")

    def inject(self) -> int:
        """Let them join or leave."""
        return self._move(self.names, self._wanted)

    def confirmed(self) -> bool:
        """Whether those that are wanted are there, and no others."""
        return self._are(self._wanted)

    def heal(self) -> None:
        """Back to those that were there, where that is declared."""
        if self._back:
            self._move(self._wanted, self.names)

    def healed(self) -> bool:
        """Whether the reader has the members that it is to have from now on."""
        return self._are(self.names if self._back else self._wanted)

    def _move(self, before: tuple[str, ...], after: tuple[str, ...]) -> int:
        joining = [name for name in after if name not in before]
        leaving = [name for name in before if name not in after]
        at_ns = time.monotonic_ns()
        if joining:
            self.clients.begin(joining)
        if leaving:
            self.clients.leave(leaving)
        return at_ns

    def _are(self, wanted: tuple[str, ...]) -> bool:
        states = self.clients.states(self.candidates())
        if {name for name, state in states.items() if state.pid is not None} != set(wanted):
            return False
        return all(states[name].ready for name in wanted) and self._connected() in (None, len(wanted))

    def _connected(self) -> int | None:
        """How many members the broker counts; None where it does not tell."""
        state = self._admin.observe(self._provisioned).readers.get(self._reader)
        return None if state is None else state.connections

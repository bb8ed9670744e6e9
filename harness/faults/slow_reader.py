"""``slow-reader``: every member of a reader takes longer for each message, and after a while no longer."""

from __future__ import annotations

from crep.harness.faults.contract import Stage
from crep.harness.faults.on_clients import OnClients


class SlowReader(OnClients):
    """Confirmed when each member said, from the loop that does it, that it takes so long; healed likewise."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._processing_s = float(str(stage.event.parameters["processing_s"]))
        self._before: dict[str, int | None] = {}

    def inject(self) -> int:
        """Tell them."""
        self._before = {name: state.processing_ns for name, state in self.clients.states(self.names).items()}
        return self.clients.slow(self.names, self._processing_s)

    def confirmed(self) -> bool:
        """Whether all take that time."""
        states = self.clients.states(self.names).values()
        return all(state.processing_ns == round(self._processing_s * 1e9) for state in states)

    def heal(self) -> None:
        """As fast as the scenario has them."""
        self.clients.slow(self.names, None)

    def healed(self) -> bool:
        """Whether all said another time since; one that asks for the same has nothing to say."""
        states = self.clients.states(self.names)
        return all(states[name].processing_ns == before for name, before in self._before.items())

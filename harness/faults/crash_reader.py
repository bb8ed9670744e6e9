"""``crash-reader``: SIGKILL members of a reader, start them again ``restart_after`` later, or never."""

from __future__ import annotations

from crep.harness.faults.on_clients import OnClients


class CrashClients(OnClients):
    """The processes are ended in the middle of what they do: nothing is settled, committed, closed or said.

    Confirmed when the kernel knows no such process any more; healed when each has connected again, in another life.
    Without healing they stay away. With crep they end anyway.
    """

    def inject(self) -> int:
        """Kill; returns when the signals were sent."""
        self._lives = {name: state.life for name, state in self.clients.states(self.names).items()}
        return self.clients.crash(self.names)

    def confirmed(self) -> bool:
        """Whether all are gone."""
        return all(state.pid is None for state in self.clients.states(self.names).values())

    def heal(self) -> None:
        """Start them again, where that is declared."""
        if self.heal_after_s is not None:
            self.clients.begin(self.names)

    def healed(self) -> bool:
        """Whether all are connected, in a life after this one."""
        states = self.clients.states(self.names)
        return self.heal_after_s is None or all(
            states[name].ready and states[name].life > life for name, life in self._lives.items()
        )


class CrashReader(CrashClients):
    """What the members had received and not acknowledged goes to others, or comes again: duplicates. What they had
    acknowledged and not processed is lost."""

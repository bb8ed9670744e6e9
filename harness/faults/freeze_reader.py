"""``freeze-reader``: SIGSTOP members of a reader, SIGCONT them ``resume_after`` later.

Their connections stay open and nobody answers on them: the broker has to find out by itself (session time-out, keep
alive), as with a machine that swaps or a virtual machine that is moved.
"""

from __future__ import annotations

from crep.harness.faults.on_clients import OnClients


class FreezeReader(OnClients):
    """Confirmed and healed by the kernel's word on the state of the processes."""

    def inject(self) -> int:
        """Stop them; returns when the signals were sent."""
        return self.clients.freeze(self.names)

    def confirmed(self) -> bool:
        """Whether all stand."""
        return all(state.frozen for state in self.clients.states(self.names).values())

    def heal(self) -> None:
        """Let them go on."""
        self.clients.thaw(self.names)

    def healed(self) -> bool:
        """Whether all go on."""
        return not any(state.frozen for state in self.clients.states(self.names).values())

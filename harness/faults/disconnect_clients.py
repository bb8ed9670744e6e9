"""``disconnect-publishers``, ``disconnect-reader``: the administrator ends connections; the clients make new ones."""

from __future__ import annotations

from crep.harness.brokers.contract import BrokerError
from crep.harness.faults.administered import Administered
from crep.harness.faults.administration import Call


class DisconnectClients(Administered):
    """In effect at once, for a moment: confirmed when the broker has ended at least one connection."""

    act = "disconnect"

    _ended = 0

    @property
    def subject(self) -> str:
        """The readers, or the channel's publishers."""
        return super().subject if self.readers else f"publishers of {self.channel}"

    def begin(self) -> None:
        """End their connections.

        Raises:
            BrokerError: the broker knows none of them.
        """
        clients = self.stage.clients
        names = clients.members(self.channel, self.readers) + clients.publishers(self.stage.event.publishers)
        self._ended = self.operator.disconnect(names)
        if not self._ended:
            raise BrokerError(f"the broker has no connection of {', '.join(names)} that could be ended")

    def undoing(self) -> list[Call]:
        """Nothing is left to undo: that the clients are back is seen in what they send and receive."""
        return []

    def states(self) -> list[bool]:
        """Whether something is left to undo: nothing is."""
        return []

    def confirmed(self) -> bool:
        """Whether connections were ended."""
        return self._ended > 0

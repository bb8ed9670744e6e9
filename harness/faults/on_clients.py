"""What faults of clients share: which of those at work are meant, and how the record calls them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.faults.contract import Fault, Stage


def chosen(running: Sequence[str], wanted: object, seed: str) -> tuple[str, ...]:
    """So many of the clients (``all`` or a number), in their order; which ones is fixed by the seed."""
    if not isinstance(wanted, int) or wanted >= len(running):
        return tuple(running)
    picked = set(Random(seed).sample(range(len(running)), wanted))  # noqa: S311 - to be drawn again the same
    return tuple(name for place, name in enumerate(running) if place in picked)


class OnClients(Fault):
    """A fault of some of a reader's members, or of some publishers: ``names`` from ``aim`` on."""

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        self.clients, self._event, self._seed = stage.clients, stage.event, stage.seed
        self.names: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The readers, or the channel whose publishers they are; and which of them once that is decided."""
        event = self._event
        whose = (
            " and ".join(f"{event.channel}.{reader}" for reader in event.readers) or f"publishers of {event.channel}"
        )
        return f"{whose}: {', '.join(name.rpartition('-')[2] for name in self.names)}" if self.names else whose

    def aim(self) -> None:
        """Choose among those that are at work.

        Raises:
            EnvironmentFailure: none does.
        """
        states = self.clients.states(self.candidates())
        running = [name for name in self.candidates() if states[name].ready]
        if not running:
            raise EnvironmentFailure(f"none of {self.subject} is at work")
        wanted = self._event.parameters.get("clients", "all")
        self.names = chosen(running, wanted, f"{self._seed} {self._event.index}")

    def candidates(self) -> tuple[str, ...]:
        """All that may be meant, whether they run or not."""
        event = self._event
        if event.readers:
            return self.clients.members(event.channel or "", event.readers)
        return self.clients.publishers(event.publishers)

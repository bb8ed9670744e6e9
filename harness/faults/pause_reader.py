"""``pause-reader``: all members of a reader stop reading while publishers go on, and read again ``resume_after`` later.

What comes meanwhile waits in the broker (and, up to its prefetch, in the client library): a backlog, which is drained
under load afterwards. The clients stay connected.
"""

from __future__ import annotations

from crep.harness.faults.contract import Fault, Stage


class PauseReader(Fault):
    """Confirmed when every member said that it stands still; healed when every one reads again."""

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        self._clients = stage.clients
        self._channel, self._readers = stage.event.channel or "", stage.event.readers

    @property
    def subject(self) -> str:
        """The readers."""
        return " and ".join(f"{self._channel}.{reader}" for reader in self._readers)

    def inject(self) -> int:
        """Pause; returns when the word was given."""
        return self._clients.pause(self._channel, self._readers)

    def confirmed(self) -> bool:
        """Whether all stand still."""
        return all(self._clients.standing(self._channel, self._readers))

    def heal(self) -> None:
        """Let them go on."""
        self._clients.resume(self._channel, self._readers)

    def healed(self) -> bool:
        """Whether all read again."""
        return not any(self._clients.standing(self._channel, self._readers))

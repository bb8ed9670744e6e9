"""``kill-bridge``, ``stop-bridge``, ``pause-bridge``: faults on the service that fills a channel.

It may be a bridge, or a program of the user's own. It ends with crep in whatever way, so nothing needs an undo.
"""

from __future__ import annotations

from crep.harness.faults.contract import Fault, Stage


class OnService(Fault):
    """Confirmed by the kernel's word on the process."""

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        channel = stage.event.channel or ""
        self.service, self._subject = stage.services[channel], f"the bridge of {channel}"

    @property
    def subject(self) -> str:
        """The service, by the channel that it fills."""
        return self._subject


class _Down(OnService):
    """Healed when it says, in another life, that it is ready; without healing it stays away."""

    def confirmed(self) -> bool:
        """Whether it is gone."""
        return self.service.pid is None

    def heal(self) -> None:
        """Start it again, where that is declared."""
        if self.heal_after_s is not None:
            self.service.start()

    def healed(self) -> bool:
        """Whether it is ready again."""
        if self.heal_after_s is None:
            return True
        self.service.check()  # one that could not start says why
        return self.service.ready


class KillBridge(_Down):
    """Ended in the middle of what it does: what it had taken and not settled comes again, to its next life."""

    def inject(self) -> int:
        """Kill it."""
        return self.service.kill()


class StopBridge(_Down):
    """Told to end: it takes nothing more and settles what it has."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.grace_s = float(stage.event.parameters["grace_s"])  # type: ignore[arg-type]  # StopBridge.parameters

    def inject(self) -> int:
        """Tell it, and wait until it is gone."""
        return self.service.stop(self.grace_s)


class PauseBridge(OnService):
    """It stands still, its connections stay open: the brokers have to find out by themselves."""

    def inject(self) -> int:
        """Stop it."""
        return self.service.pause()

    def confirmed(self) -> bool:
        """Whether it stands."""
        return self.service.stands_still

    def heal(self) -> None:
        """Let it go on."""
        self.service.resume()

    def healed(self) -> bool:
        """Whether it goes on."""
        return self.service.pid is not None and not self.service.stands_still

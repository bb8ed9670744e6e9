"""``replay``: ask the replay service for what was captured last. Not a fault by intention, and measured like one."""

from __future__ import annotations

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.archivist import Archivist, Order
from crep.harness.faults.contract import Fault, Stage


class Replay(Fault):
    """Confirmed when the service has closed its archive and sends; healed when its ledger is closed.

    It ends with crep in whatever way, so nothing needs an undo.
    """

    heal_after_s = 0.0
    confirm_within_s = 30.0
    heal_within_s = 600.0  # at original timing it takes as long as its window, and a busy broker longer

    def __init__(self, stage: Stage) -> None:
        self._channel = stage.event.channel or ""
        service = stage.services[self._channel]
        assert isinstance(service, Archivist)  # noqa: S101 - the runner makes one for each such channel
        self._service = service
        self._last_s = float(stage.event.parameters["last_s"])  # type: ignore[arg-type]  # actions.Replay.parameters
        self._pace = str(stage.event.parameters["pace"])
        self._order: Order | None = None

    @property
    def subject(self) -> str:
        """The window."""
        return f"the last {self._last_s:g} s of {self._channel}"

    def inject(self) -> int:
        """Ask."""
        self._order = self._service.ask(self._last_s, self._pace)
        return self._order.until_ns

    def confirmed(self) -> bool:
        """Whether it sends."""
        return self._order is not None and self._service.playing(self._order)

    def heal(self) -> None:
        """It ends by itself."""

    def healed(self) -> bool:
        """Whether all that was selected has an outcome."""
        if self._order is None:
            return True
        self._service.check()  # one that has ended says why
        ledger = self._service.ledger(self._order)
        if ledger is not None and not ledger["exact"]:
            raise EnvironmentFailure(f"the replay has ended before its end: {ledger['state']}, {ledger}")
        return ledger is not None

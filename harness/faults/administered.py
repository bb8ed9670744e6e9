"""What faults by the broker's own administration share: an act of the operator, its probe, its undo."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence

from crep.harness.brokers.contract import BrokerError, NotSupported
from crep.harness.brokers.operator import Act
from crep.harness.faults.administration import Call, carry_out_calls
from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.undo import Undo, administer


class Administered(Fault):
    """An act on one channel, on each of some readers of it, or on its clients.

    In effect when the broker itself says so. A broker that does not answer just now (another fault may have ended it)
    is asked again, to undo the act too.
    """

    act: Act

    def __init__(self, stage: Stage) -> None:
        event = stage.event
        self.heal_after_s = event.heal_after_s
        self.stage = stage
        self.channel, self.readers = event.channel or "", event.readers
        self.operator = stage.admin.operator(stage.provisioned)
        for reader in self.readers or (None,):
            self.operator.check(self.act, self.channel, reader)

    @property
    def subject(self) -> str:
        """The readers, or the channel."""
        return " and ".join(f"{self.channel}.{reader}" for reader in self.readers) or self.channel

    @abstractmethod
    def begin(self) -> None:
        """Do it."""

    @abstractmethod
    def undoing(self) -> Sequence[Call]:
        """The calls of the operator that undo it; what was not done is no error there."""

    @abstractmethod
    def states(self) -> Sequence[bool]:
        """For each object that is acted on, whether the act is in effect now."""

    def undo(self) -> tuple[Undo, ...]:
        """The same calls, by whoever finds the broker; one that dies with crep needs none."""
        calls = self.undoing()
        if not (calls and self.stage.deployment.outlives_us):
            return ()
        return (administer(self.stage.target, self.stage.provisioned, self.channel, calls),)

    def inject(self) -> int:
        """Do it; returns the moment of the request, since the first message may meet it before the broker answers."""
        asked = time.monotonic_ns()
        try:
            self.begin()
        except BrokerError as error:
            self._take_back(error)
            raise
        return asked

    def _end(self) -> None:
        carry_out_calls(self.operator, self.undoing())

    def _take_back(self, failure: BrokerError) -> None:
        try:
            self._end()
        except BrokerError as error:
            failure.add_note(f"what was half done could not be taken back: {error}")

    def confirmed(self) -> bool:
        """Whether the act is in effect on all that it acts on."""
        try:
            return all(self.states())
        except NotSupported:
            raise
        except BrokerError:
            return False

    def heal(self) -> None:
        """Undo it."""
        try:
            self._end()
        except BrokerError:
            return  # the broker may be down just now: `healed` tries again

    def healed(self) -> bool:
        """Whether it is undone; what is not is undone again."""
        try:
            if any(self.states()):
                self._end()
            return not any(self.states())
        except BrokerError:
            return False

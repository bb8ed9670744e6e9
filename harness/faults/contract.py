"""What a fault is: aim → inject → confirm → heal → confirm healed, each step observed and stamped (METHOD rule 13)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from crep.harness.brokers.contract import Admin, Provisioned
from crep.harness.config.targets import Target
from crep.harness.deployment.contract import Deployment
from crep.harness.deployment.service import Service
from crep.harness.faults.nodes import choose
from crep.harness.faults.undo import Undo
from crep.harness.scenario.plan import TimelineEvent

CONFIRM_WITHIN_S = 10.0
HEAL_WITHIN_S = 120.0
"""A broker that was killed needs seconds, on a machine that swaps a minute."""


class Fault(Protocol):
    """One fault of a timeline. Used by one thread. Classes inherit from this one, which gives them the defaults.

    ``heal_after_s`` is the declared time between injection and the start of healing; 0: healing follows at once; None:
    it is healed when the run ends. ``confirm_within_s``: how long `confirmed` is asked for, where it lasts that long;
    ``heal_within_s``: how long `healed` is asked for, after `heal`.
    """

    heal_after_s: float | None
    heal_within_s: float = HEAL_WITHIN_S
    confirm_within_s: float = CONFIRM_WITHIN_S

    @property
    def subject(self) -> str:
        """What it acts on, as the record calls it: the node that was chosen, a reader. True from `aim` on."""
        ...

    def aim(self) -> None:
        """Decide, now, what it acts on (who leads a channel at this moment). Called once, just before `inject`.

        Raises:
            EnvironmentFailure: that cannot be found out, with the reason.
        """
        return

    def undo(self) -> tuple[Undo, ...]:
        """What somebody else has to do when crep is killed while this is in effect. Asked after `aim` and `inject`.

        None is needed where the death of crep ends the fault by itself, or the broker with it.
        """
        return ()

    def inject(self) -> int:
        """Do it; returns CLOCK_MONOTONIC nanoseconds of the moment it took effect.

        Raises:
            EnvironmentFailure: it could not be done, with the reason. What was half done has been taken back.
        """
        ...

    def confirmed(self) -> bool:
        """Say by one probe whether the fault is in effect now."""
        ...

    def heal(self) -> None:
        """Start to undo it. Does not wait.

        Raises:
            EnvironmentFailure: it could not be undone, with the reason.
        """
        ...

    def healed(self) -> bool:
        """Say by one probe whether it is undone now."""
        ...

    def cut_short(self) -> None:
        """The run ends early: a fault of several steps takes no further one; what is begun is still healed."""
        return


class ClientState(Protocol):
    """How one client is, as ``load.contract.ClientState`` says it."""

    @property
    def life(self) -> int:
        """How often it was started; 0: never."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process, by the kernel's word; None: there is none."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it said, in this life, that it is connected, and reading, assigned."""
        ...

    @property
    def frozen(self) -> bool:
        """Whether the kernel says that its process is stopped by a signal."""
        ...

    @property
    def processing_ns(self) -> int | None:
        """The time for a message that it said last; None: it said none."""
        ...


class Storm(Protocol):
    """Many short-lived clients, which another process connects."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many have ``connected`` by now, and how many have ``failed``."""
        ...

    @property
    def over(self) -> bool:
        """Whether the last one is gone."""
        ...

    def end(self) -> None:
        """Start no more of them. Does not wait."""
        ...


class Clients(Protocol):
    """The publishing and receiving clients of a run, as far as a fault can act on them: by name, some at a time.

    What acts returns CLOCK_MONOTONIC nanoseconds of the moment of the word or signal.
    """

    def pause(self, channel: str, readers: Collection[str]) -> int:
        """Tell all members of these readers to stop reading; CLOCK_MONOTONIC nanoseconds of the word."""
        ...

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """Tell them to read again. Does not wait."""
        ...

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each running member of these readers whether it said last that it stands still."""
        ...

    def members(self, channel: str, readers: Collection[str]) -> tuple[str, ...]:
        """The members of these readers, by number, those that are not there included."""
        ...

    def publishers(self, numbers: Collection[int]) -> tuple[str, ...]:
        """These publishers."""
        ...

    def states(self, clients: Collection[str]) -> Mapping[str, ClientState]:
        """How these clients are."""
        ...

    def crash(self, clients: Collection[str]) -> int:
        """SIGKILL them."""
        ...

    def begin(self, clients: Collection[str]) -> int:
        """Start those of them that are not there. Does not wait until they are ready."""
        ...

    def leave(self, clients: Collection[str]) -> int:
        """Tell these subscribers to close and end. Does not wait."""
        ...

    def freeze(self, clients: Collection[str]) -> int:
        """SIGSTOP them."""
        ...

    def thaw(self, clients: Collection[str]) -> int:
        """SIGCONT them."""
        ...

    def slow(self, clients: Collection[str], per_message_s: float | None) -> int:
        """Tell these subscribers to take so long for each message; None: as long as the scenario says."""
        ...

    def storm(self, channel: str, connections: int, over_s: float) -> Storm:
        """Let so many clients connect as publishers of the channel, each for a moment."""
        ...


@dataclass(frozen=True)
class Stage:
    """Where one event of a timeline takes place: all that a fault may act on."""

    event: TimelineEvent
    target: Target
    deployment: Deployment
    admin: Admin
    provisioned: Provisioned
    clients: Clients
    seed: int
    services: Mapping[str, Service] = field(default_factory=dict)  # by the channel that each fills

    def nodes(self) -> tuple[str, ...]:
        """The nodes that the event's word means now. Who leads a channel is asked at this moment.

        Raises:
            NotSupported: crep has no hand on this broker's processes, or it has nothing that the word could mean.
            UnknownNode: no node of that name; the text lists those that there are.
            BrokerError: the broker does not say who has the role, or nobody has it now.
        """
        return choose(self.event, self.deployment, self.admin, self.provisioned, self.seed)

"""The clients of a run as the timeline acts on them: through their engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from crep.harness.brokers.contract import PublisherSpec
from crep.harness.load.contract import ClientState, EngineGroup
from crep.harness.load.storm import ConnectionStorm

Act = Callable[[Collection[str]], None]


class RunningClients:
    """``faults.contract.Clients``, over the engines of the run, which may start later.

    Args:
        engines: of the run; asked for when a fault acts.
        publisher: the spec of a client that publishes to a channel.
        logs: folder for what the processes that are started here write to standard error.
    """

    def __init__(
        self, engines: Callable[[], EngineGroup], publisher: Callable[[str], PublisherSpec], logs: Path
    ) -> None:
        self._engines, self._publisher, self._logs = engines, publisher, logs

    def pause(self, channel: str, readers: Collection[str]) -> int:
        """Tell all members of these readers to stop reading; CLOCK_MONOTONIC nanoseconds of the word."""
        at_ns = time.monotonic_ns()
        self._engines().pause(channel, readers)
        return at_ns

    def resume(self, channel: str, readers: Collection[str]) -> None:
        """Tell them to read again."""
        self._engines().resume(channel, readers)

    def standing(self, channel: str, readers: Collection[str]) -> list[bool]:
        """For each running member whether it said last that it stands still."""
        return self._engines().standing(channel, readers)

    def members(self, channel: str, readers: Collection[str]) -> tuple[str, ...]:
        """The members of these readers, by number, those that are not there included."""
        mine = [one for one in self._engines().roster if one.channel == channel and one.reader in readers]
        return tuple(one.name for one in sorted(mine, key=lambda one: (one.reader or "", one.member or 0)))

    def publishers(self, numbers: Collection[int]) -> tuple[str, ...]:
        """These publishers."""
        return tuple(one.name for one in self._engines().roster if one.publisher in numbers)

    def states(self, clients: Collection[str]) -> Mapping[str, ClientState]:
        """How these clients are."""
        return {name: state for name, state in self._engines().states().items() if name in clients}

    def crash(self, clients: Collection[str]) -> int:
        """SIGKILL them."""
        return _at(self._engines().crash, clients)

    def begin(self, clients: Collection[str]) -> int:
        """Start those of them that are not there."""
        return _at(self._engines().begin, clients)

    def leave(self, clients: Collection[str]) -> int:
        """Tell these subscribers to close and end."""
        return _at(self._engines().leave, clients)

    def freeze(self, clients: Collection[str]) -> int:
        """SIGSTOP them."""
        return _at(self._engines().freeze, clients)

    def thaw(self, clients: Collection[str]) -> int:
        """SIGCONT them."""
        return _at(self._engines().thaw, clients)

    def slow(self, clients: Collection[str], per_message_s: float | None) -> int:
        """Tell these subscribers to take so long for each message; None: as long as the scenario says."""
        at_ns = time.monotonic_ns()
        self._engines().slow(clients, None if per_message_s is None else round(per_message_s * 1e9))
        return at_ns

    def storm(self, channel: str, connections: int, over_s: float) -> ConnectionStorm:
        """Let so many clients connect as publishers of the channel, each for a moment."""
        return ConnectionStorm(self._publisher(channel), connections, over_s, self._logs / f"storm-{channel}.log")


def _at(act: Act, clients: Collection[str]) -> int:
    at_ns = time.monotonic_ns()
    act(clients)
    return at_ns

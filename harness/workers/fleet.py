"""The master's side: the workers that have joined, and the engines of a run spread over them."""

from __future__ import annotations

import platform
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crep import __version__
from crep.harness.config.address import Address
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.protocol import PublisherTask, SubscriberTask
from crep.harness.load.stamp import Carrier
from crep.harness.workers.clock import ClockReading, RoundTrip, reading
from crep.harness.workers.distributed import WorkerEngines
from crep.harness.workers.frames import Header
from crep.harness.workers.link import Link
from crep.harness.workers.words import Message

PORT = 5557
"""Locust's own."""
JOIN_WITHIN_S = 600.0
LISTEN_WITHIN_S = 30.0
CLOCK_WITHIN_S = 10.0
TRIPS = 100
"""Round trips that a worker's clock is read from: the last ten seconds'."""
ENOUGH_TRIPS = 20
_LOOK_EVERY_S = 0.05


@dataclass
class Member:
    """A worker, as the master knows it. Filled by the link's thread."""

    key: str  # Locust's
    name: str
    host: dict[str, Any]
    trips: deque[RoundTrip] = field(default_factory=lambda: deque(maxlen=TRIPS))
    words: int = 0
    lost: str | None = None

    def clock(self) -> ClockReading:
        """Its clock now, from the last round trips. ValueError: there was none."""
        return reading(list(self.trips))

    def shortest_ns(self) -> int:
        """The shortest round trip of late."""
        return min(trip.length_ns for trip in list(self.trips))


class Fleet:
    """A Locust master, and the workers that join it. A context manager: on exit the workers take their leave.

    Args:
        workers: how many are needed; more are refused.
        listen: where Locust's master listens; port 0 takes a free one.
        web: where Locust's web page is served.
        stop: called (from another thread) when somebody presses *Stop* there.
    """

    def __init__(
        self, workers: int, listen: Address, *, web: Address | None = None, stop: Callable[[], None] = lambda: None
    ) -> None:
        self._wanted, self._listen, self._web, self._wish = workers, listen, web, stop
        self._members: dict[str, Member] = {}
        self._group: WorkerEngines | None = None
        self._ended: str | None = None
        self.port: int | None = None

    def __enter__(self) -> Fleet:
        arguments = ["master", self._listen.host, str(self._listen.port)]
        if self._web is not None:
            arguments += [self._web.host, str(self._web.port)]
        self._link = Link(arguments, hear=self._hear, ended=self._on_end)
        try:
            self._wait(lambda: self.port is not None, LISTEN_WITHIN_S, "Locust's master does not listen", lambda: None)
        except BaseException:
            self._link.close(0.0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._present:
            self.tell(member, {"leave": True})
        self._link.close()

    @property
    def _present(self) -> list[Member]:
        return [member for member in list(self._members.values()) if member.lost is None]

    def assemble(self, say: Callable[[str], None], check: Callable[[], None]) -> None:
        """Wait until as many workers as needed have joined.

        Args:
            say: tells the user.
            check: called many times a second; what it raises ends the wait.

        Raises:
            EnvironmentFailure: too few came in time.
        """
        everywhere = self._listen.host in ("*", "0.0.0.0", "::")  # noqa: S104 - what the user asked for
        here = Address(platform.node() if everywhere else self._listen.host, self.port or self._listen.port)
        say(f"waiting for {self._wanted} workers: crep worker --master {here}")
        joined: set[str] = set()

        def all_here() -> bool:
            for member in self._present:
                if member.key not in joined:
                    joined.add(member.key)
                    say(f"worker {member.name} has joined")
            return len(self._present) >= self._wanted

        self._wait(all_here, JOIN_WITHIN_S, f"fewer than {self._wanted} workers have joined", check)

    def engines(
        self,
        *,
        publishers: Sequence[PublisherTask],
        subscribers: Sequence[SubscriberTask],
        run_number: int,
        folder: Path,
        carrier: Carrier,
        keep_records: bool = True,
        write_ahead: bool = False,
    ) -> WorkerEngines:
        """The engines of one run, spread over the workers; the runs of a fleet come one after the other."""
        self._group = WorkerEngines(
            self,
            list(self._members.values()),
            publishers=publishers,
            subscribers=subscribers,
            run_number=run_number,
            folder=folder,
            carrier=carrier,
            keep_records=keep_records,
            write_ahead=write_ahead,
        )
        return self._group

    def tell(self, member: Member, message: Message) -> None:
        """Say something to a worker; one that is lost does not hear it."""
        self._link.say({"to": member.key, "message": message})

    def show(self, running: bool) -> None:
        """Let the web page show that a run begins or has ended."""
        if self._web is not None:
            self._link.say({"show": running})

    def read_clocks(self, members: Sequence[Member], check: Callable[[], None]) -> list[ClockReading]:
        """Each worker's clock, once enough words went there and back.

        Raises:
            EnvironmentFailure: too few came back, or a worker is lost.
        """
        for member in members:
            text = f"the clock of worker {member.name} cannot be read: too few answers"
            self._wait(lambda member=member: len(member.trips) >= ENOUGH_TRIPS, CLOCK_WITHIN_S, text, check)  # type: ignore[misc]
        return [member.clock() for member in members]

    def _wait(self, done: Callable[[], bool], within_s: float, failure: str, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + within_s
        while not done():
            check()
            if self._ended is not None:
                raise EnvironmentFailure(self._ended)
            if time.monotonic() > deadline:
                raise EnvironmentFailure(f"{failure} (waited {within_s:.0f} s)")
            time.sleep(_LOOK_EVERY_S)

    def _on_end(self, reason: str) -> None:
        """In the link's thread: Locust's process has ended, with it all workers are out of reach."""
        self._ended = reason
        for member in self._present:
            self._lose(member, reason)

    def _lose(self, member: Member, reason: str) -> None:
        member.lost = reason
        if self._group is not None:
            self._group.lose(member, reason)

    def _hear(self, header: Header, body: bytes) -> None:
        """In the link's thread."""
        event, member = header["event"], self._members.get(header.get("worker", ""))
        if event == "listening":
            self.port = header["port"]
        elif event == "stop":
            self._wish()
        elif event == "said" and "hello" in header["message"]:
            self._welcome(header["worker"], header["message"]["hello"])
        elif member is None or member.lost is not None:
            return
        elif event == "trip":
            member.trips.append(RoundTrip(*header["times"]))
        elif event == "lost":
            self._lose(member, header["reason"])
        elif header["message"]["n"] != member.words:
            self._lose(member, "some of its words were lost on the way")
        else:
            member.words += 1
            if self._group is not None:
                self._group.hear(member, header["message"], body)

    def _welcome(self, key: str, hello: Message) -> None:
        reason = None
        if hello["version"] != __version__:
            reason = f"it is crep {hello['version']}, this master is {__version__}; all must be the same"
        elif len(self._present) >= self._wanted:
            reason = f"{self._wanted} workers are wanted, and have joined"
        if reason is not None:
            self._link.say({"to": key, "message": {"refused": reason}})
            return
        taken = {member.name for member in self._members.values()}
        names = (hello["name"] if number == 1 else f"{hello['name']}-{number}" for number in range(1, len(taken) + 2))
        name = next(name for name in names if name not in taken)
        self._members[key] = Member(key, name, hello["host"], words=1)
        self._link.say({"to": key, "message": {"welcome": name}})

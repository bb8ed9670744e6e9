"""The worker's side: starts engines for the tasks that the master gives, and tells it what they say.

::

    idle ──prepare──► ready ──go──► running ──finish──► ended ──► idle, for the next run
                        └──────────────┴──── kill, Ctrl-C, master gone ────► every engine is ended
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from crep import __version__
from crep.harness.brokers.contract import BrokerError
from crep.harness.config.errors import CrepError, EnvironmentFailure, Interrupted
from crep.harness.load.contract import ClientState
from crep.harness.load.engines import Engines
from crep.harness.load.protocol import ChildTask, PublisherTask, SubscriberTask
from crep.harness.runs.provenance import host
from crep.harness.workers.clock import planted_ns
from crep.harness.workers.frames import Header
from crep.harness.workers.link import Link
from crep.harness.workers.shipping import ClientFiles, Shipper
from crep.harness.workers.words import Message, to_message

_TURN_S = 0.05
_IDLE_TURN_S = 0.2
_LEAVE_WITHIN_S = 3.0
_ACTS: dict[str, Callable[[Engines, Collection[str]], None]] = {
    "crash": Engines.crash,
    "freeze": Engines.freeze,
    "thaw": Engines.thaw,
    "begin": Engines.begin,
    "leave": Engines.leave,
}
"""What the master may have done to single clients, by its word for it."""


class MasterGone(EnvironmentFailure):
    """The master is not there any more."""


class _Killed(Exception):
    """The master wants the end, while the engines are being started."""


class Inbox:
    """What the endpoint says, for the worker's own thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Header] = queue.SimpleQueue()

    def hear(self, header: Header, _body: bytes) -> None:
        """From the link's thread."""
        self._queue.put(header)

    def ended(self, reason: str) -> None:
        """From the link's thread."""
        self._queue.put({"event": "gone", "reason": reason})

    def next(self, timeout_s: float) -> Message | None:
        """The master's next word, ``{"connected": true}``, or None.

        Raises:
            MasterGone: there will be none.
        """
        try:
            header = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if header["event"] == "gone":
            raise MasterGone(f"the master is gone: {header['reason']}")
        return header["message"] if header["event"] == "said" else {"connected": True}


class Worker:
    """Serves one master until that ends.

    Args:
        host: of the master.
        port: of the master.
        name: of this worker; the master makes it unique.
        say: tells the user.
        check: called many times a second; what it raises ends the worker.
    """

    def __init__(
        self, host: str, port: int, *, name: str, say: Callable[[str], None], check: Callable[[], None]
    ) -> None:
        self._address, self._name, self._tell_user, self._check = (host, port), name, say, check
        self._inbox = Inbox()
        self._lock, self._count = threading.Lock(), 0
        self._work: _Work | None = None
        self._leaving = False

    def serve(self, join_within_s: float) -> None:
        """Join, work, and return when the master has taken its leave.

        Raises:
            EnvironmentFailure: no master answered in time, it refused, or it is gone. Every engine has been ended.
        """
        host, port = self._address
        self._tell_user(f"looking for a master at {host}:{port}")
        self._link = Link(["worker", host, str(port)], hear=self._inbox.hear, ended=self._inbox.ended)
        try:
            self._join(time.monotonic() + join_within_s)
            while self._turn():
                self._check()
        finally:
            if self._work is not None:
                self._work.kill()
                self._tell_user("the engines have been ended")
            self._link.close(_LEAVE_WITHIN_S)

    def _join(self, deadline: float) -> None:
        while True:
            self._check()
            message = self._inbox.next(_IDLE_TURN_S) or {}
            if "connected" in message:
                facts = host().model_dump(mode="json")
                self._say({"hello": {"name": self._name, "version": __version__, "host": facts}})
            elif "refused" in message:
                raise EnvironmentFailure(f"the master refused this worker: {message['refused']}")
            elif "welcome" in message:
                self._name = message["welcome"]
                self._tell_user(f"joined as {self._name}; waiting for work")
                return
            elif time.monotonic() > deadline:
                raise EnvironmentFailure(
                    "no master let this worker in: {}:{}".format(*self._address),
                    hint="start it with: crep run … --workers N",
                )

    def _turn(self) -> bool:
        """One look around; False when the master has taken its leave."""
        message = self._inbox.next(0.0 if self._work else _IDLE_TURN_S)
        try:
            while message is not None:
                self._leaving |= "leave" in message
                self._obey(message)
                if self._leaving:
                    self._tell_user("the master has ended")
                    return False
                message = self._inbox.next(0.0)
            if self._work is not None and self._work.turn(_TURN_S):
                self._end_work()
        except (MasterGone, Interrupted):
            raise
        except CrepError as error:
            self._say({"broken": str(error)})
            self._end_work()
        return True

    def _obey(self, message: Message) -> None:
        work = self._work
        if "prepare" in message:
            self._prepare(message["prepare"])
        elif work is None:
            if "kill" in message:  # it crossed the word that all has ended
                self._say({"ended": True})
        elif "go" in message:
            work.go(message["go"])
            self._tell_user("the engines run")
        elif "arrived" in message:
            work.shipper.acknowledged()
        elif "finish" in message:
            work.finish(message["finish"])
        elif "kill" in message:
            self._end_work()
        else:
            _act(work, message)

    def _prepare(self, order: Message) -> None:
        self._work = work = _Work(order, self._say, self._ship)
        self._tell_user(f"starting {len(work.tasks)} engines")
        try:
            work.start(order["ready_within_s"], self._watch_while_starting)
        except _Killed:
            self._end_work()
        except (MasterGone, Interrupted):
            raise
        except CrepError as error:
            work.kill()
            self._work = None
            self._say({"unable": str(error), "broker": isinstance(error, BrokerError)})

    def _watch_while_starting(self) -> None:
        self._check()
        message = self._inbox.next(0.0) or {}
        self._leaving = "leave" in message
        if "kill" in message or self._leaving:
            raise _Killed

    def _end_work(self) -> None:
        if self._work is not None:
            self._work.kill()
            self._work = None
            self._tell_user("the engines have ended; waiting for work")
        self._say({"ended": True})

    def _say(self, message: Message, body: bytes = b"") -> None:
        with self._lock:  # numbers in the order of the pipe, also of what the shipping thread says
            self._link.say({"message": message | {"n": self._count}}, body)
            self._count += 1

    def _ship(self, name: str, first: int, records: bytes) -> None:
        self._say({"records": name, "first": first}, records)


def _act(work: _Work, message: Message) -> None:
    """What is done to clients while they run."""
    if "stop" in message:
        work.engines.stop_publishers()
    elif "pause" in message:
        work.engines.pause(*message["pause"])
    elif "resume" in message:
        work.engines.resume(*message["resume"])
    elif "slow" in message:
        work.engines.slow(*message["slow"])
    elif acts := message.keys() & _ACTS.keys():
        [act] = acts
        _ACTS[act](work.engines, [name for name in message[act] if name in work.names])


class _Work:
    """The engines of one run, and their records on the way."""

    def __init__(self, order: Message, say: Callable[[Message], None], ship: Callable[[str, int, bytes], None]) -> None:
        self.tasks = [ChildTask.from_line(line.encode()) for line in order["tasks"]]
        self._say = say
        # Engines go by the machine's own clock, which a planted difference has not touched.
        self._ahead_ns = order["ahead_ns"] - planted_ns()
        self._folder = tempfile.TemporaryDirectory(prefix="crep-worker-")
        folder = Path(self._folder.name)
        keep = order["keep_records"]
        self.engines = Engines(
            publishers=[one.task for one in self.tasks if isinstance(one.task, PublisherTask)],
            subscribers=[one.task for one in self.tasks if isinstance(one.task, SubscriberTask)],
            run_number=order["run_number"],
            folder=folder,
            carrier=order["carrier"],
            keep_records=keep,
            clock_ahead_ns=self._ahead_ns,
            write_ahead=order["write_ahead"],
        )
        files = [ClientFiles.of(one.task) for one in self.tasks]
        self.shipper = Shipper(folder / "ledger", files, ship, ahead_ns=self._ahead_ns, keep=keep)
        self.names = frozenset(one.name for one in self.engines.roster)
        self._states: dict[str, ClientState] = {}

    def start(self, timeout_s: float, check: Callable[[], None]) -> None:
        """Engines, then the shipping of what they write. Raises like ``Engines.start``, and what ``check`` raises."""
        self.engines.start(timeout_s, check)
        self.shipper.start()
        self._say({"ready": {one.name: one.settings for one in self.engines.clients}})

    def go(self, t0_ns: int) -> None:
        """``t0_ns`` by the master's clock."""
        self.engines.go(t0_ns + self._ahead_ns)

    def turn(self, timeout_s: float) -> bool:
        """Tell what the engines said; True when all have ended and all their records have arrived.

        Raises:
            EnvironmentFailure: the records cannot be sent.
        """
        for said in self.engines.take(timeout_s):
            self._say(to_message(said, self._ahead_ns))
        states = self.engines.states()
        if states != self._states:
            self._states = states
            self._say({"states": {name: asdict(state) for name, state in states.items()}})
        if self.shipper.failure is not None:
            raise EnvironmentFailure(self.shipper.failure)
        return self.shipper.done.is_set()

    def finish(self, timeout_s: float) -> None:
        """Close what still runs; ``turn`` says when the last record has arrived."""
        self.engines.finish(timeout_s)
        self.shipper.finish()

    def kill(self) -> None:
        """End every engine, and forget their records."""
        self.engines.kill()
        self.shipper.stop()
        self._folder.cleanup()

"""The process that speaks Locust: ``python -m crep.harness.workers.endpoint``, started by ``link``.

::

    endpoint master HOST PORT [WEB_HOST WEB_PORT]      endpoint worker HOST PORT

Frames on standard input and output. What the endpoint says (``event``):

=============  ====================================================================================================
``listening``  master: ``port``
``connected``  worker: the master's Locust has answered
``said``       ``worker`` (master only), ``message`` and body: the other side's words, as they were
``trip``       master: ``worker``, ``times``: one round trip, four CLOCK_MONOTONIC readings (``clock.RoundTrip``)
``lost``       master: ``worker``, ``reason``: it left, or its heartbeats do not come any more
``stop``       master: somebody pressed *Stop* on the web page
``gone``       worker: ``reason``: the master is not heard of any more
=============  ====================================================================================================

What it is told: ``{"to": worker (master only), "message": …}`` and body; ``{"show": bool}`` (master: a run begins or
ends on the web page); ``{"quit": true}``. The end of its standard input means that its parent is gone: it ends.

Nothing is patched by gevent here, and nothing here blocks: pipes and sockets wait in greenlets.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import gevent
from gevent.fileobject import FileObjectPosix
from gevent.queue import Queue
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import STATE_MISSING, STATE_RUNNING, STATE_STOPPED, MasterRunner, WorkerRunner
from locust.stats import stats_history

from crep.harness.load.protocol import Client, window_from_json
from crep.harness.workers.clock import planted_ns
from crep.harness.workers.entries import report
from crep.harness.workers.frames import Header, encoded, read_frame

WORD, PING, PONG = "crep", "crep-ping", "crep-pong"
"""Types of our messages on Locust's channel."""

PING_EVERY_S = 0.1
BURST, BURST_EVERY_S = 20, 0.01
"""The first round trips of a worker come fast: nothing begins before its clock is known."""
GONE_S = 5.0
"""A master that has not been heard of for so long is gone; its pings come ten times a second."""
_WATCH_EVERY_S = 0.25
_LAST_WORDS_S = 0.5
_QUIT_WITHIN_S = 3.0


class Parent:
    """The pipes to the process that started this one; saying never waits."""

    def __init__(self) -> None:
        self._out: Queue[bytes] = Queue()
        gevent.spawn(self._write)

    def say(self, header: Header, body: bytes = b"") -> None:
        """Queue a frame; how much can be queued is bounded by the senders' credit (``shipping``)."""
        self._out.put(encoded(header, body))

    def listen(self, obey: Callable[[Header, bytes], None]) -> None:
        """Obey orders until the parent tells to quit, or is gone."""
        pipe = FileObjectPosix(0, "rb", closefd=False)
        while frame := read_frame(pipe):
            header, body = frame
            if "quit" in header:
                return
            obey(header, body)

    def flush(self) -> None:
        """Give what is queued a moment to go out."""
        deadline = time.monotonic() + _LAST_WORDS_S
        while not self._out.empty() and time.monotonic() < deadline:
            gevent.sleep(0.01)

    def _write(self) -> None:
        pipe = FileObjectPosix(1, "wb", closefd=False)
        while True:
            pipe.write(self._out.get())
            if self._out.empty():
                pipe.flush()


class QuietMaster(MasterRunner):  # type: ignore[misc]  # Locust is not looked into
    """Locust's master without users: runs begin at crep's command line, and *Stop* is a wish that crep carries out."""

    def __init__(self, environment: Environment, host: str, port: int, stop: Callable[[], None]) -> None:
        self._wish = stop
        super().__init__(environment, host, port)

    def start(self, *arguments: Any, **options: Any) -> None:
        """Nothing: there are no users to spawn."""

    def stop(self, send_stop_to_client: bool = True) -> None:
        """Ask for the end of the run, if it was a person who wants it; Locust itself stops when nobody is left."""
        if send_stop_to_client and self.worker_count:
            self._wish()


class Master:
    """The master's endpoint."""

    def __init__(self, parent: Parent, host: str, port: int, web: tuple[str, int] | None) -> None:
        self._parent = parent
        self._environment = Environment()
        self._runner = QuietMaster(self._environment, host, port, lambda: parent.say({"event": "stop"}))
        self._environment.runner = self._runner
        self._alive: set[str] = set()
        self._runner.register_message(WORD, self._on_word)
        self._runner.register_message(PONG, self._on_pong)
        if web is not None:
            self._environment.create_web_ui(*web)
            gevent.spawn(stats_history, self._runner)
        self._web = web is not None
        gevent.spawn(self._watch)
        parent.say({"event": "listening", "port": self._runner.server.port})

    def obey(self, order: Header, body: bytes) -> None:
        """Hand a word on to its worker, or show a run."""
        if "show" in order:
            if order["show"]:
                self._environment.stats.clear_all()
            self._runner.update_state(STATE_RUNNING if order["show"] else STATE_STOPPED)
        elif order["to"] in self._alive:
            self._runner.send_message(WORD, {"message": order["message"], "body": body}, client_id=order["to"])

    def quit(self) -> None:
        """All workers are told by Locust to quit."""
        with gevent.Timeout(_QUIT_WITHIN_S, False):
            self._runner.quit()
            gevent.sleep(_LAST_WORDS_S)  # the socket's own thread sends it

    def _on_word(self, environment: Environment, msg: Any, **_: Any) -> None:
        worker, message = msg.node_id, msg.data["message"]
        if "hello" in message:
            self._alive.add(worker)
            gevent.spawn(self._ping, worker)
        if worker in self._alive:
            if self._web and "window" in message:
                report(environment, window_from_json(message["window"], Client(**message["client"])))
            self._parent.say({"event": "said", "worker": worker, "message": message}, msg.data["body"])

    def _on_pong(self, environment: Environment, msg: Any, **_: Any) -> None:
        returned_ns = time.monotonic_ns()
        times = [msg.data["sent"], msg.data["received"], msg.data["answered"], returned_ns]
        self._parent.say({"event": "trip", "worker": msg.node_id, "times": times})

    def _ping(self, worker: str) -> None:
        count = 0
        while worker in self._alive:
            self._runner.send_message(PING, {"sent": time.monotonic_ns()}, client_id=worker)
            count += 1
            gevent.sleep(BURST_EVERY_S if count < BURST else PING_EVERY_S)

    def _watch(self) -> None:
        while True:
            gevent.sleep(_WATCH_EVERY_S)
            for worker in list(self._alive):
                node = self._runner.clients.get(worker)
                if node is None:
                    self._lose(worker, "it was ended where it runs")
                elif node.state == STATE_MISSING:
                    self._lose(worker, "its heartbeats do not come any more (killed, stopped, or cut off)")

    def _lose(self, worker: str, reason: str) -> None:
        self._alive.discard(worker)
        self._parent.say({"event": "lost", "worker": worker, "reason": reason})


class Worker:
    """The worker's endpoint. Its constructor waits for the master to answer."""

    def __init__(self, parent: Parent, host: str, port: int) -> None:
        self._parent, self._planted_ns = parent, planted_ns()
        self._heard_s = time.monotonic()
        self._runner: WorkerRunner = Environment().create_worker_runner(host, port)
        self._runner.register_message(WORD, self._on_word)
        self._runner.register_message(PING, self._on_ping)
        parent.say({"event": "connected"})
        gevent.spawn(self._watch)

    def obey(self, order: Header, body: bytes) -> None:
        """Hand a word on to the master."""
        self._runner.send_message(WORD, {"message": order["message"], "body": body})

    def quit(self) -> None:
        """The master is told by Locust's own word."""
        with gevent.Timeout(_QUIT_WITHIN_S, False):
            self._runner.environment.events.quitting.fire(environment=self._runner.environment)
            gevent.sleep(_LAST_WORDS_S)  # the socket's own thread sends it

    def _on_word(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._parent.say({"event": "said", "message": msg.data["message"]}, msg.data["body"])

    def _on_ping(self, environment: Environment, msg: Any, **_: Any) -> None:
        received_ns, self._heard_s = time.monotonic_ns() + self._planted_ns, time.monotonic()
        answer = {"sent": msg.data["sent"], "received": received_ns}
        self._runner.send_message(PONG, answer | {"answered": time.monotonic_ns() + self._planted_ns})

    def _watch(self) -> None:
        self._heard_s = time.monotonic()
        while time.monotonic() - self._heard_s < GONE_S:
            gevent.sleep(_WATCH_EVERY_S)
        self._parent.say({"event": "gone", "reason": f"nothing was heard of the master for {GONE_S:.0f} s"})


def serve_master(parent: Parent, host: str, port: int, web: tuple[str, int] | None) -> None:
    """Until the parent tells to quit, or is gone."""
    try:
        master = Master(parent, host, port, web)
    except RPCError as error:
        sys.exit(f"Locust's master cannot listen at {host}:{port}: {error}")
    parent.listen(master.obey)
    master.quit()


def serve_worker(parent: Parent, host: str, port: int) -> None:
    """The same. The parent is listened to while the master is still waited for."""
    worker = gevent.spawn(Worker, parent, host, port)
    worker.link_exception(lambda _: parent.say({"event": "gone", "reason": f"nobody answers at {host}:{port}"}))
    parent.listen(lambda order, body: worker.get().obey(order, body))
    if worker.successful():
        worker.get().quit()


def main(arguments: list[str]) -> int:
    """Serve until told to quit."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    role, host, port, *web = arguments
    parent = Parent()
    if role == "master":
        serve_master(parent, host, int(port), (web[0], int(web[1])) if web else None)
    else:
        serve_worker(parent, host, int(port))
    parent.flush()
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main(sys.argv[1:])
    except SystemExit as end:
        print(end.code, file=sys.stderr)  # noqa: T201 - what the parent tells the user
    except BaseException:  # noqa: BLE001 - said in full, and then the process ends
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)  # without waiting for Locust's greenlets, or for a socket that nobody reads

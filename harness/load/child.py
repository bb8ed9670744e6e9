"""One engine process: ``python -m crep.harness.load.child``, started by ``engines``, spoken to by ``protocol``.

Exit codes: 0 done; 3 it said why it failed; 4 the parent is gone; else an error of crep itself, with its traceback on
standard error.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from crep.harness.brokers.contract import BrokerError, BulkPublisher, BulkSubscriber
from crep.harness.brokers.registry import adapter
from crep.harness.config.errors import CrepError
from crep.harness.load.background import Background, HistoryWriter
from crep.harness.load.earlier import earlier
from crep.harness.load.orders import ORPHANED, Orders
from crep.harness.load.pacing import sharpen_timer
from crep.harness.load.protocol import ChildTask, PublisherTask, SubscriberTask, to_line
from crep.harness.load.publisher import PublisherEngine, prepare
from crep.harness.load.pulse import Line, Tell
from crep.harness.load.stamp import Renderer
from crep.harness.load.subscriber import SubscriberEngine
from crep.harness.metrics.history import (
    OUTCOME,
    RECEIVED,
    SENT,
    outcomes_file,
    publisher_marks,
    reader_marks,
    received_file,
    sent_file,
)

Client = TypeVar("Client", BulkPublisher, BulkSubscriber)

READY_WITHIN_S = 45.0  # less than the parent waits, so that the reason is told here
_LAST_WORDS_S = 10.0
_AGAIN_AFTER_S = 0.5
SWITCH_S = 50e-6
"""How long the thread that writes records may keep the interpreter from the engine. By default 5 ms: all lateness."""


def publish(child: ChildTask, task: PublisherTask, orders: Orders, tell: Tell) -> None:
    """Open, wait for ``go``, publish, close."""
    number = task.plan.publisher
    files = {sent_file(number): SENT, outcomes_file(number): OUTCOME}
    before = earlier(child.ledger, number) if child.write_ahead else None
    history = HistoryWriter(
        child.ledger,
        files,
        marks=publisher_marks(number),
        segment=child.segment,
        ahead=sent_file(number) if child.write_ahead else None,
    )
    renderer = Renderer(
        run=child.run_number,
        publisher=number,
        seed=task.plan.seed,
        carrier=child.carrier,
        documents=task.plan.documents,
    )
    prepare(renderer, task.plan)
    client = _connected(
        partial(adapter(task.spec.endpoint.system).publisher, task.spec),
        lambda client: client.open(),
        within_s=task.spec.reconnect_for_s if child.patient else 0.0,
    )
    try:
        tell({"ready": client.effective_settings()})
        _settle_memory()
        while not (orders.go.wait(0.1) or orders.stop.is_set()):
            client.poll(0.0)
        if not orders.go.is_set():
            tell({"done": {}})
            return
        engine = PublisherEngine(
            task,
            client,
            renderer,
            t0_ns=orders.t0_ns,
            history=history,
            tell=tell,
            clock_ahead_ns=child.clock_ahead_ns,
            before=before,
        )
        done = engine.run(orders.stop)
    finally:
        client.close()
    tell({"done": done})


def subscribe(child: ChildTask, task: SubscriberTask, orders: Orders, tell: Tell) -> None:
    """Open, receive until told to finish, close."""
    spec = task.spec
    who = spec.channel, spec.reader.name, spec.member
    files = {received_file(*who): RECEIVED}
    history = HistoryWriter(
        child.ledger,
        files,
        marks=reader_marks(*who),
        segment=child.segment,
        ahead=received_file(*who) if child.write_ahead else None,
    )
    client = _connected(
        partial(adapter(spec.endpoint.system).subscriber, spec),
        _take_part,
        within_s=spec.reconnect_for_s if child.patient else 0.0,
    )
    try:
        tell({"ready": client.effective_settings()})
        _settle_memory()
        engine = SubscriberEngine(
            task,
            client,
            run_number=child.run_number,
            history=history,
            tell=tell,
            clock_ahead_ns=child.clock_ahead_ns,
        )
        engine.run(orders)
    finally:
        client.close()
    tell({"closed": True})


def _take_part(client: BulkSubscriber) -> None:
    client.open()
    client.ready(READY_WITHIN_S)


def _connected(make: Callable[[], Client], connect: Callable[[Client], None], within_s: float) -> Client:
    """A client that is connected, at the first attempt or one that begins within so many seconds.

    Raises:
        BrokerError: why the last attempt failed.
    """
    deadline = time.monotonic() + within_s
    while True:
        client = make()
        try:
            connect(client)
        except BrokerError:
            client.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_AFTER_S)
        else:
            return client


def _settle_memory() -> None:
    """No collections from here on: one over a million objects stops the engine for 0.1 s. Engines make no cycles."""
    gc.collect()
    gc.freeze()
    gc.disable()


def main() -> int:
    """Carry out the task on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which decides
    line = sys.stdin.buffer.readline()
    if not line:
        return ORPHANED
    child = ChildTask.from_line(line)
    orders = Orders()
    threading.Thread(target=orders.listen, args=(sys.stdin.buffer,), name="orders", daemon=True).start()
    sharpen_timer()
    sys.setswitchinterval(SWITCH_S)
    reports = Background("reports")
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a client library prints belongs into the log, not between our lines

    def write(message: Line) -> None:
        line = memoryview(to_line(message() if callable(message) else message))
        while line:
            line = line[pipe.write(line) :]

    def tell(message: Line) -> None:
        reports.submit(write, message)

    try:
        if isinstance(child.task, PublisherTask):
            publish(child, child.task, orders, tell)
        else:
            subscribe(child, child.task, orders, tell)
    except CrepError as error:
        tell({"failed": str(error)})
        reports.close(_LAST_WORDS_S)
        return error.exit_code
    reports.close(_LAST_WORDS_S)
    return 0


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except BaseException:  # noqa: BLE001 - said in full below, and then the process ends
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)  # without waiting for a thread of a client library, or for a pipe that nobody reads

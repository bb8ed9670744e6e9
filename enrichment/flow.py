"""The flow of one route: receive, process, send, and accept at the source what the sink has acknowledged.

One thread owns source, sinks and ledger; lanes only process. At any moment a message is in one place::

    source ─► lanes ─► waiting (for room at the sink) ─► sink ─► accepted at the source
                │                                          │
                └─► failed: dead letter ──► its sink ──────┘

Bounded: at most ``in_flight`` source messages are taken and not settled; when they are, nothing more is received, and
the source's own windows hold the rest back.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from threading import Event

from crep.enrichment.failure import Failure, dead_letter
from crep.enrichment.forwarding import DUPLICATE, SINK, Note, State
from crep.enrichment.lanes import lanes
from crep.enrichment.ledger import Ledger
from crep.enrichment.lookups import LookupFailed
from crep.enrichment.pipeline import Pipeline, Processed
from crep.enrichment.record import StepFailed
from crep.enrichment.seen import Seen
from crep.harness.brokers.contract import BrokerError, Message, Outcome
from crep.harness.brokers.streams import Sent, Sink, Source

BATCH = 500
RETRY_LOOKUP_S = 0.2
RESEND_AFTER_S = 0.1
GIVE_BACK_WITHIN_S = 10.0
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Finished:
    """A message that came out of its lane: processed, or failed."""

    message: Message
    result: Processed | Failure


@dataclass
class Work:
    """A source message that is not settled: how many of its parts are still under way."""

    message: Message
    received_ns: int
    parts: int = 0


@dataclass(frozen=True)
class Sending:
    """A part on its way to a sink; ``failure`` is of a dead letter."""

    work: Work
    message: Message
    failure: Failure | None


class Flow:
    """One route. ``run`` returns when it was told to stop and everything taken is settled.

    Args:
        pipeline: what happens to a message.
        source: where messages come from; not open.
        sink: where they go; not open.
        dead: where dead letters go: another sink, or ``sink`` itself.
        dead_topic: their topic.
        where: names of the bridge and the route, which dead letters carry.
        workers: lanes.
        in_flight: source messages taken and not settled, at most.
        deduplicate_s: how long a message's id is remembered; None: not at all.
        note: takes events for the log.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        sink: Sink,
        dead: Sink,
        *,
        dead_topic: str,
        where: tuple[str, str],
        workers: int = 1,
        in_flight: int = 5000,
        deduplicate_s: float | None = None,
        note: Note = lambda *_: None,
    ) -> None:
        self._pipeline, self._source, self._sink, self._dead = pipeline, source, sink, dead
        self._clients: dict[str, Source | Sink] = {"source": source, "sink": sink}
        if dead is not sink:
            self._clients["dead letters"] = dead
        self._dead_topic, self._where, self._in_flight, self._note = dead_topic, where, in_flight, note
        self._lanes = lanes(self._process, workers, "-".join(where))
        self._stopping, self._at_once = Event(), Event()
        self._working: dict[int, Work] = {}  # taken and not settled, by the message object's identity
        self._waiting: deque[Sending] = deque()  # in order, for room at their sinks
        self._sending: dict[int, Sending] = {}  # by token
        self._token = 0  # of the next one that a sink takes
        self._seen = Seen(deduplicate_s)
        self._later_s = 0.0  # nothing is handed over again before
        self.ledger = Ledger()
        self.state: State = self._state()
        self.added_ns: deque[int] = deque(maxlen=10_000)  # latency that the bridge added, of the latest messages

    @property
    def in_flight(self) -> int:
        """Parts under way: a message in its lane is one."""
        return sum(work.parts for work in self._working.values())

    def stop(self, *, at_once: bool = False) -> None:
        """Receive nothing more and end when everything taken is settled; at once: settle nothing more either."""
        self._stopping.set()
        if at_once:
            self._at_once.set()

    def run(self) -> None:
        """Open, forward until stopped, close.

        Raises:
            BrokerError: a broker is out of reach for good, or refuses the dead letters.
            LedgerBroken: an error of the bridge itself.
        """
        try:
            self._sink.open()
            if self._dead is not self._sink:
                self._dead.open()
            self._source.open(self._give_back)
            looked_s = 0.0
            while not self._at_once.is_set() and not (self._stopping.is_set() and not self._working):
                self._turn()
                if time.monotonic() - looked_s >= LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    self._look()
            self._look()
        finally:
            self._lanes.close()
            for client in self._clients.values():
                client.close()

    def _look(self) -> None:
        """Hold the ledger to what is under way, and leave word of both for other threads."""
        state = self._state()
        self.ledger.check(state.in_flight)
        self.state = state
        for side, client in self._clients.items():
            for event in client.events():
                self._note(f"{side} {event.kind}", None, Failure(side, event.text))

    def _state(self) -> State:
        return State(self.ledger.document(self.in_flight), len(self._waiting))

    def _turn(self) -> None:
        """One round: as much as goes without waiting, then wait where there is nothing to do."""
        room = 0 if self._stopping.is_set() else min(BATCH, self._in_flight - len(self._working))
        busy = self._after_lanes(0.0) | self._hand_over() | self._outcomes(0.0)
        wait_s = 0.0 if busy else 0.005 if self._working else 0.05
        if room > 0:
            self._begin(self._source.receive(room, wait_s))
        elif not busy:
            self._source.receive(0, 0.0)  # the membership is kept; what there is to wait for comes from the sink
            self._outcomes(0.005) if self._sending else self._after_lanes(0.005)

    def _begin(self, messages: list[Message]) -> None:
        now = time.monotonic_ns()
        for message in messages:
            self.ledger.received += 1
            self.ledger.redelivered += bool(message.redelivered)
            if self._seen.before(message, now):
                self.ledger.filtered[DUPLICATE] += 1
                self._source.accept([message])
                continue
            self._working[id(message)] = Work(message, now, parts=1)
            self._lanes.put(message)

    def _process(self, message: Message) -> Finished:
        """In a lane: a lookup that does not answer holds up its lane, and nothing is lost by waiting."""
        while True:
            try:
                return Finished(message, self._pipeline.process(message))
            except StepFailed as failure:
                return Finished(message, Failure(failure.step, failure.reason))
            except LookupFailed as failure:
                self._note("lookup-failed", message, Failure("lookup", str(failure)))
                if self._at_once.wait(RETRY_LOOKUP_S):
                    return Finished(message, Failure("lookup", str(failure)))

    def _after_lanes(self, timeout_s: float) -> bool:
        results = self._lanes.take(timeout_s)
        if self._at_once.is_set():
            return False  # what a lane gave up on is not settled: it comes again
        for outcome in results:
            work = self._working[id(outcome.message)]
            if isinstance(outcome.result, Failure):
                self._waiting.append(Sending(work, self._dead_letter(work.message, outcome.result), outcome.result))
                continue
            processed = outcome.result
            self.ledger.split_extra += processed.parts - 1
            self.ledger.filtered.update(processed.filtered)
            work.parts = len(processed.out)
            self._waiting.extend(Sending(work, part, None) for part in processed.out)
            if not work.parts:
                self._settle(work)
        return bool(results)

    def _dead_letter(self, message: Message, failure: Failure) -> Message:
        return dead_letter(message, failure, self._where, self._dead_topic)

    def _hand_over(self) -> bool:
        """Give to the sinks what they have room for, in order."""
        if not self._waiting or time.monotonic() < self._later_s:
            return False
        handed = False
        while self._waiting and self._sink_of(self._waiting[0]).send(self._waiting[0].message, self._token):
            self._sending[self._token] = self._waiting.popleft()
            self._token += 1  # one that is offered again keeps its number: sinks give up by it
            handed = True
        return handed

    def _sink_of(self, sending: Sending) -> Sink:
        return self._sink if sending.failure is None else self._dead

    def _outcomes(self, timeout_s: float) -> bool:
        sent = self._sink.poll(timeout_s)
        if self._dead is not self._sink:
            sent += self._dead.poll(0.0)
        again: list[Sending] = []
        for one in sent:
            sending = self._sending.pop(one.token)
            if one.outcome is Outcome.ACKNOWLEDGED:
                self._done(sending)
            elif one.outcome is Outcome.REJECTED:
                again.append(self._rejected(sending, one))
            else:
                self.ledger.resent += 1
                self._note("resent", sending.message, Failure(SINK, one.reason or "the outcome is unknown"))
                self._later_s = time.monotonic() + RESEND_AFTER_S
                again.append(sending)
        self._waiting.extendleft(reversed(again))
        return bool(sent)

    def _done(self, sending: Sending) -> None:
        work, failure = sending.work, sending.failure
        if failure is None:
            self.ledger.acknowledged += 1
            self.added_ns.append(time.monotonic_ns() - work.received_ns)
        else:
            self.ledger.dead_lettered[failure.step] += 1
            self._note("dead-lettered", work.message, failure)
        work.parts -= 1
        if not work.parts:
            self._settle(work)

    def _rejected(self, sending: Sending, one: Sent) -> Sending:
        """What the broker refuses becomes a dead letter; a dead letter that is refused ends the route."""
        if sending.failure is not None:
            raise BrokerError(
                f"the dead-letter place {self._dead_topic!r} refuses a message: {one.reason}",
                hint="nothing was dropped: it stays at the source. Mend that place and start the bridge again",
            )
        failure = Failure(SINK, one.reason or "rejected without a reason")
        return Sending(sending.work, self._dead_letter(sending.message, failure), failure)

    def _settle(self, work: Work) -> None:
        del self._working[id(work.message)]
        self._seen.add(work.message)
        self._source.accept([work.message])

    def _give_back(self) -> None:
        """Before another member reads a partition of ours: let what is under way arrive, or it is overtaken."""
        deadline = time.monotonic() + GIVE_BACK_WITHIN_S
        while self._working and time.monotonic() < deadline and not self._at_once.is_set():
            if not (self._after_lanes(0.0) | self._hand_over() | self._outcomes(0.0)):
                self._outcomes(0.005)

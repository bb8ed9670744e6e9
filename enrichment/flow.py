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
from threading import Event

from crep.enrichment.failure import Failure, dead_letter
from crep.enrichment.forwarding import DUPLICATE, SINK, Note, State
from crep.enrichment.lanes import lanes
from crep.enrichment.ledger import Ledger
from crep.enrichment.part import Part
from crep.enrichment.pipeline import Pipeline
from crep.enrichment.processing import Processing
from crep.enrichment.seen import Seen
from crep.harness.brokers.contract import BrokerError, Message, Outcome
from crep.harness.brokers.streams import Sink, Source

BATCH = 100
"""Messages that go through each stage together: few enough to stay in the processor's cache from one to the next."""
RESEND_AFTER_S = 0.1
GIVE_BACK_WITHIN_S = 10.0
LOOK_EVERY_S = 0.2
_ACKNOWLEDGED = Outcome.ACKNOWLEDGED


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
        self._source, self._sink, self._dead = source, sink, dead
        self._clients: dict[str, Source | Sink] = {"source": source, "sink": sink}
        if dead is not sink:
            self._clients["dead letters"] = dead
        self._dead_topic, self._where, self._in_flight, self._note = dead_topic, where, in_flight, note
        self._stopping, self._at_once = Event(), Event()
        self._lanes = lanes(Processing(pipeline, note, self._at_once), workers, "-".join(where))
        self._taken = 0  # source messages that are not settled
        self._abandoned = 0  # of them, those that a lane gave up on, since the flow is to end at once
        self._waiting: deque[Part] = deque()  # in order, for room at their sinks
        self._sending: dict[int, Part] = {}  # by token
        self._token = 0  # of the next one that a sink takes
        self._seen = None if deduplicate_s is None else Seen(deduplicate_s)
        self._later_s = 0.0  # nothing is handed over again before
        self.ledger = Ledger()
        self.state: State = self._state()
        self.added_ns: deque[int] = deque(maxlen=10_000)  # latency that the bridge added, of the latest messages

    @property
    def in_flight(self) -> int:
        """Parts under way, counted where they are: a message in its lane is one."""
        return len(self._lanes) + self._abandoned + len(self._waiting) + len(self._sending)

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
            while not self._at_once.is_set() and not (self._stopping.is_set() and not self._taken):
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
        room = 0 if self._stopping.is_set() else min(BATCH, self._in_flight - self._taken)
        busy = self._after_lanes(0.0) | self._hand_over() | self._outcomes(0.0)
        wait_s = 0.0 if busy else 0.005 if self._taken else 0.05
        if room > 0:
            self._begin(self._source.receive(room, wait_s))
        elif not busy:
            self._source.receive(0, 0.0)  # the membership is kept; what there is to wait for comes from the sink
            self._outcomes(0.005) if self._sending else self._after_lanes(0.005)

    def _begin(self, messages: list[Message]) -> None:
        if not messages:
            return
        now = time.monotonic_ns()
        self.ledger.received += len(messages)
        self.ledger.redelivered += sum([True for message in messages if message.redelivered])
        if self._seen is not None:
            messages = self._without_duplicates(messages, self._seen, now)
        self._taken += len(messages)
        self._lanes.put([Part(message, now) for message in messages])

    def _without_duplicates(self, messages: list[Message], seen: Seen, now_ns: int) -> list[Message]:
        fresh: list[Message] = []
        duplicates: list[Message] = []
        for message in messages:
            (duplicates if seen.before(message, now_ns) else fresh).append(message)
        if duplicates:
            self.ledger.filtered[DUPLICATE] += len(duplicates)
            self._source.accept(duplicates)
        return fresh

    def _after_lanes(self, timeout_s: float) -> bool:
        done = self._lanes.take(timeout_s)
        waiting = self._waiting
        emptied: list[Message] = []
        for part in done:
            result = part.result
            if isinstance(result, Message):  # nearly all
                part.out = result
                waiting.append(part)
            elif result is None:
                self._abandoned += 1  # it is not settled: it comes again
            elif isinstance(result, Failure):
                self._kill(part, part.source, result)
                waiting.append(part)
            else:
                self.ledger.split_extra += result.parts - 1
                self.ledger.filtered.update(result.filtered)
                waiting.extend(part.split(result.out))
                if not result.out:
                    emptied.append(part.source)
        self._settle(emptied)
        return bool(done)

    def _kill(self, part: Part, message: Message, failure: Failure) -> None:
        """What is to go out of a part is a dead letter from now on."""
        part.out, part.failure = dead_letter(message, failure, self._where, self._dead_topic), failure

    def _hand_over(self) -> bool:
        """Give to the sinks what they have room for, in order."""
        waiting = self._waiting
        if not waiting or time.monotonic() < self._later_s:
            return False
        first, token, sending = self._token, self._token, self._sending
        send, send_dead = self._sink.send, self._dead.send
        while waiting:
            part = waiting[0]
            if not (send if part.failure is None else send_dead)(part.out, token):
                break
            sending[token] = waiting.popleft()
            token += 1  # one that is offered again keeps its number: sinks give up by it
        self._token = token
        return token != first

    def _outcomes(self, timeout_s: float) -> bool:
        sent = self._sink.poll(timeout_s)
        if self._dead is not self._sink:
            sent += self._dead.poll(0.0)
        if not sent:
            return False
        done: list[Part] = []
        failed: list[tuple[Part, Outcome, str | None]] = []
        take = self._sending.pop
        for token, outcome, reason in sent:
            if outcome is _ACKNOWLEDGED:
                done.append(take(token))
            else:
                failed.append((take(token), outcome, reason))
        if done:
            self._done(done)
        if failed:
            self._failed(failed)
        return True

    def _done(self, parts: list[Part]) -> None:
        now, settled, added = time.monotonic_ns(), [], self.added_ns
        dead = 0
        for part in parts:
            if part.failure is None:
                added.append(now - part.received_ns)
            else:
                dead += 1
                self.ledger.dead_lettered[part.failure.step] += 1
                self._note("dead-lettered", part.source, part.failure)
            siblings = part.siblings
            if siblings is not None:
                siblings.left -= 1
                if siblings.left:
                    continue
            settled.append(part.source)
        self.ledger.acknowledged += len(parts) - dead
        self._settle(settled)

    def _failed(self, parts: list[tuple[Part, Outcome, str | None]]) -> None:
        """Offer again what may have been lost; what the broker refuses becomes a dead letter.

        Raises:
            BrokerError: it is a dead letter that the broker refuses, which ends the route.
        """
        for part, outcome, reason in parts:
            if outcome is not Outcome.REJECTED:
                self.ledger.resent += 1
                self._note("resent", part.out, Failure(SINK, reason or "the outcome is unknown"))
                self._later_s = time.monotonic() + RESEND_AFTER_S
            elif part.failure is None:
                self._kill(part, part.out, Failure(SINK, reason or "rejected without a reason"))
            else:
                raise BrokerError(
                    f"the dead-letter place {self._dead_topic!r} refuses a message: {reason}",
                    hint="nothing was dropped: it stays at the source. Mend that place and start the bridge again",
                )
        self._waiting.extendleft(part for part, _, _ in reversed(parts))

    def _settle(self, messages: list[Message]) -> None:
        if not messages:
            return
        self._taken -= len(messages)
        if self._seen is not None:
            for message in messages:
                self._seen.add(message)
        self._source.accept(messages)

    def _give_back(self) -> None:
        """Before another member reads a partition of ours: let what is under way arrive, or it is overtaken."""
        deadline = time.monotonic() + GIVE_BACK_WITHIN_S
        while self._taken and time.monotonic() < deadline and not self._at_once.is_set():
            if not (self._after_lanes(0.0) | self._hand_over() | self._outcomes(0.0)):
                self._outcomes(0.005)

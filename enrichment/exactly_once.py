"""The flow of a route with ``exactly_once``: what comes of messages, and how far was read, in one transaction.

::

    ┌─ transaction ──────────────────────────────────────────┐
    │ source ─► lanes ─► sink                                 │ ─► committed: counted
    │             └─► failed, or refused before: dead letter  │
    └─────────────────────────────────────────────────────────┘ ─► aborted: given back, comes again

A message that the broker refuses ends its transaction. It is remembered by its place at the source, and becomes a dead
letter when it comes again: in the same transaction as the messages around it.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Event

from crep.enrichment.failure import Failure, dead_letter
from crep.enrichment.flow import BATCH, LOOK_EVERY_S, RESEND_AFTER_S
from crep.enrichment.forwarding import DUPLICATE, SINK, Note, State
from crep.enrichment.lanes import lanes
from crep.enrichment.ledger import Ledger
from crep.enrichment.part import Part
from crep.enrichment.pipeline import Pipeline, Processed
from crep.enrichment.processing import Processing
from crep.enrichment.seen import Seen
from crep.harness.brokers.contract import BrokerError, Message
from crep.harness.brokers.transactions import Refused, TransactionAborted, Transactions

COMMIT_EVERY_S = 0.1
"""As Kafka Streams does: what a message waits for at most, and what an abort undoes."""
Origin = tuple[str | None, int]  # position of the source message, number of the part that came of it


class ExactlyOnceFlow:
    """One route. ``run`` returns when it was told to stop and the last transaction is committed.

    Args:
        pipeline: what happens to a message.
        client: reads and writes; not open.
        dead_topic: topic of the dead letters, in the same cluster.
        where: names of the bridge and the route, which dead letters carry.
        workers: lanes.
        in_flight: source messages in one transaction, at most.
        deduplicate_s: how long a message's id is remembered; None: not at all.
        note: takes events for the log.
        at_once: set by ``stop(at_once=True)``; the client's own waiting ends by it too.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        client: Transactions,
        *,
        dead_topic: str,
        where: tuple[str, str],
        workers: int = 1,
        in_flight: int = 5000,
        deduplicate_s: float | None = None,
        note: Note = lambda *_: None,
        at_once: Event | None = None,
    ) -> None:
        self._client = client
        self._dead_topic, self._where, self._in_flight, self._note = dead_topic, where, in_flight, note
        self._stopping, self._at_once = Event(), at_once or Event()
        self._lanes = lanes(Processing(pipeline, note, self._at_once), workers, "-".join(where))
        self._condemned: dict[Origin, Failure] = {}  # what the broker refused in a transaction that was aborted
        self._seen = None if deduplicate_s is None else Seen(deduplicate_s)
        self._transaction = _Transaction()
        self._token = 0
        self.ledger = Ledger()
        self.state = self._state()
        self.added_ns: deque[int] = deque(maxlen=10_000)

    @property
    def in_flight(self) -> int:
        """Messages of the open transaction: until it is committed, nothing has become of them."""
        return len(self._transaction.messages)

    def stop(self, *, at_once: bool = False) -> None:
        """Receive nothing more and end when what was taken is committed; at once: it is given back."""
        self._stopping.set()
        if at_once:
            self._at_once.set()

    def run(self) -> None:
        """Open, forward until stopped, close.

        Raises:
            BrokerError: the broker is out of reach for good, refuses the dead letters, or knows another process under
                this one's transactional id.
            LedgerBroken: an error of the bridge itself.
        """
        try:
            self._client.open(self._end_transaction)
            looked_s = 0.0
            while not self._at_once.is_set() and not (self._stopping.is_set() and not self._transaction.messages):
                self._turn()
                if time.monotonic() - looked_s >= LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    self._look()
        except BrokerError:
            if not self._at_once.is_set():  # then it is the answer to that order
                raise
        finally:
            self._lanes.close()
            self._client.close()
            self._undone()
            self._look()

    def _turn(self) -> None:
        room = 0 if self._stopping.is_set() else min(BATCH, self._in_flight - self.in_flight)
        if room > 0:
            left_s = self._transaction.due_s - time.monotonic() if self.in_flight else COMMIT_EVERY_S
            self._begin(self._client.receive(room, min(0.05, max(0.0, left_s))))
            self._send_results(0.0)
        transaction = self._transaction  # another one if ``receive`` had to give partitions back
        if transaction.messages and (room <= 0 or transaction.aborted or time.monotonic() >= transaction.due_s):
            self._end_transaction()  # before anything more is received: an abort has gone back already

    def _begin(self, messages: list[Message]) -> None:
        now, transaction = time.monotonic_ns(), self._transaction
        if messages and not transaction.messages:
            transaction.due_s = time.monotonic() + COMMIT_EVERY_S
        self.ledger.received += len(messages)
        transaction.messages += ((message, now) for message in messages)
        fresh = messages
        if self._seen is not None:
            fresh = [one for one in messages if not self._seen.before(one, now) and transaction.is_new(one)]
            transaction.tally.filtered[DUPLICATE] += len(messages) - len(fresh)
        self._lanes.put([Part(message, now) for message in fresh])

    def _send_results(self, timeout_s: float) -> None:
        for part in self._lanes.take(timeout_s):
            if part.result is None or self._transaction.aborted is not None:
                continue  # its lane gave up, or all of this is undone: it comes again
            try:
                self._send_result(part.source, part.result)
            except TransactionAborted as aborted:
                self._transaction.aborted = aborted

    def _send_result(self, message: Message, result: Message | Processed | Failure) -> None:
        if isinstance(result, Message):
            result = Processed((result,), {})
        tally = self._transaction.tally
        if isinstance(result, Failure):
            self._bury(message, result, message)
            return
        tally.split_extra += result.parts - 1
        tally.filtered.update(result.filtered)
        for number, part in enumerate(result.out):
            failure = self._condemned.get((message.position, number))
            if failure is None:
                try:
                    self._send(part, (message.position, number))
                    tally.acknowledged += 1
                    continue
                except Refused as refused:
                    failure = Failure(SINK, str(refused))
            self._bury(part, failure, message)

    def _bury(self, message: Message, failure: Failure, origin: Message) -> None:
        try:
            self._send(dead_letter(message, failure, self._where, self._dead_topic), None)
        except Refused as refused:
            raise self._no_place_for_the_dead(str(refused)) from refused
        self._transaction.tally.dead_lettered[failure.step] += 1
        self._transaction.buried.append((origin, failure))

    def _send(self, message: Message, origin: Origin | None) -> None:
        """Hand over; ``origin`` is None of a dead letter."""
        token = self._token
        self._token += 1
        self._transaction.sent[token] = origin
        while not self._client.send(message, token):
            if self._at_once.is_set():
                return

    def _end_transaction(self) -> None:
        """Let the lanes come to their end, then commit; what cannot be committed comes again."""
        transaction = self._transaction
        while len(self._lanes) and not self._at_once.is_set():
            self._send_results(0.05)
        if self._at_once.is_set():
            return
        aborted = transaction.aborted
        if aborted is None:
            try:
                self._client.commit()
                self._count()
                return
            except TransactionAborted as failure:
                aborted = failure
        self._condemn(aborted)
        self._undone()
        self._at_once.wait(0.0 if aborted.rejected else RESEND_AFTER_S)

    def _count(self) -> None:
        """It is committed: now its messages have become what they became."""
        transaction, ledger, now = self._transaction, self.ledger, time.monotonic_ns()
        ledger.split_extra += transaction.tally.split_extra
        ledger.acknowledged += transaction.tally.acknowledged
        ledger.filtered.update(transaction.tally.filtered)
        ledger.dead_lettered.update(transaction.tally.dead_lettered)
        if self._condemned:
            done = {message.position for message, _ in transaction.messages}
            self._condemned = {origin: why for origin, why in self._condemned.items() if origin[0] not in done}
        for message, received_ns in transaction.messages:
            if self._seen is not None:
                self._seen.add(message)
            self.added_ns.append(now - received_ns)
        for message, failure in transaction.buried:
            self._note("dead-lettered", message, failure)
        self._transaction = _Transaction()

    def _condemn(self, aborted: TransactionAborted) -> None:
        """Remember what the broker refused; where that was a dead letter, the route ends."""
        self._note("transaction aborted", None, Failure(SINK, aborted.reason))
        for token, reason in aborted.rejected.items():
            origin = self._transaction.sent[token]
            if origin is None:
                raise self._no_place_for_the_dead(reason)
            self._condemned[origin] = Failure(SINK, reason)

    def _no_place_for_the_dead(self, reason: str) -> BrokerError:
        return BrokerError(
            f"the dead-letter place {self._dead_topic!r} refuses a message: {reason}",
            hint="nothing was dropped: it stays at the source. Mend that place and start the bridge again",
        )

    def _undone(self) -> None:
        self.ledger.given_back += len(self._transaction.messages)
        self._transaction = _Transaction()

    def _look(self) -> None:
        """Hold the ledger to what is under way, and leave word of both for other threads."""
        state = self._state()
        self.ledger.check(state.in_flight)
        self.state = state
        for event in self._client.events():
            self._note(f"broker {event.kind}", None, Failure("broker", event.text))

    def _state(self) -> State:
        return State(self.ledger.document(self.in_flight), len(self._lanes))


class _Transaction:
    """What lies between two commits."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, int]] = []  # as received, and when (monotonic ns)
        self.due_s = 0.0
        self.sent: dict[int, Origin | None] = {}  # by token; None: a dead letter
        self.tally = Ledger()
        self.buried: list[tuple[Message, Failure]] = []
        self.aborted: TransactionAborted | None = None
        self._ids: set[str] = set()

    def is_new(self, message: Message) -> bool:
        """Whether no message of this id came before in this transaction."""
        new = message.message_id is None or message.message_id not in self._ids
        if message.message_id is not None:
            self._ids.add(message.message_id)
        return new

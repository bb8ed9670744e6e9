"""Exactly once within one cluster: a consumer of a group and a producer whose transactions carry the group's offsets.

Two things fence a process that was thought dead (KIP-447): its member id and generation, which travel with the offsets
(another member reads the partitions: the commit is refused, the transaction aborted, nothing of it is ever seen), and
its transactional id (another process took it over: every call fails for good). So ids differ from process to process,
and a process that takes its predecessor's id ends at once the transaction that it left open.

Where to go back to is asked of the broker, never remembered: offsets are committed with the messages or not at all, so
they tell even what became of a commit whose answer was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from crep.harness.brokers.contract import BrokerError, ClientEvent, Message, Outcome
from crep.harness.brokers.kafka.client import ConnectionWatch, connection, given_up, shown
from crep.harness.brokers.kafka.messages import from_kafka, key_bytes, to_headers
from crep.harness.brokers.kafka.presence import await_cluster
from crep.harness.brokers.streams import GiveBack, SinkSpec, SourceSpec
from crep.harness.brokers.transactions import Refused, TransactionAborted

TRANSACTION_TIMEOUT_MS = 10_000
"""How long the broker waits for a commit before it aborts: as Kafka Streams has it. Readers of committed messages wait
as long for a process that was killed, unless one with its transactional id starts before."""
_STEP_S = 1.0  # one attempt of a call: between two, an order to end is heard
_CLOSE_S = 3.0
_OVER = frozenset({KafkaError._STATE, KafkaError._FENCED, KafkaError._FATAL})  # of a send: the transaction is done for
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})
_AGAIN = (
    frozenset(  # a broker that is away, or not yet what it is to be: not all of these does the library call retriable
        {
            KafkaError._TIMED_OUT,
            KafkaError._TRANSPORT,
            KafkaError._ALL_BROKERS_DOWN,
            KafkaError.REQUEST_TIMED_OUT,
            KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
            KafkaError.COORDINATOR_NOT_AVAILABLE,
            KafkaError.NOT_COORDINATOR,
            KafkaError.CONCURRENT_TRANSACTIONS,
        }
    )
)
_PAUSE_S = 0.1
Partition = tuple[str, int]  # topic, number
Answer = TypeVar("Answer")


class _MustAbort(Exception):
    """The transaction cannot be committed; the producer lives on."""


class _ProducerLost(Exception):
    """The producer can do nothing more; another one may."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(error.str())
        self.fenced = error.code() in _FENCED


class KafkaTransactions:
    """See ``transactions.Transactions``.

    Args:
        source: topics and group.
        sink: settings of the producer; the same cluster.
        transactional_id: this process's own.
        interrupted: whether to give up waiting for a broker that does not answer.
    """

    def __init__(
        self,
        source: SourceSpec,
        sink: SinkSpec,
        transactional_id: str,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        if source.group is None:
            raise BrokerError(f"{source.name}: a Kafka source needs a group")
        self._source, self._sink, self._id, self._interrupted = source, sink, transactional_id, interrupted
        self._watch = ConnectionWatch()
        self._consuming = {
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 1,
            **connection(source.endpoint, source.name),
            **source.settings,
            "group.id": source.group,
            "enable.auto.commit": False,
            # Also lets the broker hold back the group's offsets while a transaction that carries newer ones is open.
            "isolation.level": "read_committed",
        }
        self._producing = {
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            **connection(sink.endpoint, sink.name),
            **sink.settings,
            "transactional.id": transactional_id,
            "acks": "all",
            "enable.idempotence": True,
            # A message's outcome is its transaction's. A commit succeeds only when each was acknowledged.
            "delivery.report.only.error": True,
        }
        self._timeout_s = int(str(self._producing["transaction.timeout.ms"])) / 1000
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._give_back: GiveBack = lambda: None
        self._mine: set[Partition] = set()
        self._first: dict[Partition, int] = {}  # of the open transaction: the first offset received
        self._next: dict[Partition, int] = {}  # … and the one after the last
        self._began_s: float | None = None  # the producer's transaction; the broker's clock starts later
        self._receiving = False
        self._backs: dict[Partition, int] = {}  # where to go back to when the call that is receiving has ended
        self._spoilt: str | None = None  # why the open transaction can only be aborted
        self._rejected: dict[int, str] = {}

    # -- open and close

    def open(self, give_back: GiveBack | None = None) -> None:
        """See ``Transactions``; topics are looked up, so that a wrong name is told at once."""
        self._give_back = give_back or self._give_back
        try:
            self._consumer = Consumer({**self._consuming, **self._watch.options()})
            await_cluster(self._consumer, self._source.endpoint, self._watch, self._source.places)
            self._new_producer()
        except KafkaException as error:
            self.close()
            raise BrokerError(f"the Kafka client refused its settings: {error.args[0].str()}") from error
        except BrokerError:
            self.close()
            raise
        self._consumer.subscribe(
            list(self._source.places), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def _new_producer(self) -> None:
        """The former one, if any, can do nothing more. Whatever the id's last holder left open is aborted by this."""
        self._began_s = None
        producer = Producer({**self._producing, **self._watch.options()})
        try:
            self._call("the transactional id cannot be taken", lambda: producer.init_transactions(_STEP_S))
        except (_ProducerLost, _MustAbort) as error:
            raise BrokerError(f"Kafka refuses the transactional id {self._id!r}: {error}") from error
        self._producer = producer

    def close(self) -> None:
        """See ``Transactions``."""
        self._give_back = lambda: None
        producer, self._producer = self._producer, None
        consumer, self._consumer = self._consumer, None
        if producer is not None and self._began_s is not None:
            self._began_s = None
            try:
                producer.abort_transaction(_CLOSE_S)
            except KafkaException as error:
                self._watch.note("error", f"the open transaction is left to the broker: {error.args[0].str()}")
        if consumer is not None:
            consumer.close()

    # -- partitions come and go

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._mine |= _named(partitions)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_back()
        self._forget(partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member may have read them already."""
        if self._forget(partitions):
            self._spoilt = "the group gave partitions to another member meanwhile"

    def _forget(self, partitions: Iterable[TopicPartition]) -> bool:
        gone = _named(partitions)
        self._mine -= gone
        touched = bool(gone & self._first.keys())
        for partition in gone:
            self._first.pop(partition, None)
            self._next.pop(partition, None)
            self._backs.pop(partition, None)
        return touched

    # -- receive and send

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """See ``Transactions``."""
        consumer = self._open_consumer()
        self._open_producer().poll(0)  # serves its callbacks
        self._receiving = True
        try:
            raws = consumer.consume(1, timeout_s)
            if raws and max_messages > 1:
                raws += consumer.consume(max_messages - 1, 0)
        finally:
            self._receiving = False
        if not raws:
            self._watch.see_that_it_is_worth_trying(self._source.reconnect_for_s, self._source.endpoint)
        messages = [message for raw in raws if (message := self._message(raw)) is not None]
        self._go_back(self._backs)
        self._backs.clear()
        return messages

    def _message(self, raw: KafkaMessage) -> Message | None:
        if raw.error() is not None:
            if raw.error().fatal():
                raise BrokerError(
                    f"the consumer group {self._source.group!r} shuts this member out: {raw.error().str()}"
                )
            self._watch.note("error", raw.error().str())
            return None
        self._watch.flowing("message")
        partition, offset = (raw.topic(), raw.partition()), raw.offset()
        if partition not in self._mine or partition in self._backs:
            return None  # of a partition that was taken away; it comes again
        self._first.setdefault(partition, offset)
        self._next[partition] = offset + 1
        return from_kafka(raw, self._source.topic_header)

    def send(self, message: Message, token: int) -> bool:
        """See ``Transactions``."""
        producer, sink = self._open_producer(), self._sink
        if self._spoilt is not None:
            raise self.abort(self._spoilt)
        self._begin(producer)
        try:
            producer.produce(
                sink.topic or message.topic,
                None if message.null_payload else message.payload,
                key_bytes(message.key),
                headers=to_headers(message, sink.topic_header),
                on_delivery=partial(self._report, token),
            )
        except BufferError:
            producer.poll(0.05)
            return False
        except KafkaException as error:
            if error.args[0].code() in _OVER:
                raise self.abort(error.args[0].str()) from error
            raise Refused(error.args[0].str()) from error
        return True

    def _begin(self, producer: Producer) -> None:
        if self._began_s is not None:
            return
        try:
            self._call("no transaction can be begun", producer.begin_transaction)
        except (_ProducerLost, _MustAbort) as error:
            self._replace(error)
            raise self._gone_back(str(error)) from error
        self._began_s = time.monotonic()

    def _report(self, token: int, error: KafkaError | None, _: KafkaMessage) -> None:
        if error is not None and given_up(error) is Outcome.REJECTED:
            self._rejected[token] = error.str()

    # -- commit and abort

    def commit(self) -> None:
        """See ``Transactions``."""
        if self._spoilt is not None:
            raise self.abort(self._spoilt)
        if not self._next and self._began_s is None:
            return
        producer, consumer = self._open_producer(), self._open_consumer()
        offsets = [TopicPartition(*partition, offset) for partition, offset in self._next.items()]
        self._begin(producer)
        try:
            self._call(
                "offsets cannot be added to the transaction",
                lambda: producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), _STEP_S),
            )
            self._call("the transaction cannot be committed", lambda: producer.commit_transaction(_STEP_S))
            self._watch.flowing("commit")
        except _MustAbort as error:
            raise self.abort(str(error)) from error
        except _ProducerLost as error:
            self._replace(error)
            if not self._committed_after_all():
                raise self._gone_back(str(error)) from error
        self._ended()

    def abort(self, reason: str) -> TransactionAborted:
        """See ``Transactions``."""
        producer = self._open_producer()
        if self._began_s is not None:
            try:
                self._call("the transaction cannot be aborted", lambda: producer.abort_transaction(_STEP_S))
            except (_ProducerLost, _MustAbort) as error:
                reason = f"{reason}; {error}"
                self._replace(error)
        return self._gone_back(reason)

    def _replace(self, error: _ProducerLost | _MustAbort) -> None:
        """A producer that failed for good is followed by another, unless another process holds the id now.

        The broker fences an id in two cases: another process took it, or the transaction was open for too long. One
        that was not open for so long can only be the first.
        """
        fenced = isinstance(error, _ProducerLost) and error.fenced
        if fenced and (self._began_s is None or time.monotonic() - self._began_s < self._timeout_s):
            raise BrokerError(
                f"another process has taken over the transactional id {self._id!r}: {error}",
                hint="give each process of a bridge its own --instance. Nothing was doubled: what was under way is "
                "undone and read by the other one",
            ) from error
        self._watch.note("error", f"the transactional producer is replaced: {error}")
        self._new_producer()

    def _committed_after_all(self) -> bool:
        """Whether the broker has the offsets of a transaction whose fate is unknown: then it has its messages too."""
        if not self._next or not self._next.keys() <= self._mine:
            return False
        stored = self._stored()
        return all(stored.get(partition, -1) >= offset for partition, offset in self._next.items())

    def _gone_back(self, reason: str) -> TransactionAborted:
        """Read again from what is committed: at once, or after the call that is receiving (its messages come again)."""
        stored = self._stored()
        backs = {at: stored.get(at, first) for at, first in self._first.items() if at in self._mine}
        if self._receiving:
            self._backs |= backs
        else:
            self._go_back(backs)
        aborted = TransactionAborted(reason, self._rejected)
        self._ended()
        return aborted

    def _go_back(self, backs: Mapping[Partition, int]) -> None:
        consumer = self._open_consumer()
        for partition, offset in backs.items():
            back = TopicPartition(*partition, offset)
            self._call("the consumer cannot go back", lambda back=back: consumer.seek(back))  # type: ignore[misc]

    def _stored(self) -> dict[Partition, int]:
        """The group's offsets of this transaction's partitions; none where nothing was committed yet."""
        consumer = self._open_consumer()
        asked = [TopicPartition(*partition) for partition in self._first if partition in self._mine]
        if not asked:
            return {}

        def ask() -> list[TopicPartition]:
            told: list[TopicPartition] = consumer.committed(asked, timeout=_STEP_S)
            for one in told:
                if one.error is not None:  # no offset, but not for want of one
                    raise KafkaException(one.error)
            return told

        told = self._call("offsets cannot be read", ask)
        return {(one.topic, one.partition): one.offset for one in told if one.offset != OFFSET_INVALID}

    def _ended(self) -> None:
        self._first.clear()
        self._next.clear()
        self._rejected.clear()
        self._began_s = self._spoilt = None

    def _call(self, what: str, action: Callable[[], Answer]) -> Answer:
        """Carry a call through: again while the broker is away, until that lasts too long."""
        deadline = time.monotonic() + self._sink.reconnect_for_s
        while True:
            try:
                return action()
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                if error.fatal():
                    raise _ProducerLost(error) from failure
                if error.txn_requires_abort():
                    raise _MustAbort(error.str()) from failure
                again = error.retriable() or error.code() in _AGAIN
                if not again or self._interrupted() or self._watch.refused or time.monotonic() > deadline:
                    raise BrokerError(
                        f"Kafka at {self._sink.endpoint.bootstrap}: {what}: {error.str()}",
                        hint="what is not committed will not be seen, and comes again",
                    ) from failure
                time.sleep(_PAUSE_S)

    # -- the rest

    def events(self) -> list[ClientEvent]:
        """See ``Transactions``."""
        return self._watch.take()

    def effective_settings(self) -> dict[str, str]:
        """See ``Transactions``; where both clients have a setting, the producer's stands."""
        return shown(self._consuming) | shown(self._producing)

    def _open_consumer(self) -> Consumer:
        if self._consumer is None:
            raise BrokerError(f"source {self._source.name!r} is not open")
        return self._consumer

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise BrokerError(f"sink {self._sink.name!r} is not open")
        return self._producer


def _named(partitions: Iterable[TopicPartition]) -> set[Partition]:
    return {(one.topic, one.partition) for one in partitions}

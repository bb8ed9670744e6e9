"""The native clients against the server that does nothing: every message, whatever its length and topic."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import psutil
import pytest
from solace.messaging.config._ccsmp_property_mapping import CCSMP_SESSION_PROP_MAPPING

from crep.harness.brokers.contract import (
    Batch,
    BrokerError,
    Endpoint,
    Outcome,
    PublisherSpec,
    ReaderSpec,
    SubscriberSpec,
)
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.solace.native import library, properties
from crep.harness.brokers.solace.native.library import NativeClientUnavailable, Result
from crep.harness.brokers.solace.native.publisher import NativePublisher
from crep.harness.brokers.solace.native.slots import Slots
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Tls
from crep.harness.load.ceiling.smf import topic_under
from crep.harness.load.stamp import parse
from crep.harness.metrics.history import INTACT

OBJECTS: dict[str, Any] = {
    "topic_prefix": "crep/r1/orders",
    "queues": {"billing": {"name": "billing", "access": "non-exclusive"}},
    "direct": {"screen": {"subscription": "crep/r1/orders/>", "share_name": None}},
    "key_property": None,
}
RUN = 7


@contextmanager
def no_op(deliver: int = 0) -> Iterator[Endpoint]:
    command = [sys.executable, "-m", "crep.harness.load.ceiling.smf", "--deliver", str(deliver), "--run", str(RUN)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield Endpoint("solace", "no-op", smf=json.loads(server.stdout.readline())["smf"])
        server.stdin.close()
        server.wait(10.0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with no_op() as one:
        yield one


def publisher_spec(endpoint: Endpoint, guaranteed: bool, topics: int = 2) -> PublisherSpec:
    names = tuple(f"t{number}" for number in range(topics))
    return PublisherSpec(endpoint, "p0", "orders", OBJECTS, names, guaranteed, {}, 5.0)


def subscriber_spec(endpoint: Endpoint, reader: str) -> SubscriberSpec:
    wanted = ReaderSpec(reader, "group", 1, "at-most-once" if reader == "screen" else "at-least-once")
    return SubscriberSpec(endpoint, "s0", "orders", wanted, 0, OBJECTS, {}, 5.0)


def batch(bodies: list[bytes], topics: int = 2) -> Batch:
    numbers = np.arange(len(bodies))
    return Batch(numbers.astype(np.uint64), bodies, (numbers % topics).astype(np.uint32), numbers.astype(np.uint32))


def outcomes_of(client: Any, messages: Batch) -> dict[int, int]:
    start, found = 0, {}
    for _ in range(2000):
        start += client.send_batch(messages, start)
        outcomes = client.poll(0.005) if start < len(messages.sequence) else client.drain(5.0)
        assert not found.keys() & set(outcomes.sequence.tolist()), "a second outcome"
        found |= dict(zip(outcomes.sequence.tolist(), outcomes.outcome.tolist(), strict=True))
        if start == len(found) == len(messages.sequence):
            break
    return found


@pytest.mark.parametrize(("guaranteed", "outcome"), [(True, Outcome.ACKNOWLEDGED), (False, Outcome.SENT)])
@pytest.mark.parametrize("length", [lambda i: 100, lambda i: i % 90, lambda i: 70_000 if i % 50 == 0 else 40])
@pytest.mark.parametrize("topics", [1, 2, 40])
def test_every_message_gets_one_outcome_whatever_lengths_and_topics(
    endpoint: Endpoint, guaranteed: bool, outcome: Outcome, length: Callable[[int], int], topics: int
) -> None:
    client = adapter("solace").publisher(publisher_spec(endpoint, guaranteed, topics))
    client.open()
    sent = batch([bytes(length(number)) for number in range(700)], topics)
    assert outcomes_of(client, sent) == dict.fromkeys(range(700), outcome)
    client.close()


class Scripted(library.Library):
    """The library, but each call that sends meets the next answer: (result, how many were written, subcode)."""

    answers: ClassVar[list[tuple[Result, int, str]]] = []
    said = ""

    @classmethod
    def answering(cls, *answers: tuple[Result, int, str]) -> Scripted:
        real = library.load()
        cls.answers = list(answers)
        sending = SimpleNamespace(session_sendMultipleMsg=cls._send)
        return cls(real.path, real.version, cast(library.Functions, sending), real.quick)

    @classmethod
    def _send(cls, _session: object, _messages: object, count: int, written: Any) -> int:
        result, wrote, cls.said = cls.answers.pop(0) if cls.answers else (Result.OK, count, "")
        written._obj.value = wrote
        return result

    def last_error(self) -> tuple[str, str]:
        return f"SOLCLIENT_SUBCODE_{self.said}", f"because of {self.said}"


@pytest.mark.parametrize("guaranteed", [True, False])
@pytest.mark.parametrize(
    ("answers", "taken", "rejected"),
    [
        ([(Result.WOULD_BLOCK, 3, "")], 3, []),
        ([(Result.NOT_READY, 0, "SESSION_NOT_ESTABLISHED")], 0, []),
        ([(Result.FAIL, 2, "MESSAGE_TOO_LARGE")], 8, [2]),
        ([(Result.FAIL, 4, "COMMUNICATION_ERROR")] * 2, 4, []),
    ],
)
def test_what_the_library_did_not_take_is_offered_again_and_only_a_bad_message_is_rejected(
    endpoint: Endpoint, guaranteed: bool, answers: list[tuple[Result, int, str]], taken: int, rejected: list[int]
) -> None:
    client = NativePublisher(publisher_spec(endpoint, guaranteed))
    client.open()
    if rejected and not guaranteed:  # sent as a block first, then one of them alone, to tell which it is
        answers = answers + [(Result.FAIL, 0, "MESSAGE_TOO_LARGE")] * 2
    real, client._library = client._library, Scripted.answering(*answers)
    start = 0
    for _ in range(3 if rejected else 1):
        start += client.send_batch(batch([bytes(50)] * 8), start)
    client._library = real
    outcomes = client._take()
    assert start == taken
    assert outcomes.sequence[outcomes.outcome == Outcome.REJECTED].tolist() == rejected
    assert set(outcomes.reasons) == set(rejected)
    client.close()


def test_a_topic_that_the_library_refuses_is_named_before_anything_is_sent(endpoint: Endpoint) -> None:
    client = NativePublisher(replace(publisher_spec(endpoint, True), topics=("good", "x" * 260)))
    with pytest.raises(BrokerError, match="topic 'crep/r1/orders/xxx"):
        client.open()


@pytest.mark.parametrize("reader", ["billing", "screen"])
def test_everything_that_is_delivered_is_received_once_intact_and_in_order(reader: str) -> None:
    with no_op(deliver=3000) as endpoint:
        client = adapter("solace").subscriber(subscriber_spec(endpoint, reader))
        client.open()
        client.ready(5.0)
        records = []
        for _ in range(200):
            came = client.receive(700, 0.1)
            assert len(came) <= 700
            records += parse(
                came.bodies, None, run=RUN, received_ns=came.received_ns, redelivered=came.redelivered
            ).tolist()
            client.acknowledge(came)
            if len(records) >= 3000:
                break
        client.close()
    names = parse([], None, run=RUN, received_ns=np.empty(0, np.int64), redelivered=np.empty(0, np.uint8)).dtype
    found = np.array(records, names)
    assert (found["fault"] == INTACT).all()
    assert found["sequence"].tolist() == [number % 500 for number in range(3000)]
    assert (np.diff(found["received_ns"]) >= 0).all()


def test_acknowledgements_of_a_queue_travel_together_however_many_messages_wait() -> None:
    with no_op(deliver=5000) as endpoint:
        client = adapter("solace").subscriber(subscriber_spec(endpoint, "billing"))
        client.open()
        before, came = psutil.Process().io_counters().write_count, 0
        for _ in range(500):
            time.sleep(0.002)  # as an engine that looks at what came
            deliveries = client.receive(4096, 0.1)
            came += len(deliveries)
            client.acknowledge(deliveries)
            if came == 5000:
                break
        written = psutil.Process().io_counters().write_count - before
        client.close()
    assert came == 5000
    assert written < 500, "system calls that write: nearly each acknowledgement made one of its own"


def test_where_the_c_library_is_unknown_the_public_api_takes_over_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "OLDEST", (7, 99))
    library.load.cache_clear()
    nowhere = Endpoint("solace", "nowhere", smf="tcp://127.0.0.1:9")
    clients = (
        adapter("solace").publisher(publisher_spec(nowhere, True)),
        adapter("solace").subscriber(subscriber_spec(nowhere, "billing")),
    )
    monkeypatch.undo()
    for client in clients:
        assert not type(client).__module__.startswith("crep.harness.brokers.solace.native")
        [warning] = client.events()
        assert warning.kind == "fallback"
        assert "7.99" in warning.text
        assert client.effective_settings()["client"].startswith("api (native cannot be used: ")


def test_a_setting_that_only_the_public_api_has_takes_the_public_api() -> None:
    name = "solace.messaging.publisher.back-pressure.strategy"
    spec = replace(publisher_spec(Endpoint("solace", "t", smf="tcp://broker:55555"), True), settings={name: "elastic"})
    client = adapter("solace").publisher(spec)
    assert client.effective_settings()["client"].startswith("api (native cannot be used: it has no setting")


def test_another_client_than_the_two_is_a_usage_error_that_names_them() -> None:
    spec = publisher_spec(Endpoint("solace", "t", smf="tcp://broker:55555"), True)
    with pytest.raises(UsageError, match="client: native"):
        adapter("solace").publisher(replace(spec, settings={"client": "java"}))


def test_the_c_librarys_names_are_those_that_the_public_api_itself_translates_to() -> None:
    assert {name: CCSMP_SESSION_PROP_MAPPING[name] for name in properties._NAMES} == properties._NAMES


def test_a_certificate_takes_the_place_of_user_and_password() -> None:
    tls = Tls(ca_file="/trust/ca.pem", certificate_file="/c.pem", key_file="/k.pem", verify_host=False)
    secured = Endpoint("solace", "t", smf="tcps://broker:55443", tls=tls)
    given = NativePublisher(publisher_spec(secured, True))._session_properties
    assert "SESSION_USERNAME" not in given
    assert given["SESSION_SSL_TRUST_STORE_DIR"] == "/trust"
    assert given["SESSION_SSL_VALIDATE_CERTIFICATE_HOST"] == "0"
    assert given["SESSION_SSL_CLIENT_CERTIFICATE_FILE"] == "/c.pem"


def test_both_clients_get_the_same_reconnect_budget() -> None:
    spec = publisher_spec(Endpoint("solace", "t", smf="tcp://broker:55555"), True)
    native = NativePublisher(replace(spec, reconnect_for_s=60.0))
    assert native._session_properties["SESSION_RECONNECT_RETRIES"] == "20"
    api = adapter("solace").publisher(replace(spec, reconnect_for_s=60.0, settings={"client": "api"}))
    assert api.effective_settings()["solace.messaging.transport.reconnection-attempts"] == "20"


def test_a_refused_message_is_never_counted_as_acknowledged_by_its_neighbours(endpoint: Endpoint) -> None:
    client = NativePublisher(publisher_spec(endpoint, True))
    client.open()
    slots = client._slots
    assert slots is not None
    client._taken(slots, np.arange(10, dtype=np.uint64))  # as if the library had taken ten messages
    client._rejected(4, "no place", "SOLCLIENT_SUBCODE_SPOOL_OVER_QUOTA")
    client._rejected(6, "lost", "SOLCLIENT_SUBCODE_COMMUNICATION_ERROR")
    client._acknowledged(8)
    some = client._take()
    found = dict(zip(some.sequence.tolist(), some.outcome.tolist(), strict=True))
    assert found == {
        **dict.fromkeys((0, 1, 2, 4, 6, 7), Outcome.ACKNOWLEDGED),
        3: Outcome.REJECTED,
        5: Outcome.UNKNOWN,
    }
    assert some.reasons == {3: "no place", 5: "lost"}
    assert slots.under_way == 2
    client._acknowledged(8)  # of a message that is no longer under way
    assert len(client._take().sequence) == 0
    client.close()


def test_a_closed_client_says_so() -> None:
    client = NativePublisher(publisher_spec(Endpoint("solace", "t", smf="tcp://broker:55555"), True))
    client.close()
    with pytest.raises(BrokerError, match="not open"):
        client.poll(0.0)


def test_the_end_of_a_session_on_another_thread_is_refused_for_it_would_end_the_process(endpoint: Endpoint) -> None:
    client = NativePublisher(publisher_spec(endpoint, True))
    client.open()
    session = client._session
    assert session is not None
    with ThreadPoolExecutor(1) as elsewhere, pytest.raises(BrokerError, match="another thread"):
        elsewhere.submit(session.close).result(10.0)
    client.close()


def test_positions_are_found_by_tag_across_the_end_of_the_ring() -> None:
    slots = Slots(library.load(), 4, library.DeliveryMode.PERSISTENT, ["t"], stamp_property=None, key_property=None)
    slots.head, slots.tail = 6, 9
    assert [slots.position_of(tag) for tag in range(5)] == [None, 8, None, 6, 7]
    slots.free()


def test_a_missing_function_is_the_named_error() -> None:
    assert issubclass(NativeClientUnavailable, BrokerError)


@pytest.mark.parametrize(
    ("subscription", "topic"), [("a/*/b", "a/any/b"), ("a/>", "a/any"), ("#share/g/a/b*", "a/b"), ("a", "a")]
)
def test_the_no_op_server_sends_on_a_topic_that_was_asked_for(subscription: str, topic: str) -> None:
    assert topic_under(subscription) == topic

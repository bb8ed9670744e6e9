"""The replay log, and replays that the broker or a client starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from solace.messaging.config.replay_strategy import ReplayStrategy
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.conformance.refusals import refusal, words
from tests.emulator.messaging import drain, end, persistent_publisher, receiver, send, text

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


class Log:
    """The message VPN's replay log, open from the start."""

    def __init__(self, broker: Broker, **settings: Any) -> None:
        self._broker = broker
        opened = {"ingressEnabled": True, "egressEnabled": True, "maxSpoolUsage": 10}
        self.name = broker.make("replayLogs", "replayLogName", "log", **opened | settings)

    def start(self, queue: str) -> None:
        """Start a replay by the broker."""
        path = f"action/msgVpns/{self._broker.vpn}/queues/{queue}/startReplay"
        self._broker.expect("PUT", path, {"replayLogName": self.name})

    def messages(self) -> list[dict[str, Any]]:
        """What the log holds."""
        found: list[dict[str, Any]] = self._broker.read("monitor", f"/replayLogs/{self.name}/msgs", count="100")
        return found


@pytest.fixture
def log(broker: Broker) -> Log:
    """A replay log; a message VPN that is given may have one already."""
    if broker.address.vpn is not None and broker.read("config", "/replayLogs"):
        pytest.skip("the message VPN has a replay log already")
    return Log(broker)


def consumed(broker: Broker, connect: Connect, *payloads: str) -> str:
    """A queue that has had these messages and whose receiver has acknowledged them all."""
    queue = broker.queue("replayed", "replayed/>")
    service = connect("first-time")
    publisher = persistent_publisher(service)
    for payload in payloads:
        send(publisher, "replayed/x", payload)
    source = receiver(service, queue)
    assert [text(message) for message in drain(source, len(payloads))] == list(payloads)
    assert broker.holds(queue, 0)
    end(source)
    return queue


def replaying(service: Any, queue: str, strategy: ReplayStrategy) -> Any:
    """A started receiver that asks for a replay."""
    builder = service.create_persistent_message_receiver_builder().with_message_client_acknowledgement()
    source = builder.with_message_replay(strategy).build(Queue.durable_exclusive_queue(queue))
    source.start()
    return source


@feature("replay: by the broker", client=SEMP)
def test_the_broker_replays_what_was_consumed_and_live_messages_join_behind(
    broker: Broker, connect: Connect, log: Log
) -> None:
    queue = consumed(broker, connect, "0", "1", "2")
    log.start(queue)
    service = connect("second-time")
    source = receiver(service, queue)
    send(persistent_publisher(service), "replayed/x", "live")
    messages = drain(source, 4)
    assert [text(message) for message in messages] == ["0", "1", "2", "live"]
    assert broker.becomes(lambda: broker.monitor(queue)["replayState"] == "complete")
    end(source)


@feature("replay: by the broker")
def test_a_receiver_that_is_bound_when_a_replay_starts_gets_it(broker: Broker, connect: Connect, log: Log) -> None:
    queue = consumed(broker, connect, "0", "1")
    source = receiver(connect("staying"), queue)
    log.start(queue)
    assert [text(message) for message in drain(source, 2)] == ["0", "1"]
    end(source)


@feature("replay: by the broker")
def test_the_redelivered_flag_of_replayed_messages(
    broker: Broker, connect: Connect, log: Log, observe: Observe
) -> None:
    queue = consumed(broker, connect, "0")
    log.start(queue)
    source = receiver(connect("second-time"), queue)
    [message] = drain(source, 1)
    observe("a replayed message is flagged as redelivered", False, message.is_redelivered())
    end(source)


@feature("replay: by the client")
def test_a_client_replays_everything(broker: Broker, connect: Connect, log: Log) -> None:
    queue = consumed(broker, connect, "0", "1", "2")
    source = replaying(connect("second-time"), queue, ReplayStrategy.all_messages())
    assert [text(message) for message in drain(source, 3)] == ["0", "1", "2"]
    end(source)


@feature("replay: by the client", "replay: from a date")
def test_a_client_replays_from_a_date(broker: Broker, connect: Connect, log: Log) -> None:
    queue = broker.queue("replayed", "replayed/>")
    service = connect("first-time")
    publisher = persistent_publisher(service)
    send(publisher, "replayed/x", "before")
    time.sleep(2.1)  # the date has seconds
    now = datetime.now(UTC)
    send(publisher, "replayed/x", "after")
    source = receiver(service, queue)
    assert len(drain(source, 2)) == 2
    end(source)
    again = replaying(connect("second-time"), queue, ReplayStrategy.time_based(now))
    assert [text(message) for message in drain(again, 1)] == ["after"]
    assert again.receive_message(broker.moment_ms) is None
    end(again)


@feature("replay: by the client", "replay: after a message")
def test_a_client_replays_what_comes_after_a_message(broker: Broker, connect: Connect, log: Log) -> None:
    queue = broker.queue("replayed", "replayed/>")
    service = connect("first-time")
    publisher = persistent_publisher(service)
    for number in range(4):
        send(publisher, "replayed/x", str(number))
    source = receiver(service, queue)
    after = drain(source, 4)[1].get_replication_group_message_id()
    end(source)
    strategy = ReplayStrategy.replication_group_message_id_based(after)
    again = replaying(connect("second-time"), queue, strategy)
    assert [text(message) for message in drain(again, 2)] == ["2", "3"]
    assert again.receive_message(broker.moment_ms) is None
    end(again)


@feature("replay: failures")
def test_without_a_replay_log_a_replay_is_refused(broker: Broker, connect: Connect) -> None:
    if broker.address.vpn is not None:
        pytest.skip("the message VPN that is given may have a replay log")
    queue = broker.queue("replayed")
    service = connect("asking")
    seen = refusal(lambda: replaying(service, queue, ReplayStrategy.all_messages()))
    assert seen == "REPLAY_DISABLED"


@feature("replay: failures")
def test_a_date_before_the_log_is_refused(broker: Broker, connect: Connect, log: Log, observe: Observe) -> None:
    queue = broker.queue("replayed", "replayed/>")
    service = connect("asking")
    long_ago = ReplayStrategy.time_based(datetime(2020, 1, 1, tzinfo=UTC))
    seen = words(lambda: replaying(service, queue, long_ago))
    observe("a client's replay from before the log", "Replay Start Time Not Available", seen)


@feature("replay: failures")
def test_a_client_cannot_replay_into_a_non_exclusive_queue(broker: Broker, connect: Connect, log: Log) -> None:
    queue = broker.queue("shared", "replayed/>", accessType="non-exclusive")
    builder = connect("asking").create_persistent_message_receiver_builder()
    builder = builder.with_message_replay(ReplayStrategy.all_messages())
    with pytest.raises(PubSubPlusClientError):
        builder.build(Queue.durable_non_exclusive_queue(queue)).start()


@feature("replay: trimming", client=SEMP)
def test_a_log_keeps_to_its_quota_by_losing_the_oldest(broker: Broker, connect: Connect, log: Log) -> None:
    broker.change(f"replayLogs/{log.name}", maxSpoolUsage=1)
    publisher = persistent_publisher(connect("sending"))
    for _ in range(8):
        publisher.publish_await_acknowledgement(bytearray(200_000), Topic.of("logged/x"), 10_000)
    assert broker.becomes(lambda: 0 < len(log.messages()) < 8)


@feature("replay: trimming", client=SEMP)
def test_a_log_can_be_trimmed_to_a_date(broker: Broker, connect: Connect, log: Log) -> None:
    send(persistent_publisher(connect("sending")), "logged/x", "old")
    assert broker.becomes(lambda: len(log.messages()) == 1)
    path = f"action/msgVpns/{broker.vpn}/replayLogs/{log.name}/trimLoggedMsgs"
    broker.expect("PUT", path, {"olderThanTime": int(time.time()) + 60})
    assert broker.becomes(lambda: log.messages() == [])

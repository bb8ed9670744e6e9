"""Replay as the official client and SEMP have it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.config.replay_strategy import ReplayStrategy
from solace.messaging.config.sub_code import SolClientSubCode
from solace.messaging.errors.pubsubplus_client_error import MessageReplayError, PubSubPlusClientError
from solace.messaging.receiver.inbound_message import ReplicationGroupMessageId
from solace.messaging.receiver.persistent_message_receiver import PersistentMessageReceiver
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic
from solace.messaging.utils.life_cycle_control import TerminationNotificationListener

from tests.emulator.messaging import Receipts, drain, end, eventually, persistent_publisher, receiver, send, text
from tests.emulator.process import Emulator, running

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
VPN = "msgVpns/default"
ABSENT = "rmid1:0a1b2-c3d4e5f6071-00000000-0000002a"
OPEN = {"replayLogName": "log", "ingressEnabled": True, "egressEnabled": True, "maxSpoolUsage": 10}


@pytest.fixture
def log(emulator: Emulator) -> Iterator[Emulator]:
    """The module's emulator with an open replay log of this test alone."""
    assert emulator.semp("POST", f"config/{VPN}/replayLogs", OPEN).status_code == 200
    yield emulator
    assert emulator.semp("DELETE", f"config/{VPN}/replayLogs/log").status_code == 200


def replaying(service: Any, queue: Queue, strategy: ReplayStrategy) -> PersistentMessageReceiver:
    """A started receiver that replays when it binds."""
    builder = service.create_persistent_message_receiver_builder().with_message_client_acknowledgement()
    built = builder.with_message_replay(strategy).build(queue)
    built.start()
    return built


def received(source: Any, count: int) -> list[str]:
    """The payloads that come, and nothing behind them."""
    found = [text(message) for message in drain(source, count)]
    assert source.receive_message(200) is None
    return found


def monitored(emulator: Emulator, path: str) -> Any:
    """What the monitor interface says of an object."""
    return emulator.semp("GET", f"monitor/{VPN}/{path}").json()["data"]


def act(emulator: Emulator, path: str, **attributes: Any) -> str:
    """Do an action; return the status of its refusal, empty for none."""
    answer = emulator.semp("PUT", f"action/{VPN}/{path}", attributes)
    return "" if answer.status_code == 200 else str(answer.json()["meta"]["error"]["status"])


def sub_code(caught: pytest.ExceptionInfo[PubSubPlusClientError]) -> str:
    """The sub-code that the client's error carries in its text."""
    return str(caught.value).partition("SOLCLIENT_SUBCODE_")[2].partition("'")[0]


class Ended(TerminationNotificationListener):
    """Notes why a receiver was ended."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def on_termination(self, event: Any) -> None:
        """Note the reason."""
        self.reasons.append(str(event.cause))


# -- by the client


def test_a_client_replays_all_from_a_date_and_after_a_message(log: Emulator, connect: Connect) -> None:
    log.queue("again", "again/>")
    service = connect(log, "again")
    publisher = persistent_publisher(service)
    queue = Queue.durable_exclusive_queue("again")
    send(publisher, "again/x", "0")
    time.sleep(1.1)  # the client sends whole seconds
    cut = datetime.datetime.now(datetime.UTC)
    for number in (1, 2, 3):
        send(publisher, "again/x", str(number))
    source = receiver(service, "again")
    messages = drain(source, 4)
    end(source)
    ids = [message.get_replication_group_message_id() for message in messages]
    for strategy, expected in (
        (ReplayStrategy.all_messages(), ["0", "1", "2", "3"]),
        (ReplayStrategy.time_based(cut), ["1", "2", "3"]),
        (ReplayStrategy.replication_group_message_id_based(ids[1]), ["2", "3"]),
    ):
        source = replaying(service, queue, strategy)
        assert received(source, len(expected)) == expected
        end(source)
    shown = monitored(log, "replayLogs/log/msgs")
    assert [row["replicationGroupMsgId"] for row in shown] == [str(one) for one in ids]
    assert ids[0].compare(ids[1]) < 0


def test_replayed_messages_are_not_flagged_and_keep_their_ids_through_a_redelivery(
    log: Emulator, connect: Connect
) -> None:
    log.queue("flags", "flags/>")
    service = connect(log, "flags")
    send(persistent_publisher(service), "flags/x", "1")
    queue = Queue.durable_exclusive_queue("flags")
    source = replaying(service, queue, ReplayStrategy.all_messages())
    (first,) = drain(source, 1, acknowledge=False)
    end(source)
    source = receiver(service, "flags")
    (second,) = drain(source, 1)
    end(source)
    assert (first.is_redelivered(), second.is_redelivered()) == (False, True)
    ids = [message.get_replication_group_message_id() for message in (first, second)]
    assert str(ids[0]) == str(ids[1])


@pytest.mark.parametrize(
    ("queue", "strategy", "code"),
    [
        (
            Queue.durable_non_exclusive_queue("shared"),
            ReplayStrategy.all_messages(),
            "CLIENT_INITIATED_REPLAY_NON_EXCLUSIVE_NOT_ALLOWED",
        ),
        (
            Queue.non_durable_exclusive_queue("passing"),
            ReplayStrategy.all_messages(),
            "REPLAY_TEMPORARY_NOT_SUPPORTED",
        ),
        (
            Queue.durable_exclusive_queue("refusing"),
            ReplayStrategy.replication_group_message_id_based(ReplicationGroupMessageId.of(ABSENT)),
            "REPLAY_START_MESSAGE_UNAVAILABLE",
        ),
    ],
    ids=["non-exclusive", "temporary", "unknown message"],
)
def test_a_refused_replay_has_its_documented_error(
    log: Emulator, connect: Connect, queue: Queue, strategy: ReplayStrategy, code: str
) -> None:
    name = queue.get_name()
    if name != "passing":
        log.queue(name, "x", accessType="non-exclusive" if name == "shared" else "exclusive")
    service = connect(log, "refused")
    with pytest.raises(MessageReplayError) as caught:
        replaying(service, queue, strategy)
    assert sub_code(caught) == code
    assert hasattr(SolClientSubCode, f"SOLCLIENT_SUBCODE_{code}")


def test_a_replay_from_before_the_log_was_made_is_refused_by_its_text(log: Emulator, connect: Connect) -> None:
    """The client's library has no error for this one: it hands the broker's text on."""
    log.queue("early", "early")
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    with pytest.raises(PubSubPlusClientError, match="Replay Start Time Not Available"):
        replaying(connect(log, "early"), Queue.durable_exclusive_queue("early"), ReplayStrategy.time_based(yesterday))


def test_a_standby_client_may_not_replay_and_the_active_one_does_not_notice(log: Emulator, connect: Connect) -> None:
    log.queue("taken", "taken")
    service = connect(log, "taken")
    source = receiver(service, "taken")
    with pytest.raises(MessageReplayError) as caught:
        replaying(service, Queue.durable_exclusive_queue("taken"), ReplayStrategy.all_messages())
    assert sub_code(caught) == "CLIENT_INITIATED_REPLAY_INACTIVE_FLOW_NOT_ALLOWED"
    send(persistent_publisher(service), "taken", "1")
    assert received(source, 1) == ["1"]
    end(source)
    counts = monitored(log, "queues/taken")
    assert (counts["otherBindFailureCount"], counts["replayStartCount"]) == (1, 0)


def test_who_may_not_consume_may_not_replay(log: Emulator, connect: Connect) -> None:
    log.queue("browsed", "browsed", permission="read-only")
    service = connect(log, "browsing")
    send(persistent_publisher(service), "browsed", "1")
    with pytest.raises(PubSubPlusClientError) as caught:
        replaying(service, Queue.durable_exclusive_queue("browsed"), ReplayStrategy.all_messages())
    assert sub_code(caught) == "PERMISSION_NOT_ALLOWED"
    assert (monitored(log, "queues/browsed")["replayStartCount"], log.depth("browsed")) == (0, 1)


def test_without_an_open_log_a_replay_is_disabled(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("unlogged", "unlogged")
    with pytest.raises(MessageReplayError) as caught:
        replaying(
            connect(emulator, "unlogged"), Queue.durable_exclusive_queue("unlogged"), ReplayStrategy.all_messages()
        )
    assert sub_code(caught) == "REPLAY_DISABLED"
    assert act(emulator, "queues/unlogged/startReplay") == "NOT_ALLOWED"


# -- by an administrator


def test_an_administrators_replay_rebinds_the_client_and_live_messages_join_behind(
    log: Emulator, connect: Connect
) -> None:
    log.queue("started", "started/>")
    service = connect(log, "started")
    publisher = persistent_publisher(service)
    for number in range(3):
        send(publisher, "started/x", str(number))
    source = receiver(service, "started")
    first = drain(source, 3)
    (before,) = monitored(log, "queues/started/txFlows")
    assert eventually(lambda: log.depth("started") == 0)
    assert act(log, "queues/started/startReplay") == ""
    send(publisher, "started/x", "live")
    assert received(source, 4) == ["0", "1", "2", "live"]
    assert eventually(lambda: monitored(log, "queues/started")["replayState"] == "complete")
    (after,) = monitored(log, "queues/started/txFlows")
    assert (after["clientName"], after["flowId"] != before["flowId"]) == (before["clientName"], True)
    after_first = str(first[0].get_replication_group_message_id())
    assert act(log, "queues/started/startReplay", replayLogName="log", afterMsg=after_first) == ""
    assert received(source, 3) == ["1", "2", "live"]
    assert eventually(lambda: monitored(log, "queues/started")["replayState"] == "complete")
    shown = monitored(log, "queues/started")
    assert (shown["replayStartCount"], shown["replaySuccessCount"], shown["replayFailureCount"]) == (2, 2, 0)
    assert (shown["replayedTxMsgCount"], shown["replayedAckedMsgCount"]) == (6, 6)
    assert abs(shown["lastReplayCompleteTime"] - time.time()) < 60
    assert shown["lastReplayStartTime"] <= shown["lastReplayedMsgTxTime"] <= shown["lastReplayCompleteTime"]
    end(source)


def test_a_cancelled_replay_ends_the_receiver_with_the_reason(log: Emulator, connect: Connect) -> None:
    log.queue("cancelled", "cancelled")
    service = connect(log, "cancelled")
    publisher = persistent_publisher(service)
    for number in range(3):
        send(publisher, "cancelled", str(number))
    assert act(log, "queues/cancelled/cancelReplay") == "NOT_ALLOWED"
    source = receiver(service, "cancelled")
    ended = Ended()
    source.set_termination_notification_listener(ended)
    drain(source, 3)
    assert eventually(lambda: log.depth("cancelled") == 0)
    assert act(log, "queues/cancelled/startReplay") == ""
    assert len(drain(source, 2, acknowledge=False)) == 2
    assert act(log, "queues/cancelled/cancelReplay", forceComplete=True) == ""
    assert eventually(lambda: bool(ended.reasons))
    assert "Replay Cancelled" in ended.reasons[0]
    shown = monitored(log, "queues/cancelled")
    assert (shown["replayState"], shown["lastReplayFailureReason"]) == ("failed", "Replay Cancelled")
    assert log.depth("cancelled") == 0


def test_a_start_point_that_is_not_there_fails_the_replay_and_leaves_the_queue(log: Emulator, connect: Connect) -> None:
    log.queue("kept", "kept")
    send(persistent_publisher(connect(log, "kept")), "kept", "1")
    assert act(log, "queues/kept/startReplay", fromTime=1) == ""
    assert monitored(log, "queues/kept")["lastReplayFailureReason"] == "Replay Start Time Not Available"
    assert act(log, "queues/kept/startReplay", afterMsg=ABSENT) == ""
    shown = monitored(log, "queues/kept")
    assert (shown["replayState"], shown["replayFailureCount"]) == ("failed", 2)
    assert shown["lastReplayFailureReason"] == "Replay Start Message Unavailable"
    assert log.depth("kept") == 1


def test_bad_actions_are_refused(log: Emulator) -> None:
    log.queue("parts", "parts", accessType="non-exclusive", partitionCount=2)
    log.queue("copies", "copies")
    assert act(log, "queues/parts/startReplay") == "NOT_ALLOWED"
    assert act(log, "queues/copies/startReplay", replayLogName="other") == "NOT_FOUND"
    assert act(log, "queues/copies/startReplay", fromTime="now") == "INVALID_PARAMETER"
    assert act(log, "queues/copies/startReplay", afterMsg="x" * 41) == "INVALID_PARAMETER"
    assert act(log, "queues/copies/startReplay", afterMsg=ABSENT, fromTime=1) == "INVALID_PARAMETER"
    assert act(log, "queues/copies/copyMsgFromReplayLog", sourceReplayLogName="log") == "MISSING_PARAMETER"
    wanted = {"sourceReplayLogName": "log", "replicationGroupMsgId": ABSENT}
    assert act(log, "queues/copies/copyMsgFromReplayLog", **wanted) == "NOT_FOUND"
    assert act(log, "replayLogs/log/trimLoggedMsgs") == "MISSING_PARAMETER"
    assert act(log, "replayLogs/other/trimLoggedMsgs", olderThanTime=1) == "NOT_FOUND"


def test_one_message_is_copied_without_disturbing_the_queue(log: Emulator, connect: Connect) -> None:
    log.queue("copied")
    service = connect(log, "copied")
    publisher = persistent_publisher(service)
    send(publisher, "elsewhere", "wanted")
    source = receiver(service, "copied")
    (row,) = monitored(log, "replayLogs/log/msgs")
    wanted = {"sourceReplayLogName": "log", "replicationGroupMsgId": row["replicationGroupMsgId"]}
    assert act(log, "queues/copied/copyMsgFromReplayLog", **wanted) == ""
    (message,) = drain(source, 1)
    assert (text(message), message.get_destination_name()) == ("wanted", "elsewhere")
    end(source)
    assert len(monitored(log, "replayLogs/log/msgs")) == 1


def test_logged_messages_are_shown_and_trimmed_by_time(log: Emulator, connect: Connect) -> None:
    publisher = persistent_publisher(connect(log, "trimmed"))
    for number in range(2):
        send(publisher, "trimmed", str(number))
    shown = monitored(log, "replayLogs/log")
    assert (shown["maxSpoolUsage"], shown["replayLogName"]) == (10, "log")
    assert 0 < shown["msgSpoolUsage"] <= monitored(log, "")["msgSpoolUsage"]
    first, second = monitored(log, "replayLogs/log/msgs")
    assert first["attachmentSize"] > 0
    assert monitored(log, f"replayLogs/log/msgs/{second['msgId']}") == second
    assert act(log, "replayLogs/log/trimLoggedMsgs", olderThanTime=first["spooledTime"]) == ""
    assert len(monitored(log, "replayLogs/log/msgs")) == 2
    assert act(log, "replayLogs/log/trimLoggedMsgs", olderThanTime=second["spooledTime"] + 1) == ""
    assert monitored(log, "replayLogs/log/msgs") == []


# -- configuration


def test_a_vpn_has_one_replay_log_which_begins_shut(emulator: Emulator) -> None:
    path = f"config/{VPN}/replayLogs"
    made = emulator.semp("POST", path, {"replayLogName": "first"}).json()["data"]
    assert made == {
        "egressEnabled": False,
        "ingressEnabled": False,
        "maxSpoolUsage": 0,
        "msgVpnName": "default",
        "replayLogName": "first",
        "topicFilterEnabled": False,
    }
    second = emulator.semp("POST", path, {"replayLogName": "second"})
    assert second.json()["meta"]["error"]["status"] == "NOT_ALLOWED"
    below = f"{path}/first/topicFilterSubscriptions"
    for subscription in ("a/>", "!a/b"):
        assert emulator.semp("POST", below, {"topicFilterSubscription": subscription}).status_code == 200
    listed = monitored(emulator, "replayLogs/first/topicFilterSubscriptions")
    assert [row["topicFilterSubscription"] for row in listed] == ["a/>", "!a/b"]
    assert emulator.semp("DELETE", f"{below}/a%2F%3E").status_code == 200
    assert [row["topicFilterSubscription"] for row in emulator.semp("GET", below).json()["data"]] == ["!a/b"]
    changed = emulator.semp("PATCH", f"{path}/first", {"maxSpoolUsage": 5, "topicFilterEnabled": True}).json()["data"]
    assert (changed["maxSpoolUsage"], changed["topicFilterEnabled"]) == (5, True)
    assert emulator.semp("DELETE", f"{path}/first").status_code == 200
    assert emulator.semp("GET", path).json()["data"] == []


# -- durability


def test_the_replay_log_survives_a_kill_and_a_client_that_comes_back_does_not_replay_twice(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path / "data", "--sync", "batch") as emulator:
        assert emulator.semp("POST", f"config/{VPN}/replayLogs", OPEN).status_code == 200
        emulator.queue("q", "q")
        service = connect(emulator, "killed")
        publisher = persistent_publisher(service)
        for number in range(4):
            send(publisher, "q", str(number))
        queue = Queue.durable_exclusive_queue("q")
        source = replaying(service, queue, ReplayStrategy.all_messages())
        assert received(source, 4) == ["0", "1", "2", "3"]
        assert eventually(lambda: emulator.depth("q") == 0)
        emulator.kill()
        emulator.start()
        send(publisher, "q", "after the crash")
        assert received(source, 1) == ["after the crash"]
        end(source)
        source = replaying(service, queue, ReplayStrategy.all_messages())
        assert received(source, 5) == ["0", "1", "2", "3", "after the crash"]
        end(source)


def test_what_only_the_log_took_is_there_once_and_in_order_after_a_kill_under_load(
    tmp_path: Path, connect: Connect
) -> None:
    total = 600
    with running(tmp_path / "data", "--sync", "batch") as emulator:
        assert emulator.semp("POST", f"config/{VPN}/replayLogs", OPEN).status_code == 200
        service = connect(emulator, "unheard")
        publisher = persistent_publisher(service)
        receipts = Receipts()
        publisher.set_message_publish_receipt_listener(receipts)
        for number in range(total):
            publisher.publish(bytearray(str(number).encode()), Topic.of("unheard"), user_context=number)
            if number == total // 2:
                emulator.kill()
                emulator.start()
        assert eventually(lambda: receipts.count >= total, 60), f"{receipts.count} of {total}; {emulator.log}"
        assert receipts.acknowledged == set(range(total))
        emulator.queue("late", "unheard")
        source = replaying(service, Queue.durable_exclusive_queue("late"), ReplayStrategy.all_messages())
        assert received(source, total) == [str(number) for number in range(total)]
        end(source)

"""What SEMP counts and does about traffic: every published counter, exact; actions on messages, queues and VPNs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.config.message_acknowledgement_configuration import Outcome
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.topic import Topic

from crep.solace_emulator.core.queue_stats import QueueStats
from tests.emulator.messaging import (
    direct_publisher,
    direct_receiver,
    drain,
    end,
    eventually,
    persistent_publisher,
    receiver,
    send,
    text,
)
from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "solace" / "semp" / "semp-v2-attributes.json"
VPN = "msgVpns/default"


def camel(field: str) -> str:
    """A counter's name in SEMP."""
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


def act(emulator: Emulator, path: str, **body: Any) -> tuple[int, str]:
    """Carry out an action; the HTTP status, and the error's status if it is one."""
    response = emulator.semp("PUT", f"action/{VPN}/{path}", body)
    error = response.json()["meta"].get("error", {})
    return response.status_code, error.get("status", "")


def messages(emulator: Emulator, queue: str) -> list[dict[str, Any]]:
    """The messages in a queue."""
    found: list[dict[str, Any]] = emulator.semp("GET", f"monitor/{VPN}/queues/{queue}/msgs", count="100").json()["data"]
    return found


def refused(publisher: Any, topic: str, payload: bytearray) -> None:
    """Publish what is refused."""
    with pytest.raises(PubSubPlusClientError):
        publisher.publish_await_acknowledgement(payload, Topic.of(topic), 5000)


def test_every_counter_of_a_queue_is_exact(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("counted-grave")
    emulator.queue("counted", "counted/>", maxRedeliveryCount=1, deadMsgQueue="counted-grave", maxMsgSize=1000)
    service = connect(emulator, "counting")
    publisher = persistent_publisher(service)
    for number in range(6):
        send(publisher, "counted/x", str(number))
    refused(publisher, "counted/x", bytearray(2000))  # larger than the queue takes
    spooled = emulator.monitor("counted")["msgSpoolUsage"]
    source = receiver(service, "counted", outcomes=(Outcome.FAILED, Outcome.REJECTED))
    first = source.receive_message(5000)
    source.settle(first, Outcome.FAILED)  # again once, then to the dead message queue
    settled = 0
    while settled < 6 and (message := source.receive_message(5000)) is not None:
        failing = text(message) == "0"
        source.settle(message, Outcome.FAILED if failing else Outcome.ACCEPTED)
        settled += 1
    assert eventually(lambda: emulator.depth("counted") == 0)
    end(source)
    send(publisher, "counted/x", "deleted")
    send(publisher, "counted/x", "deleted as well")
    assert act(emulator, f"queues/counted/msgs/{messages(emulator, 'counted')[0]['msgId']}/delete") == (200, "")
    assert act(emulator, "queues/counted/deleteMsgs") == (200, "")
    emulator.semp("PATCH", f"config/{VPN}/queues/counted", {"egressEnabled": False})
    with pytest.raises(PubSubPlusClientError):
        receiver(service, "counted")
    emulator.semp("PATCH", f"config/{VPN}/queues/counted", {"ingressEnabled": False})
    send(publisher, "counted/x", "discarded: the queue is shut")
    seen = emulator.monitor("counted")
    expected = {
        "spooledMsgCount": 8,
        "redeliveredMsgCount": seen["redeliveredMsgCount"],
        "deletedMsgCount": 2,
        "disabledDiscardedMsgCount": 1,
        "maxMsgSizeExceededDiscardedMsgCount": 1,
        "maxRedeliveryExceededToDmqMsgCount": 1,
        "bindRequestCount": 2,
        "bindSuccessCount": 1,
        "disabledBindFailureCount": 1,
    }
    kept_apart = {"spooledByteCount", "msgSpoolPeakUsage"}
    for name in map(camel, QueueStats.__dataclass_fields__):
        if name not in kept_apart and not name.startswith("replay"):
            assert seen[name] == expected.get(name, 0), name
    assert 1 <= seen["redeliveredMsgCount"] <= 6  # what was in flight behind the failed one may have come back too
    assert seen["spooledByteCount"] > spooled == seen["msgSpoolPeakUsage"]
    assert (seen["msgSpoolUsage"], seen["txUnackedMsgCount"], emulator.depth("counted-grave")) == (0, 0, 1)
    assert act(emulator, "queues/counted/clearStats") == (200, "")
    cleared = emulator.monitor("counted")
    assert not any(cleared[camel(name)] for name in QueueStats.__dataclass_fields__)


def test_every_counter_of_a_client_and_of_its_vpn_is_exact(emulator: Emulator, connect: Connect) -> None:
    body = {"msgVpnName": "counting", "enabled": True, "authenticationBasicType": "none", "maxMsgSpoolUsage": 10}
    emulator.semp("POST", "config/msgVpns", body)
    emulator.semp("PATCH", "config/msgVpns/counting/clientUsernames/default", {"enabled": True})
    exception = {"publishTopicException": "forbidden", "publishTopicExceptionSyntax": "smf"}
    emulator.semp("POST", "config/msgVpns/counting/aclProfiles/default/publishTopicExceptions", exception)

    def counters(path: str) -> dict[str, int]:
        data = emulator.semp("GET", f"monitor/msgVpns/counting{path}").json()["data"]
        return {name: value for name, value in data.items() if name.endswith("Count") and name[:4] in ("data", "disc")}

    sender, reader = connect(emulator, "sender", vpn="counting"), connect(emulator, "reader", vpn="counting")
    source = direct_receiver(reader, "x/>")
    publisher = direct_publisher(sender)
    for topic in ("x/1", "x/2", "x/3", "nobody", "forbidden"):
        publisher.publish(bytearray(100), Topic.of(topic))
    assert len(drain(source, 3, acknowledge=False)) == 3

    def client(name: str) -> dict[str, Any]:
        data: dict[str, Any] = emulator.semp("GET", f"monitor/msgVpns/counting/clients/{name}").json()["data"]
        return data

    assert eventually(lambda: client("sender")["dataRxMsgCount"] == 5)
    sent, read = client("sender"), client("reader")
    assert (sent["dataTxMsgCount"], sent["rxDiscardedMsgCount"]) == (0, 1)
    assert (sent["publishTopicAclRxDiscardedMsgCount"], sent["noSubscriptionMatchRxDiscardedMsgCount"]) == (1, 1)
    assert (read["dataRxMsgCount"], read["dataTxMsgCount"], read["txDiscardedMsgCount"]) == (0, 3, 0)
    total = {
        "dataRxMsgCount": 5,
        "dataRxByteCount": sent["dataRxByteCount"],
        "dataTxMsgCount": 3,
        "dataTxByteCount": read["dataTxByteCount"],
        "discardedRxMsgCount": 1,
        "discardedTxMsgCount": 0,
    }
    assert counters("") == total
    assert 500 < sent["dataRxByteCount"] < 1000
    sender.disconnect()
    assert eventually(lambda: "sender" not in str(emulator.semp("GET", "monitor/msgVpns/counting/clients").json()))
    assert counters("") == total  # what a client has counted outlives it
    assert emulator.semp("PUT", "action/msgVpns/counting/clients/reader/clearStats", {}).status_code == 200
    assert client("reader")["dataTxMsgCount"] == 0
    assert counters("") == total
    assert emulator.semp("PUT", "action/msgVpns/counting/clearStats", {}).status_code == 200
    assert not any(counters("").values())


def test_a_message_is_copied_from_queue_to_queue_and_deleted_by_its_id(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("copied-from", "copied/>")
    emulator.queue("copied-to")
    publisher = persistent_publisher(connect(emulator, "copying"))
    for payload in ("a", "b"):
        send(publisher, "copied/x", payload)
    second = messages(emulator, "copied-from")[1]
    source = {"sourceQueueName": "copied-from", "replicationGroupMsgId": second["replicationGroupMsgId"]}
    assert act(emulator, "queues/copied-to/copyMsgFromQueue", **source) == (200, "")
    assert (emulator.depth("copied-from"), emulator.depth("copied-to")) == (2, 1)
    reading = receiver(connect(emulator, "copy-reader"), "copied-to")
    assert [text(message) for message in drain(reading, 1)] == ["b"]
    end(reading)
    path = f"queues/copied-from/msgs/{second['msgId']}/delete"
    assert act(emulator, path) == (200, "")
    assert act(emulator, path) == (400, "NOT_FOUND")
    assert [one["msgId"] for one in messages(emulator, "copied-from")] == [second["msgId"] - 1]
    assert act(emulator, "queues/copied-to/copyMsgFromQueue", **source) == (400, "NOT_FOUND")
    assert act(emulator, "queues/copied-to/copyMsgFromQueue", sourceQueueName="copied-from")[1] == "MISSING_PARAMETER"
    bad = source | {"replicationGroupMsgId": "x" * 41}
    assert act(emulator, "queues/copied-to/copyMsgFromQueue", **bad)[1] == "INVALID_PARAMETER"


def test_a_delivered_message_that_is_deleted_does_not_come_again(emulator: Emulator, connect: Connect) -> None:
    emulator.queue("deleting", "deleting/>")
    send(persistent_publisher(connect(emulator, "deleter")), "deleting/x", "gone")
    source = receiver(connect(emulator, "delete-reader"), "deleting")
    message = source.receive_message(5000)
    assert message is not None
    assert act(emulator, f"queues/deleting/msgs/{messages(emulator, 'deleting')[0]['msgId']}/delete") == (200, "")
    source.ack(message)
    end(source)
    assert emulator.depth("deleting") == 0


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the official SEMP documents are not beside the checkout")
def test_every_documented_action_on_what_is_emulated_is_carried_out_or_refused_as_not_emulated(
    emulator: Emulator, connect: Connect
) -> None:
    emulator.queue("acted", "acted/>")
    send(persistent_publisher(connect(emulator, "acted")), "acted/x", "one")
    known = {"msgVpnName": "default", "queueName": "acted", "clientName": "acted"}
    known["msgId"] = str(messages(emulator, "acted")[0]["msgId"])
    documented = json.loads(DOCUMENT.read_text())["action"]["objects"]
    tried: dict[str, str] = {}
    for facts in documented.values():
        for operation in facts["operations"]:
            method, path = operation.split(" ")
            if method != "PUT" or not set(_placeholders(path)) <= set(known):
                continue
            answer = emulator.semp("PUT", f"action{path.format(**known)}", {"unheardOf": 1})
            tried[path] = answer.json()["meta"]["error"]["status"]
    assert len(tried) > 12
    of_emulated = {path: status for path, status in tried.items() if path.startswith("/msgVpns")}
    assert set(of_emulated.values()) <= {"INVALID_PARAMETER", "NOT_SUPPORTED"}, of_emulated
    assert sum(status == "INVALID_PARAMETER" for status in of_emulated.values()) >= 9


def _placeholders(path: str) -> list[str]:
    return [part[1:-1] for part in path.replace(",", "/").split("/") if part.startswith("{")]

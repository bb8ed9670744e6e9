"""SEMP v2: conventions, configuration, monitoring, actions, counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from solace.messaging.resources.topic import Topic

from tests.emulator.conformance.broker import Broker, quoted
from tests.emulator.conformance.features import SEMP, feature
from tests.emulator.messaging import (
    direct_publisher,
    direct_receiver,
    drain,
    end,
    persistent_publisher,
    receiver,
    send,
)

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]
Observe = Callable[..., None]


def error(response: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, code and status of an error answer."""
    answer = response.json()
    assert answer["meta"]["responseCode"] == response.status_code
    assert "data" not in answer
    return response.status_code, answer["meta"]["error"]["code"], answer["meta"]["error"]["status"]


@feature("SEMP: about", client=SEMP)
@pytest.mark.parametrize("interface", ["config", "monitor"])
def test_the_broker_says_what_it_is(broker: Broker, interface: str) -> None:
    about = broker.expect("GET", f"{interface}/about/api")["data"]
    assert about["platform"]
    assert tuple(map(int, about["sempVersion"].split(".")[:2])) >= (2, 36)


@feature("SEMP: envelope and errors", client=SEMP)
def test_without_the_right_credentials_there_is_401(broker: Broker) -> None:
    url = f"{broker.address.semp}/SEMP/v2/config/about/api"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=(broker.address.user, "certainly wrong")).status_code == 401


@feature("SEMP: envelope and errors", client=SEMP)
def test_an_answer_names_its_request_and_its_links(broker: Broker) -> None:
    queue = broker.queue("a/b,c d")
    answer = broker.semp("GET", "config", f"/queues/{quoted(queue)}").json()
    assert answer["data"]["queueName"] == queue
    assert answer["meta"]["request"]["method"] == "GET"
    assert answer["meta"]["responseCode"] == 200
    assert answer["links"]["subscriptionsUri"].endswith(f"/queues/{quoted(queue)}/subscriptions")


@feature("SEMP: envelope and errors", client=SEMP)
@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/queues/missing", None, (400, 6, "NOT_FOUND")),
        ("DELETE", "/queues/missing", None, (400, 6, "NOT_FOUND")),
        ("POST", "/queues", {"queueName": "x", "colour": "red"}, (400, 11, "INVALID_PARAMETER")),
        ("POST", "/queues", {"queueName": "x", "maxBindCount": 10001}, (400, 11, "INVALID_PARAMETER")),
        ("POST", "/queues", {"queueName": "x", "accessType": "some"}, (400, 11, "INVALID_PARAMETER")),
        ("POST", "/queues", {"queueName": "x" * 201}, (400, 11, "INVALID_PARAMETER")),
        ("POST", "/queues", {"accessType": "exclusive"}, (400, 228, "MISSING_PARAMETER")),
    ],
)
def test_errors_have_their_codes(
    broker: Broker,
    observe: Observe,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    expected: tuple[int, int, str],
) -> None:
    seen = error(broker.semp(method, "config", path, body))
    what = ", ".join(f"{name} {str(value)[:10]}" for name, value in (body or {}).items())
    observe(f"{method} {path.rpartition('/')[2]} {what}".strip(), expected, seen)


@feature("SEMP: envelope and errors", client=SEMP)
def test_what_is_there_cannot_be_made_again(broker: Broker) -> None:
    queue = broker.queue("there")
    assert error(broker.semp("POST", "config", "/queues", {"queueName": queue})) == (400, 10, "ALREADY_EXISTS")


@feature("SEMP: envelope and errors", client=SEMP)
def test_an_unknown_path_is_an_error_of_its_own(broker: Broker, observe: Observe) -> None:
    _, number, status = error(broker.request("GET", "config/unheardOf"))
    assert status == "INVALID_PATH"
    observe("the number of INVALID_PATH", 535, number)


@feature("SEMP: config", client=SEMP)
def test_a_new_queue_has_the_documented_defaults(broker: Broker) -> None:
    queue = broker.make("queues", "queueName", "fresh")
    data = broker.read("config", f"/queues/{queue}")
    assert (data["accessType"], data["maxMsgSpoolUsage"], data["maxRedeliveryCount"]) == ("exclusive", 5000, 0)
    assert (data["deadMsgQueue"], data["maxBindCount"]) == ("#DEAD_MSG_QUEUE", 1000)
    assert (data["respectTtlEnabled"], data["maxDeliveredUnackedMsgsPerFlow"]) == (False, 10000)


@feature("SEMP: config", client=SEMP)
def test_patch_keeps_and_put_resets_what_is_not_given(broker: Broker) -> None:
    queue = broker.make("queues", "queueName", "changing", maxRedeliveryCount=5, egressEnabled=True)
    patched = broker.semp("PATCH", "config", f"/queues/{queue}", {"maxBindCount": 3}).json()["data"]
    assert (patched["maxRedeliveryCount"], patched["egressEnabled"], patched["maxBindCount"]) == (5, True, 3)
    put = broker.semp("PUT", "config", f"/queues/{queue}", {"maxBindCount": 4}).json()["data"]
    assert (put["maxRedeliveryCount"], put["egressEnabled"], put["maxBindCount"]) == (0, False, 4)


@feature("SEMP: config", client=SEMP)
def test_a_password_is_never_told(broker: Broker) -> None:
    assert "password" not in broker.read("config", f"/clientUsernames/{broker.username}")


@feature("SEMP: config", client=SEMP)
def test_an_exception_is_addressed_with_its_syntax(broker: Broker) -> None:
    acl = f"/aclProfiles/{broker.username}/publishTopicExceptions"
    made = broker.semp("POST", "config", acl, {"publishTopicExceptionSyntax": "smf", "publishTopicException": "a/>"})
    assert made.json()["links"]["uri"].endswith("/publishTopicExceptions/smf,a%2F%3E")
    assert broker.read("config", f"{acl}/smf,a%2F%3E")["publishTopicException"] == "a/>"
    assert broker.semp("DELETE", "config", f"{acl}/smf,a%2F%3E").json()["meta"]["responseCode"] == 200
    assert broker.read("config", acl) == []


@feature("SEMP: config", client=SEMP)
def test_an_object_that_others_use_cannot_be_deleted(broker: Broker, observe: Observe) -> None:
    for collection in ("aclProfiles", "clientProfiles"):
        status, _, seen = error(broker.semp("DELETE", "config", f"/{collection}/{broker.username}"))
        assert status == 400
        observe(f"deleting one of the {collection} that is used", "NOT_ALLOWED", seen)


@feature("SEMP: config", client=SEMP)
def test_a_queue_with_a_receiver_cannot_be_deleted(broker: Broker, connect: Connect, observe: Observe) -> None:
    queue = broker.queue("bound")
    source = receiver(connect("bound"), queue)
    response = broker.semp("DELETE", "config", f"/queues/{queue}")
    observe("deleting a queue that a receiver is bound to", "is refused", _said(response))
    if response.is_error:
        end(source)


def _said(response: httpx.Response) -> str:
    return "is refused" if response.is_error else "is done"


@feature("SEMP: paging and filters", client=SEMP)
def test_a_collection_comes_in_pages_with_its_total(broker: Broker) -> None:
    made = sorted(broker.queue(f"page-{number:02}") for number in range(12))
    answer = broker.semp("GET", "config", "/queues", None, select="queueName", where="queueName==page-*").json()
    found = [one["queueName"] for one in answer["data"]]
    assert answer["meta"]["count"] >= 12
    for _ in range(10):
        if "paging" not in answer["meta"]:
            break
        url = answer["meta"]["paging"]["nextPageUri"]
        answer = httpx.get(url, auth=(broker.address.user, broker.address.password)).json()
        found += [one["queueName"] for one in answer["data"]]
    assert sorted(found) == made


@feature("SEMP: paging and filters", client=SEMP)
def test_where_and_select_narrow(broker: Broker) -> None:
    queues = {name: broker.queue(name, maxRedeliveryCount=n) for n, name in enumerate(("red-1", "red-2", "blue"), 1)}

    def names(where: str) -> list[str]:
        return sorted(one["queueName"] for one in broker.read("config", "/queues", where=where))

    assert names("queueName==red*") == sorted([queues["red-1"], queues["red-2"]])
    assert names("maxRedeliveryCount>=2,queueName==red*") == [queues["red-2"]]
    data = broker.read("config", f"/queues/{queues['blue']}", select="max*,-maxMsg*")
    assert set(data) == {"maxBindCount", "maxDeliveredUnackedMsgsPerFlow", "maxRedeliveryCount", "maxTtl"}


@feature("SEMP: paging and filters", client=SEMP)
@pytest.mark.parametrize("query", [{"select": "unheardOf"}, {"where": "unheardOf==1"}, {"count": "0"}])
def test_a_filter_that_names_nothing_is_an_error(broker: Broker, query: dict[str, str]) -> None:
    assert error(broker.semp("GET", "config", "/queues", None, **query)) == (400, 11, "INVALID_PARAMETER")


@feature("SEMP: monitor", client=SEMP)
def test_the_links_of_an_object_lead_to_it_and_to_what_is_below(broker: Broker) -> None:
    queue = broker.queue("linked/a,b", "s/>")
    for path in ("", f"/queues/{quoted(queue)}"):
        links = broker.expect("GET", f"monitor/msgVpns/{broker.vpn}{path}")["links"]
        assert {"uri", "queuesUri" if path == "" else "msgsUri"} <= set(links)
        for name in ("uri", "queuesUri", "clientsUri", "msgsUri", "txFlowsUri", "subscriptionsUri"):
            if name in links:
                broker.expect("GET", links[name].partition("/SEMP/v2/")[2])


@feature("SEMP: monitor", client=SEMP)
def test_the_sizes_of_collections_stand_beside_the_data(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("seen", "s/>", "t/>")
    source = receiver(connect("seeing"), queue)
    path = f"monitor/msgVpns/{broker.vpn}/queues/{queue}"
    assert broker.becomes(lambda: broker.expect("GET", path)["collections"]["txFlows"]["count"] == 1)
    assert broker.expect("GET", path)["collections"]["msgs"]["count"] == 0
    listed = broker.read("monitor", f"/queues/{queue}/subscriptions")
    assert sorted(one["subscriptionTopic"] for one in listed) == ["s/>", "t/>"]
    end(source)


@feature("SEMP: monitor", client=SEMP)
def test_the_state_of_the_message_vpn(broker: Broker) -> None:
    assert broker.becomes(lambda: broker.read("monitor")["state"] == "up")


@feature("SEMP: monitor", client=SEMP)
def test_messages_in_a_queue_can_be_looked_at(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("looked-at", "l/>")
    publisher = persistent_publisher(connect("sending"))
    for number in range(3):
        send(publisher, "l/x", str(number))
    assert broker.holds(queue, 3)
    messages = broker.read("monitor", f"/queues/{queue}/msgs")
    ids = [one["msgId"] for one in messages]
    assert ids == sorted(ids)
    assert [(one["undelivered"], one["redeliveryCount"]) for one in messages] == [(True, 0)] * 3


@feature("SEMP: monitor", client=SEMP)
def test_a_clients_subscriptions_can_be_seen(broker: Broker, connect: Connect) -> None:
    direct_receiver(connect("curious"), "a/>", "b/*")
    path = "/clients/curious/subscriptions"

    def topics() -> set[str]:
        return {one["subscriptionTopic"] for one in broker.read("monitor", path)}

    assert broker.becomes(lambda: {"a/>", "b/*"} <= topics())


@feature("SEMP: action", client=SEMP)
def test_the_messages_of_a_queue_are_deleted(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("emptied", "e/>")
    publisher = persistent_publisher(connect("sending"))
    for _ in range(3):
        send(publisher, "e/x", "x")
    assert broker.holds(queue, 3)
    broker.expect("PUT", f"action/msgVpns/{broker.vpn}/queues/{queue}/deleteMsgs", {})
    assert broker.holds(queue, 0)


@feature("SEMP: action", client=SEMP)
def test_counters_are_cleared(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("cleared", "c/>")
    send(persistent_publisher(connect("sending")), "c/x", "x")
    assert broker.counts(queue, spooledMsgCount=1)
    broker.expect("PUT", f"action/msgVpns/{broker.vpn}/queues/{queue}/clearStats", {})
    assert broker.counts(queue, spooledMsgCount=0)
    assert broker.depth(queue) == 1


@feature("SEMP: action", client=SEMP)
def test_an_action_needs_an_object_and_a_body(broker: Broker) -> None:
    queue = broker.queue("acted")
    assert error(broker.semp("PUT", "action", "/queues/missing/deleteMsgs", {})) == (400, 6, "NOT_FOUND")
    assert broker.semp("PUT", "action", f"/queues/{queue}/deleteMsgs").is_error


@feature("SEMP: counters", client=SEMP)
def test_counters_are_true_to_the_traffic(broker: Broker, connect: Connect) -> None:
    queue = broker.queue("traffic", "traffic/>")
    publisher = persistent_publisher(connect("sending"))
    for number in range(7):
        send(publisher, "traffic/x", str(number))
    source = receiver(connect("reading"), queue)
    assert len(drain(source, 4, acknowledge=False)) == 4
    end(source)
    again = receiver(connect("reading-on"), queue)
    assert len(drain(again, 7)) == 7
    assert broker.counts(queue, spooledMsgCount=7, bindSuccessCount=2)
    assert broker.becomes(lambda: broker.monitor(queue)["redeliveredMsgCount"] >= 4)
    assert broker.holds(queue, 0)
    end(again)


@feature("SEMP: counters", client=SEMP)
def test_a_clients_messages_are_counted(broker: Broker, connect: Connect) -> None:
    source = direct_receiver(connect("reading"), "traffic/>")
    publisher = direct_publisher(connect("sending"))
    for _ in range(5):
        publisher.publish(bytearray(b"x"), Topic.of("traffic/x"))
    assert len(drain(source, 5, acknowledge=False)) == 5
    assert broker.becomes(lambda: broker.read("monitor", "/clients/sending")["dataRxMsgCount"] == 5)
    assert broker.becomes(lambda: broker.read("monitor", "/clients/reading")["dataTxMsgCount"] == 5)

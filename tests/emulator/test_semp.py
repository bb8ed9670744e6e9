"""SEMP v2 over HTTP: envelope, errors, paging, select and where, the objects, and what reaches the core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.emulator.process import Emulator, running

pytestmark = pytest.mark.emulator

VPN = "config/msgVpns/default"


@pytest.fixture(autouse=True)
def _clean(emulator: Emulator) -> Iterator[None]:
    """Leave no queues behind: several tests count them."""
    yield
    for queue in emulator.semp("GET", f"{VPN}/queues", count="100").json()["data"]:
        emulator.semp("DELETE", f"{VPN}/queues/{quote(queue['queueName'], safe='')}")


def error(response: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, code and status of an error answer."""
    meta = response.json()["meta"]
    assert meta["responseCode"] == response.status_code
    assert "data" not in response.json()
    return response.status_code, meta["error"]["code"], meta["error"]["status"]


def post(emulator: Emulator, path: str, **body: Any) -> httpx.Response:
    """POST attributes."""
    return emulator.semp("POST", path, body)


def test_without_the_right_credentials_there_is_401(emulator: Emulator) -> None:
    url = f"{emulator.ready['semp']}/SEMP/v2/config/about/api"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=("admin", "wrong")).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Basic %%%"}).status_code == 401
    assert httpx.get(url, auth=("admin", "admin")).status_code == 200


def test_the_factory_state_is_the_one_of_a_fresh_container(emulator: Emulator) -> None:
    vpn = emulator.semp("GET", VPN).json()["data"]
    assert (vpn["enabled"], vpn["authenticationBasicType"], vpn["maxMsgSpoolUsage"]) == (True, "none", 1500)
    user = emulator.semp("GET", f"{VPN}/clientUsernames/default").json()["data"]
    assert user["enabled"] is True
    assert "password" not in user
    acl = emulator.semp("GET", f"{VPN}/aclProfiles/default").json()["data"]
    defaults = {acl[f"{what}DefaultAction"] for what in ("clientConnect", "publishTopic", "subscribeTopic")}
    assert defaults == {"allow"}
    profile = emulator.semp("GET", f"{VPN}/clientProfiles/default").json()["data"]
    assert all(profile[f"allowGuaranteed{what}Enabled"] for what in ("MsgSend", "MsgReceive", "EndpointCreate"))
    assert emulator.semp("GET", f"{VPN}/queues").json()["data"] == []


def test_a_new_queue_has_the_vendors_defaults(emulator: Emulator) -> None:
    created = post(emulator, f"{VPN}/queues", queueName="fresh").json()
    data = created["data"]
    assert (data["ingressEnabled"], data["egressEnabled"], data["permission"]) == (False, False, "no-access")
    assert (data["accessType"], data["maxMsgSpoolUsage"], data["maxRedeliveryCount"]) == ("exclusive", 5000, 0)
    assert (data["deadMsgQueue"], data["msgVpnName"]) == ("#DEAD_MSG_QUEUE", "default")
    assert created["links"]["subscriptionsUri"].endswith("/queues/fresh/subscriptions")
    assert created["meta"]["request"]["method"] == "POST"


def test_errors_have_the_vendors_codes(emulator: Emulator) -> None:
    queues = f"{VPN}/queues"
    post(emulator, queues, queueName="there")
    assert error(emulator.semp("GET", f"{queues}/missing")) == (400, 6, "NOT_FOUND")
    assert error(emulator.semp("GET", "config/msgVpns/none/queues")) == (400, 6, "NOT_FOUND")
    assert error(emulator.semp("DELETE", f"{queues}/missing")) == (400, 6, "NOT_FOUND")
    assert error(post(emulator, queues, queueName="there")) == (400, 10, "ALREADY_EXISTS")
    assert error(post(emulator, queues, queueName="x", colour="red")) == (400, 11, "INVALID_PARAMETER")
    assert error(post(emulator, queues, queueName="x", maxBindCount=10001)) == (400, 11, "INVALID_PARAMETER")
    assert error(post(emulator, queues, queueName="x", maxBindCount="1")) == (400, 11, "INVALID_PARAMETER")
    assert error(post(emulator, queues, queueName="x", maxBindCount=True)) == (400, 11, "INVALID_PARAMETER")
    assert error(post(emulator, queues, queueName="x", accessType="some")) == (400, 11, "INVALID_PARAMETER")
    assert error(post(emulator, queues, queueName="x" * 201)) == (400, 11, "INVALID_PARAMETER")
    assert error(post(emulator, queues, accessType="exclusive")) == (400, 228, "MISSING_PARAMETER")
    assert error(emulator.semp("GET", "config/unheardOf"))[2] == "INVALID_PATH"
    assert error(emulator.semp("PATCH", queues, {}))[2] == "INVALID_PATH"
    raw = httpx.post(f"{emulator.ready['semp']}/SEMP/v2/{queues}", auth=("admin", "admin"), content=b"{")
    assert error(raw) == (400, 27, "PARSE_ERROR")


def test_what_is_known_but_not_emulated_is_never_accepted_silently(emulator: Emulator) -> None:
    queues = f"{VPN}/queues"
    for attributes in (
        {"deliveryDelay": 3},
        {"respectMsgPriorityEnabled": True},
        {"redeliveryDelayEnabled": True},
        {"eventBindCountThreshold": {"setPercent": 80, "clearPercent": 60}},
    ):
        refused = post(emulator, queues, queueName="x", **attributes)
        assert error(refused) == (400, 14, "NOT_SUPPORTED")
        assert next(iter(attributes)) in refused.json()["meta"]["error"]["description"]
    assert post(emulator, queues, queueName="x", deliveryDelay=0, respectMsgPriorityEnabled=False).status_code == 200


def test_the_parents_identifiers_may_stand_in_a_body(emulator: Emulator) -> None:
    queue = {"msgVpnName": "default", "queueName": "full-body"}
    assert post(emulator, f"{VPN}/queues", **queue).status_code == 200
    subscription = queue | {"subscriptionTopic": "a/>"}
    assert post(emulator, f"{VPN}/queues/full-body/subscriptions", **subscription).status_code == 200
    assert emulator.semp("PATCH", f"{VPN}/queues/full-body", queue | {"maxBindCount": 2}).status_code == 200


def test_patch_keeps_and_put_resets_what_is_not_given(emulator: Emulator) -> None:
    path = f"{VPN}/queues/changing"
    post(emulator, f"{VPN}/queues", queueName="changing", maxRedeliveryCount=5, egressEnabled=True)
    patched = emulator.semp("PATCH", path, {"maxBindCount": 3}).json()["data"]
    assert (patched["maxRedeliveryCount"], patched["egressEnabled"], patched["maxBindCount"]) == (5, True, 3)
    put = emulator.semp("PUT", path, {"maxBindCount": 4}).json()["data"]
    assert (put["maxRedeliveryCount"], put["egressEnabled"], put["maxBindCount"]) == (0, False, 4)
    assert emulator.semp("PUT", f"{VPN}/queues/made-by-put", {}).status_code == 200
    assert error(emulator.semp("PATCH", path, {"queueName": "other"})) == (400, 11, "INVALID_PARAMETER")


def test_names_with_reserved_characters_are_addressed_percent_encoded(emulator: Emulator) -> None:
    post(emulator, f"{VPN}/queues", queueName="a/b,c d")
    assert emulator.semp("GET", f"{VPN}/queues/a%2Fb%2Cc%20d").json()["data"]["queueName"] == "a/b,c d"
    subscriptions = f"{VPN}/queues/a%2Fb%2Cc%20d/subscriptions"
    link = post(emulator, subscriptions, subscriptionTopic="x/*/>").json()["links"]["uri"]
    assert httpx.get(link, auth=("admin", "admin")).json()["data"]["subscriptionTopic"] == "x/*/>"
    assert error(post(emulator, subscriptions, subscriptionTopic="x/*/>")) == (400, 10, "ALREADY_EXISTS")
    assert emulator.semp("DELETE", f"{subscriptions}/x%2F%2A%2F%3E").json() == {
        "meta": {
            "request": {
                "method": "DELETE",
                "uri": f"{emulator.ready['semp']}/SEMP/v2/{subscriptions}/x%2F%2A%2F%3E",
            },
            "responseCode": 200,
        }
    }


def test_a_collection_comes_in_pages_with_its_total(emulator: Emulator) -> None:
    for number in range(12):
        post(emulator, f"{VPN}/queues", queueName=f"page-{number:02}")
    found: list[str] = []
    answer = emulator.semp("GET", f"{VPN}/queues", select="queueName").json()
    pages = 1
    while True:
        found += [one["queueName"] for one in answer["data"]]
        assert len(answer["data"]) == len(answer["links"])
        assert answer["meta"]["count"] == 12
        if "paging" not in answer["meta"]:
            break
        answer = httpx.get(answer["meta"]["paging"]["nextPageUri"], auth=("admin", "admin")).json()
        pages += 1
    assert (pages, found) == (2, [f"page-{number:02}" for number in range(12)])
    for bad in ({"count": "0"}, {"count": "101"}, {"cursor": "x"}, {"page": "1"}):
        assert error(emulator.semp("GET", f"{VPN}/queues", None, **bad)) == (400, 11, "INVALID_PARAMETER")


def test_select_and_where_narrow_and_reject_unknown_names(emulator: Emulator) -> None:
    for name, count in (("red-1", 1), ("red-2", 2), ("blue", 3)):
        post(emulator, f"{VPN}/queues", queueName=name, maxRedeliveryCount=count, egressEnabled=name == "blue")

    def names(where: str, interface: str = "config") -> list[str]:
        path = f"{interface}/msgVpns/default/queues"
        return [one["queueName"] for one in emulator.semp("GET", path, where=where).json()["data"]]

    assert names("queueName==red*") == ["red-1", "red-2"]
    assert names("queueName!=red*") == ["blue"]
    assert names("maxRedeliveryCount>=2,queueName==red*") == ["red-2"]
    assert names("egressEnabled==true") == ["blue"]
    assert names("msgSpoolUsage<1", "monitor") == ["red-1", "red-2", "blue"]
    data = emulator.semp("GET", f"{VPN}/queues/blue", select="max*,-maxMsg*").json()["data"]
    assert set(data) == {"maxBindCount", "maxDeliveredUnackedMsgsPerFlow", "maxRedeliveryCount", "maxTtl"}
    for query in ({"select": "unheardOf"}, {"where": "unheardOf==1"}, {"where": "queueName"}, {"where": "maxTtl<x"}):
        assert error(emulator.semp("GET", f"{VPN}/queues", None, **query)) == (400, 11, "INVALID_PARAMETER")


def test_collections_stand_beside_their_data_in_monitor(emulator: Emulator) -> None:
    emulator.queue("seen", "s/>", "t/>")
    answer = emulator.semp("GET", "monitor/msgVpns/default/queues").json()
    assert [one["queueName"] for one in answer["data"]] == ["seen"]
    sizes = {"msgs": {"count": 0}, "subscriptions": {"count": 2}, "txFlows": {"count": 0}}
    assert answer["collections"] == [sizes]
    listed = emulator.semp("GET", "monitor/msgVpns/default/queues/seen/subscriptions").json()["data"]
    assert [one["subscriptionTopic"] for one in listed] == ["s/>", "t/>"]
    vpn = emulator.semp("GET", "monitor/msgVpns/default").json()["data"]
    assert (vpn["state"], vpn["msgSpoolMsgCount"]) == ("up", 0)
    assert error(emulator.semp("GET", "monitor/msgVpns/default/clients/nobody")) == (400, 6, "NOT_FOUND")
    assert error(emulator.semp("GET", "monitor/msgVpns/default/bridges"))[2] == "INVALID_PATH"


def test_objects_in_use_cannot_be_deleted(emulator: Emulator) -> None:
    post(emulator, f"{VPN}/clientProfiles", clientProfileName="used")
    post(emulator, f"{VPN}/clientUsernames", clientUsername="user", clientProfileName="used", enabled=True)
    for path in (f"{VPN}/clientProfiles/used", f"{VPN}/clientProfiles/default", VPN):
        assert error(emulator.semp("DELETE", path)) == (400, 89, "NOT_ALLOWED")
    missing = post(emulator, f"{VPN}/clientUsernames", clientUsername="other", clientProfileName="absent")
    assert error(missing) == (400, 6, "NOT_FOUND")
    assert emulator.semp("PATCH", f"{VPN}/clientUsernames/user", {"enabled": False}).status_code == 200
    assert emulator.semp("DELETE", f"{VPN}/clientProfiles/used").status_code == 200
    assert emulator.semp("DELETE", f"{VPN}/clientUsernames/user").status_code == 200


def test_exceptions_of_an_acl_profile_are_addressed_with_their_syntax(emulator: Emulator) -> None:
    post(emulator, f"{VPN}/aclProfiles", aclProfileName="acl")
    path = f"{VPN}/aclProfiles/acl/publishTopicExceptions"
    created = post(emulator, path, publishTopicExceptionSyntax="smf", publishTopicException="a/>").json()
    assert created["links"]["uri"].endswith("/publishTopicExceptions/smf,a%2F%3E")
    assert emulator.semp("GET", f"{path}/smf,a%2F%3E").status_code == 200
    assert error(emulator.semp("GET", f"{path}/mqtt,a%2F%3E")) == (400, 6, "NOT_FOUND")
    assert emulator.semp("DELETE", f"{path}/smf,a%2F%3E").status_code == 200
    assert emulator.semp("GET", path).json()["data"] == []
    connect = f"{VPN}/aclProfiles/acl/clientConnectExceptions"
    assert error(post(emulator, connect, clientConnectExceptionAddress="here")) == (400, 11, "INVALID_PARAMETER")
    assert post(emulator, connect, clientConnectExceptionAddress="10.0.0.0/8").status_code == 200
    assert emulator.semp("DELETE", f"{VPN}/aclProfiles/acl").status_code == 200


def test_actions_need_a_body_and_an_object(emulator: Emulator) -> None:
    emulator.queue("acted")
    path = "action/msgVpns/default/queues"
    assert emulator.semp("PUT", f"{path}/acted/deleteMsgs", {}).json()["data"] == {}
    assert error(emulator.semp("PUT", f"{path}/missing/deleteMsgs", {})) == (400, 6, "NOT_FOUND")
    assert error(emulator.semp("PUT", f"{path}/acted/purge", {}))[2] == "INVALID_PATH"
    assert error(emulator.semp("PUT", f"{path}/acted/deleteMsgs", {"which": "all"}))[2] == "INVALID_PARAMETER"
    assert error(emulator.semp("PUT", f"{path}/acted/deleteMsgs"))[2] == "PARSE_ERROR"


def test_a_second_vpn_is_made_closed_and_deleted_when_it_is_empty(emulator: Emulator) -> None:
    made = post(emulator, "config/msgVpns", msgVpnName="second").json()["data"]
    assert (made["enabled"], made["authenticationBasicType"], made["maxMsgSpoolUsage"]) == (False, "radius", 0)
    refused = post(emulator, "config/msgVpns", msgVpnName="third", authenticationBasicType="ldap")
    assert error(refused) == (400, 14, "NOT_SUPPORTED")
    assert emulator.semp("DELETE", "config/msgVpns/second").status_code == 200
    assert error(emulator.semp("GET", "config/msgVpns/second")) == (400, 6, "NOT_FOUND")


def test_a_password_is_never_written_down_as_it_is(tmp_path: Path) -> None:
    with running(tmp_path / "data") as emulator:
        post(emulator, f"{VPN}/clientUsernames", clientUsername="alice", password="open-sesame", enabled=True)
        emulator.stop()
        written = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("journal-*"))
        assert b"alice" in written
        assert b"open-sesame" not in written


def test_a_request_that_is_no_http_or_too_large_ends_its_connection_only(emulator: Emulator) -> None:
    url = f"{emulator.ready['semp']}/SEMP/v2/{VPN}/queues"
    assert httpx.post(url, auth=("admin", "admin"), content=b"x" * 1_100_000).status_code == 413
    assert httpx.get(url, headers={"X-Large": "x" * 20_000}).status_code == 413
    assert emulator.semp("GET", VPN).status_code == 200

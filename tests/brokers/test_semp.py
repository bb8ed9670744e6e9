"""SEMP errors become words for a person; pages become one list."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from crep.harness.brokers.contract import (
    BrokerError,
    ChannelSpec,
    Durability,
    Endpoint,
    NotSupported,
    Provisioned,
    ReaderSpec,
)
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.solace.admin import SolaceAdmin
from crep.harness.brokers.solace.semp import Semp, SempError, path_of

ENDPOINT = Endpoint(
    "solace",
    "somewhere",
    smf="tcp://broker:55555",
    semp="http://broker:8080",
    admin_username="anna",
    admin_password="x",
)


def semp(*answers: httpx.Response) -> tuple[Semp, list[httpx.Request]]:
    """A client whose broker gives these answers in order."""
    asked: list[httpx.Request] = []
    remaining = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return next(remaining)

    return Semp(ENDPOINT, httpx.MockTransport(answer)), asked


def refusal(code: int, status: str = "FAIL", http: int = 400) -> httpx.Response:
    error = {"code": code, "status": status, "description": "Problem with POST: no"}
    return httpx.Response(http, json={"meta": {"error": error, "responseCode": http}})


OK = httpx.Response(200, json={"data": {}, "meta": {"responseCode": 200}})


def test_names_are_encoded_into_the_path() -> None:
    assert path_of("queues", "a/b,c", "subscriptions", "x/>") == "queues/a%2Fb%2Cc/subscriptions/x%2F%3E"


def test_a_refused_login_names_the_user_and_where_the_password_comes_from() -> None:
    client, _ = semp(httpx.Response(401))
    with pytest.raises(BrokerError, match=r"'anna'(?s:.*)password_env"):
        client.get("config/about/api")


def test_an_unreachable_broker_is_named() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(BrokerError, match=r"http://broker:8080(?s:.*)refused"):
        Semp(ENDPOINT, httpx.MockTransport(fail)).get("config/about/api")


def test_an_answer_that_is_not_semp_is_named_as_such() -> None:
    client, _ = semp(httpx.Response(200, text="<html>"))
    with pytest.raises(BrokerError, match="without a SEMP body"):
        client.get("config/about/api")


def test_the_code_counts_and_not_the_http_status() -> None:
    client, _ = semp(refusal(6, "NOT_FOUND", 400), refusal(6, "NOT_FOUND", 404))
    for _ in range(2):
        with pytest.raises(SempError) as caught:
            client.get("config/msgVpns/default/queues/gone")
        assert caught.value.code == 6


def test_pages_are_followed_by_their_cursor() -> None:
    first = {
        "data": [{"queueName": "a"}],
        "meta": {"paging": {"nextPageUri": "http://broker:8080/SEMP/v2/config/x?count=100&cursor=%3Cnext%3E"}},
    }
    client, asked = semp(
        httpx.Response(200, json=first), httpx.Response(200, json={"data": [{"queueName": "b"}], "meta": {}})
    )
    assert [row["queueName"] for row in client.get_all("config/x")] == ["a", "b"]
    assert asked[1].url.params["cursor"] == "<next>"


QUEUE = {"name": "crep-r1-orders-billing", "dead_letter_queue": None}
PROVISIONED = Provisioned("r1", "solace/queue-per-reader", {"orders": {"queues": {"billing": QUEUE}}}, {})


def test_a_queue_that_is_gone_is_removed_already() -> None:
    client, asked = semp(refusal(6, "NOT_FOUND"))
    SolaceAdmin(ENDPOINT, client).remove(PROVISIONED)
    assert [request.method for request in asked] == ["DELETE"]


def test_a_queue_with_a_client_that_is_just_leaving_is_tried_again() -> None:
    client, asked = semp(refusal(89, "NOT_ALLOWED"), OK)
    SolaceAdmin(ENDPOINT, client).remove(PROVISIONED)
    assert len(asked) == 2


def test_depth_comes_from_the_messages_there_are_and_not_from_the_cumulative_counter() -> None:
    answer = {
        "data": {"spooledMsgCount": 900, "redeliveredMsgCount": 3, "txUnackedMsgCount": 2},
        "collections": {"msgs": {"count": 7}, "txFlows": {"count": 1}},
        "meta": {},
    }
    client, _ = semp(httpx.Response(200, json=answer))
    state = SolaceAdmin(ENDPOINT, client).observe(PROVISIONED).readers["orders.billing"]
    assert (state.backlog, state.redelivered, state.connections, state.dead_lettered) == (7, 3, 1, None)


def test_an_answer_without_a_depth_is_an_error_and_never_a_zero() -> None:
    client, _ = semp(httpx.Response(200, json={"data": {}, "meta": {}}))
    with pytest.raises(BrokerError, match="counts no msgs"):
        SolaceAdmin(ENDPOINT, client).observe(PROVISIONED)


def test_what_was_made_before_a_refusal_is_removed_again() -> None:
    about = httpx.Response(200, json={"data": {}, "meta": {}})
    client, asked = semp(about, OK, OK, refusal(14, "NOT_SUPPORTED"), OK, OK)
    readers = (ReaderSpec("audit", "exclusive", 1, "at-least-once"), ReaderSpec("billing", "group", 2, "at-least-once"))
    channel = ChannelSpec("orders", ("a",), 1, readers, Durability(1, "disk"))
    with pytest.raises(NotSupported, match="billing"):
        SolaceAdmin(ENDPOINT, client).provision("r1", [channel], load_mapping("solace/queue-per-reader"))
    assert [request.method for request in asked] == ["GET", "POST", "POST", "POST", "DELETE", "DELETE"]


BILLING = (ReaderSpec("billing", "group", 2, "at-least-once"),)
CHANNELS = [ChannelSpec(name, ("a",), 1, BILLING, Durability(1, "disk")) for name in ("orders", "trades")]
ABOUT = httpx.Response(200, json={"data": {}, "meta": {}})


def test_a_failure_at_a_later_channel_removes_what_the_earlier_ones_got() -> None:
    client, asked = semp(ABOUT, OK, OK, refusal(72, "UNAUTHORIZED"), OK, refusal(6, "NOT_FOUND"))
    with pytest.raises(SempError, match="72"):
        SolaceAdmin(ENDPOINT, client).provision("r1", CHANNELS, load_mapping("solace/queue-per-reader"))
    removed = [request.url.path.rsplit("/", 1)[1] for request in asked if request.method == "DELETE"]
    assert removed == ["crep-r1-orders-billing", "crep-r1-trades-billing"]


def test_what_stays_behind_after_a_failure_is_said_beside_the_failure() -> None:
    client, _ = semp(ABOUT, OK, OK, refusal(72, "UNAUTHORIZED"), httpx.Response(401))
    with pytest.raises(SempError, match="72") as caught:
        SolaceAdmin(ENDPOINT, client).provision("r1", CHANNELS, load_mapping("solace/queue-per-reader"))
    assert "'anna'" in "".join(caught.value.__notes__)


def test_a_kind_of_queue_that_the_broker_lacks_is_not_supported() -> None:
    client, _ = semp(refusal(11, "INVALID_PARAMETER"))
    with pytest.raises(NotSupported, match="partitionCount"):
        SolaceAdmin(ENDPOINT, client)._create_queue("q", {"partitionCount": 6})


PAIR = replace(ENDPOINT, semp="http://one:8080,http://two:8080")


def pair(states: dict[str, str | None]) -> tuple[Semp, list[str]]:
    """A client of two nodes, whose message VPNs are in these states (None: the node is down); who was asked what."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.host} {request.url.path.removeprefix('/SEMP/v2/')}")
        state = states[request.url.host]
        if state is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"data": {"state": state}, "meta": {"responseCode": 200}})

    return Semp(PAIR, httpx.MockTransport(answer)), asked


@pytest.mark.parametrize("first", ["standby", "down", None])
def test_a_pair_is_asked_at_the_node_whose_message_vpn_is_up(first: str | None) -> None:
    client, asked = pair({"one": first, "two": "up"})
    client.get("config/about/api")
    assert asked == ["one monitor/msgVpns/default", "two monitor/msgVpns/default", "two config/about/api"]
    client.get("config/about/api")
    assert asked[3:] == ["two config/about/api"], "who is active is not asked before every request"


def test_when_the_active_node_goes_the_next_request_finds_the_one_that_took_over() -> None:
    states: dict[str, str | None] = {"one": "up", "two": "standby"}
    client, _ = pair(states)
    client.get("config/about/api")
    states |= {"one": None, "two": "up"}
    with pytest.raises(BrokerError, match="http://one:8080"):
        client.get("config/about/api")
    client.get("config/about/api")
    assert client.active() == "http://two:8080"


def test_a_pair_of_which_no_node_is_active_is_named_with_what_each_says() -> None:
    client, _ = pair({"one": None, "two": "standby"})
    with pytest.raises(BrokerError, match=r"no node is active \(.*http://one:8080.*http://two:8080.*is standby\)"):
        client.get("config/about/api")


def test_the_active_node_of_a_pair_leads_every_channel_and_the_other_follows() -> None:
    client, _ = pair({"one": "standby", "two": "up"})
    admin = SolaceAdmin(PAIR, client)
    nothing = Provisioned("r", "m", {}, {})
    assert admin.leader(nothing, "orders") == "http://two:8080"
    assert admin.followers(nothing, "orders") == ("http://one:8080",)


def test_a_single_broker_has_neither_leader_nor_controller_and_the_reason_is_said() -> None:
    client, _ = semp()
    admin = SolaceAdmin(ENDPOINT, client)
    nothing = Provisioned("r", "m", {}, {})
    for ask in (
        lambda: admin.leader(nothing, "orders"),
        lambda: admin.followers(nothing, "orders"),
    ):
        with pytest.raises(NotSupported, match="one management address"):
            ask()
    with pytest.raises(NotSupported, match="no controller"):
        admin.controller()

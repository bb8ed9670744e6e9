"""Every attribute of every supported object, against the official SEMP documents where they lie beside the checkout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from crep.solace_emulator.semp import schema
from crep.solace_emulator.semp.config import object_types
from crep.solace_emulator.semp.objects import ObjectType
from crep.solace_emulator.semp.schema import Monitored, Schema, snake_case
from tests.emulator.fakes import World
from tests.emulator.messaging import direct_receiver, persistent_publisher, receiver, send
from tests.emulator.process import Emulator

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "solace" / "semp" / "semp-v2-attributes.json"
SUPPORTED = {
    "MsgVpn": schema.MESSAGE_VPN,
    "MsgVpnClientUsername": schema.CLIENT_USERNAME,
    "MsgVpnClientProfile": schema.CLIENT_PROFILE,
    "MsgVpnAclProfile": schema.ACL_PROFILE,
    "MsgVpnQueue": schema.QUEUE,
    "MsgVpnReplayLog": schema.REPLAY_LOG,
}
#: Monitored objects: their path, what they share with config, what they have beyond it.
MONITORED: dict[str, tuple[str, Schema[Any] | None, Monitored]] = {
    "MsgVpn": ("msgVpns", schema.MESSAGE_VPN, schema.MESSAGE_VPN_STATE),
    "MsgVpnQueue": ("msgVpns/default/queues", schema.QUEUE, schema.QUEUE_STATE),
    "MsgVpnQueueSubscription": ("msgVpns/default/queues/seen/subscriptions", None, schema.QUEUE_SUBSCRIPTION),
    "MsgVpnQueueTxFlow": ("msgVpns/default/queues/seen/txFlows", None, schema.QUEUE_FLOW),
    "MsgVpnQueueMsg": ("msgVpns/default/queues/seen/msgs", None, schema.QUEUE_MESSAGE),
    "MsgVpnClient": ("msgVpns/default/clients", None, schema.CLIENT),
    "MsgVpnClientSubscription": ("msgVpns/default/clients/seen/subscriptions", None, schema.CLIENT_SUBSCRIPTION),
}
#: Config attributes of 2.49 that the monitor document of 2.46 does not have yet.
NEWER = {"respectDmqEligibleEnabled", "allowDmqEligibleEndpointOverrideEnabled", "maxKafkaBrokerConnectionCount"}
needs_documents = pytest.mark.skipif(
    not DOCUMENT.exists(), reason="the official SEMP documents are not beside the checkout"
)
KINDS = {"boolean": ("flag",), "integer": ("number",), "string": ("text", "choice")}


@needs_documents
@pytest.mark.parametrize("name", SUPPORTED)
def test_attributes_have_the_documents_names_types_defaults_and_bounds(name: str) -> None:
    documented = {
        attribute: facts
        for attribute, facts in json.loads(DOCUMENT.read_text())["config"]["objects"][name]["attributes"].items()
        if not facts.get("identifying")
    }
    known = {attribute.name: attribute for attribute in SUPPORTED[name].attributes}
    assert set(known) == set(documented)
    for attribute, facts in documented.items():
        found = known[attribute]
        assert found.kind in KINDS.get(facts["type"], ("nested",))
        assert found.write_only == facts.get("writeOnly", False)
        if found.kind != "nested":
            assert found.default == facts.get("default", found.default if found.kind == "text" else None)
        if found.kind == "number":
            assert (found.low, found.high) == (facts.get("minimum"), facts.get("maximum"))
        if found.kind == "choice":
            assert set(found.choices) == set(facts["enum"])


@pytest.mark.parametrize("described", SUPPORTED.values(), ids=SUPPORTED.keys())
def test_a_new_objects_settings_are_the_attributes_defaults(described: Schema[Any]) -> None:
    settings = described.settings()
    honoured = {snake_case(one.name): one for one in described.attributes if described.honours(one.name)}
    assert set(honoured) == {one.name for one in fields(described.settings)}
    for name, attribute in honoured.items():
        if attribute.default is not None:
            assert getattr(settings, name) == attribute.default


@needs_documents
@pytest.mark.parametrize("name", MONITORED)
def test_monitored_attributes_have_the_documents_names_and_types(name: str) -> None:
    _, config, state = MONITORED[name]
    documented = json.loads(DOCUMENT.read_text())["monitor"]["objects"][name]["attributes"]
    shared = {one.name: one for one in config.attributes if not one.write_only} if config is not None else {}
    assert (set(shared) | state.names) - NEWER == set(documented) - NEWER
    assert not set(shared) & state.names
    for attribute, facts in documented.items():
        kind = shared[attribute].kind if attribute in shared else state.kind(attribute)
        assert kind in KINDS.get(facts["type"], ("nested",)), attribute


@pytest.mark.emulator
def test_what_monitor_answers_is_documented_and_has_its_type(emulator: Emulator, connect: Callable[..., Any]) -> None:
    emulator.queue("seen", "seen/>")
    service = connect(emulator, "seen")
    direct_receiver(service, "seen/direct")
    send(persistent_publisher(service), "seen/x", "one")
    source = receiver(service, "seen")
    types = {"flag": bool, "number": int, "text": str, "choice": str}
    for path, config, state in MONITORED.values():
        answer = emulator.semp("GET", f"monitor/{path}").json()
        assert answer["data"], path
        kinds = {one.name: one.kind for one in config.attributes} if config is not None else {}
        for attribute, value in answer["data"][0].items():
            kind = kinds.get(attribute) or state.kind(attribute)
            assert kind is not None, (path, attribute)
            assert type(value) is types[kind], (path, attribute, value)
        every = emulator.semp("GET", f"monitor/{path}", select=",".join(sorted(state.names)[:100]))
        assert every.status_code == 200
    source.receive_message(2000)
    source.terminate(500)


def walk(kind: ObjectType) -> Iterator[ObjectType]:
    """A type and all below it."""
    yield kind
    for child in kind.children:
        yield from walk(child)


@needs_documents
def test_identifiers_have_the_documents_names_lengths_and_patterns() -> None:
    objects = json.loads(DOCUMENT.read_text())["config"]["objects"].values()
    by_collection: dict[tuple[str, ...], dict[str, Any]] = {}
    for documented in objects:
        own = {name: facts for name, facts in documented["attributes"].items() if facts.get("requiredOnPost")}
        for operation in documented["operations"]:
            if operation.startswith("POST "):
                by_collection[(operation.rpartition("/")[2], *sorted(own))] = own
    types = list(walk(object_types(World().broker)))
    assert len(types) >= 10
    for kind in types:
        documented = by_collection[(kind.collection, *sorted(kind.identifiers))]
        for name, facts in documented.items():
            if "enum" in facts or name == "clientConnectExceptionAddress":  # checked as a syntax and a network
                continue
            assert kind.limits.get(name, 250) == facts["maxLength"], name
            pattern = facts.get("pattern", "").removeprefix("^").removesuffix("$")
            assert kind.patterns.get(name, "") == pattern, name


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("config/msgVpns", {"msgVpnName": "a*"}),
        ("config/msgVpns/default/queues", {"queueName": "a;b"}),
        ("config/msgVpns/default/clientUsernames", {"clientUsername": "a?"}),
        ("config/msgVpns/default/clientProfiles", {"clientProfileName": "a b"}),
        ("config/msgVpns/default/clientProfiles", {"clientProfileName": "a\n"}),
    ],
)
def test_a_name_with_a_character_that_it_must_not_have_is_refused(
    emulator: Emulator, path: str, body: dict[str, str]
) -> None:
    error = emulator.semp("POST", path, body).json()["meta"]["error"]
    assert error["status"] == "INVALID_PARAMETER"
    assert next(iter(body)) in error["description"]

"""Every attribute of every supported object, against the official SEMP documents where they lie beside the checkout."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from crep.solace_emulator.semp import schema
from crep.solace_emulator.semp.schema import Schema, snake_case

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "solace" / "semp" / "semp-v2-attributes.json"
SUPPORTED = {
    "MsgVpn": schema.MESSAGE_VPN,
    "MsgVpnClientUsername": schema.CLIENT_USERNAME,
    "MsgVpnClientProfile": schema.CLIENT_PROFILE,
    "MsgVpnAclProfile": schema.ACL_PROFILE,
    "MsgVpnQueue": schema.QUEUE,
    "MsgVpnReplayLog": schema.REPLAY_LOG,
}
KINDS = {"boolean": ("flag",), "integer": ("number",), "string": ("text", "choice")}


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the official SEMP documents are not beside the checkout")
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

"""What becomes of the fields of a message on its way through a bridge: none is forgotten."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from crep.enrichment.load import load_bridge
from crep.harness.brokers.contract import Message
from crep.harness.brokers.streams import message_of

BRIDGE = """
bridge: trial
sites: {inside: {target: a}, outside: {target: b}}
routes:
  orders:
    from: {site: inside, topic: in, group: g}
    to: {site: outside, topic: out}
    dead_letters: {site: outside, topic: dead}
"""
CAME = Message(
    topic="in",
    payload=b"{}",
    key="k",
    properties={"origin": "shop"},
    message_id="m-1",
    correlation_id="c-1",
    reply_to="answers",
    content_type="application/json",
    ttl_ms=1000,
    priority=3,
    redelivered=True,
    delivery_count=2,
    null_payload=True,
    position="in[0]@7",
    stored_ms=1,
    token=object(),
)
CHANGED = {"topic": "out", "properties": {"origin": "shop", "crep-hops": "trial"}}
OF_THE_DELIVERY = {"redelivered", "delivery_count", "null_payload", "position", "stored_ms", "token"}


def test_a_message_keeps_all_but_what_was_of_its_delivery(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_text(BRIDGE)
    with load_bridge(tmp_path / "bridge.yaml") as bridge:
        [out] = bridge.pipelines["orders"].process(CAME).out
    empty = Message("", b"")
    for field in fields(Message):
        came, went = getattr(CAME, field.name), getattr(out, field.name)
        assert came != getattr(empty, field.name), f"the test gives no {field.name}"
        expected = getattr(empty, field.name) if field.name in OF_THE_DELIVERY else CHANGED.get(field.name, came)
        assert went == expected, field.name


def test_a_message_made_of_fields_is_as_one_that_is_constructed() -> None:
    given = {field.name: getattr(CAME, field.name) for field in fields(Message)}
    assert message_of(given) == CAME
    assert message_of({"topic": "in", "payload": b"x", "properties": {}}) == Message("in", b"x")

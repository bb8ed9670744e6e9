"""What happens to one message between its source and its sink. No input or output but that of lookups.

::

    Message ─► loop? ─► decode ─► steps ─► (topic, key, properties) ─► encode ─► Message(s)
                 │         │         │              │
                 ▼         ▼         ▼              ▼
              filtered   StepFailed, with the step's name: the dead letter's reason

A message either goes out whole (every part that it was split into) or fails whole: parts are made before any is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crep.enrichment.codecs import Codec
from crep.enrichment.record import Property, Record, StepFailed
from crep.enrichment.steps import Compiled, Drop
from crep.enrichment.template import Template
from crep.harness.brokers.contract import Message

HOPS = "crep-hops"
"""The property that names the bridges that a message has passed, comma-separated: one's own name there is a loop."""
LOOP = "loop"
"""The step that filters such a message."""
DECODE, ENCODE, DESTINATION = "decode", "encode", "destination"


@dataclass(frozen=True)
class Processed:
    """What came of one message: what goes out, and how many parts each step filtered, by its name."""

    out: tuple[Message, ...]
    filtered: dict[str, int]

    @property
    def parts(self) -> int:
        """Into how many it was split; 1 if not at all, 0 if into none."""
        return len(self.out) + sum(self.filtered.values())


@dataclass(frozen=True)
class Outgoing:
    """How a record becomes a message: templates and what is taken over."""

    topic: Template
    key: Template | None
    properties: Sequence[tuple[str, Template]]
    remove_properties: frozenset[str]
    ttl_ms: int | None
    priority: int | None


class Pipeline:
    """Decode, steps, encode of one route. Used by several threads where the route has workers.

    Args:
        bridge: the bridge's name, the mark against loops.
        decode: codec of what comes.
        steps: in order.
        encode: codec of what goes.
        outgoing: of the destination.
    """

    def __init__(
        self,
        bridge: str,
        decode: Codec,
        steps: Sequence[Compiled],
        encode: Codec,
        outgoing: Outgoing,
    ) -> None:
        self._bridge, self._decode, self._encode, self._outgoing = bridge, decode, encode, outgoing
        self._steps = tuple(steps)
        self.content_type = encode.content_type

    def process(self, message: Message) -> Processed:
        """What goes out for a message.

        Raises:
            StepFailed: it cannot be processed; ``step`` names where.
            LookupFailed: a source does not answer; the message may be tried again.
        """
        hops = _hops(message)
        if self._bridge in hops:
            return Processed((), {LOOP: 1})
        try:
            body = self._decode.decode(message.payload)
        except StepFailed as failure:
            failure.step = DECODE
            raise
        records, filtered = self._walk(Record(message, body))
        return Processed(tuple(self._message(record, hops) for record in records), filtered)

    def _walk(self, record: Record) -> tuple[list[Record], dict[str, int]]:
        records, filtered = [record], dict[str, int]()
        for step in self._steps:
            kept: list[Record] = []
            for one in records:
                try:
                    became = step.act(one)
                except StepFailed as failure:
                    failure.step = step.name
                    raise
                if became is None:
                    kept.append(one)
                elif isinstance(became, Drop):
                    filtered[step.name] = filtered.get(step.name, 0) + 1
                else:
                    kept += became
            records = kept
        return records, filtered

    def _message(self, record: Record, hops: Sequence[str]) -> Message:
        try:
            payload = self._encode.encode(record.body)
        except StepFailed as failure:
            failure.step = ENCODE
            raise
        goes, came = self._outgoing, record.message
        try:
            topic = record.topic if record.topic is not None else goes.topic.render(record)
            key = came.key if goes.key is None else goes.key.render(record)
            properties: dict[str, Property] = {
                name: value for name, value in came.properties.items() if name not in goes.remove_properties
            }
            for name, template in goes.properties:
                properties[name] = template.render(record)
        except StepFailed as failure:
            failure.step = DESTINATION
            raise
        properties[HOPS] = ",".join([*hops, self._bridge])
        return replace(
            came,
            topic=topic,
            payload=payload,
            key=key,
            properties=properties,
            content_type=self.content_type or came.content_type,
            ttl_ms=came.ttl_ms if goes.ttl_ms is None else goes.ttl_ms,
            priority=came.priority if goes.priority is None else goes.priority,
            redelivered=None,
            delivery_count=None,
            null_payload=False,
            position=None,
            stored_ms=None,
            token=None,
        )


def _hops(message: Message) -> list[str]:
    passed: Any = message.properties.get(HOPS)
    return passed.split(",") if isinstance(passed, str) and passed else []

"""What happens to one message between its source and its sink. No input or output but that of lookups.

::

    Message ─► loop? ─► decode ─► steps ─► (topic, key, properties) ─► encode ─► Message(s)
                 │         │         │              │
                 ▼         ▼         ▼              ▼
              filtered   StepFailed, with the step's name: the dead letter's reason

A message either goes out whole (every part that it was split into) or fails whole: parts are made before any is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crep.enrichment.codecs import Codec
from crep.enrichment.record import Record, StepFailed
from crep.enrichment.steps import Compiled, Drop
from crep.enrichment.template import Template
from crep.harness.brokers.contract import Message
from crep.harness.brokers.streams import message_of

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
        self._bridge, self._decode = bridge, decode.decode
        self._compose = _composer(encode, outgoing)
        self._acts = tuple((step.name, step.act) for step in steps)
        self.content_type = encode.content_type

    def process(self, message: Message) -> Processed:
        """What comes of a message. Raises as ``forward`` does."""
        became = self.forward(message)
        return became if isinstance(became, Processed) else Processed((became,), {})

    def forward(self, message: Message) -> Message | Processed:
        """The same: just the message that goes out where it is one and nothing was filtered, as nearly always.

        Raises:
            StepFailed: it cannot be processed; ``step`` names where.
            LookupFailed: a source does not answer; the message may be tried again.
        """
        passed, hops = message.properties.get(HOPS), self._bridge
        if isinstance(passed, str) and passed:
            if hops in passed.split(","):
                return Processed((), {LOOP: 1})
            hops = f"{passed},{hops}"
        try:
            body = self._decode(message.payload)
        except StepFailed as failure:
            failure.step = DECODE
            raise
        record = Record(message, body)
        for place, (name, act) in enumerate(self._acts):
            try:
                became = act(record)
            except StepFailed as failure:
                failure.step = name
                raise
            if became is not None:
                return self._several(became, place, hops)
        return self._compose(record, hops)

    def _several(self, became: Drop | list[Record], place: int, hops: str) -> Processed:
        """From a step on that did not let its record go on as it is: what comes of all that it became."""
        filtered: dict[str, int] = {}
        records = _kept(became, self._acts[place][0], filtered)
        for name, act in self._acts[place + 1 :]:
            kept: list[Record] = []
            for record in records:
                try:
                    result = act(record)
                except StepFailed as failure:
                    failure.step = name
                    raise
                kept += [record] if result is None else _kept(result, name, filtered)
            records = kept
        return Processed(tuple([self._compose(record, hops) for record in records]), filtered)


def _composer(encode: Codec, goes: Outgoing) -> Callable[[Record, str], Message]:
    """What makes a message of a record; all that is the same for every message of the route is looked up here."""
    encoded, content_type = encode.encode, encode.content_type
    topic_of, key_of = goes.topic.render, None if goes.key is None else goes.key.render
    remove, add = tuple(goes.remove_properties), tuple((name, template.render) for name, template in goes.properties)
    ttl_ms, priority = goes.ttl_ms, goes.priority

    def compose(record: Record, hops: str) -> Message:
        try:
            payload = encoded(record.body)
        except StepFailed as failure:
            failure.step = ENCODE
            raise
        came = record.message
        properties = dict(came.properties)
        try:
            topic = record.topic
            if topic is None:
                topic = topic_of(record)
            key = came.key if key_of is None else key_of(record)
            for name in remove:
                properties.pop(name, None)
            for name, value_of in add:
                properties[name] = value_of(record)
            properties[HOPS] = hops
        except StepFailed as failure:
            failure.step = DESTINATION
            raise
        return message_of(
            {
                "topic": topic,
                "payload": payload,
                "key": key,
                "properties": properties,
                "message_id": came.message_id,
                "correlation_id": came.correlation_id,
                "reply_to": came.reply_to,
                "content_type": content_type or came.content_type,
                "ttl_ms": came.ttl_ms if ttl_ms is None else ttl_ms,
                "priority": came.priority if priority is None else priority,
            }
        )

    return compose


def _kept(became: Drop | list[Record], step: str, filtered: dict[str, int]) -> list[Record]:
    if not isinstance(became, Drop):
        return became
    filtered[step] = filtered.get(step, 0) + 1
    return []

"""Examples beside a bridge's routes, carried out like unit tests: no broker is needed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from crep.enrichment.config import Example, ExampleMessage
from crep.enrichment.load import Bridge
from crep.enrichment.lookups import LookupFailed
from crep.enrichment.pipeline import HOPS
from crep.enrichment.record import StepFailed
from crep.harness.brokers.contract import Message


@dataclass(frozen=True)
class Checked:
    """One example; ``differences`` is empty where it holds."""

    name: str
    differences: tuple[str, ...]


def check_examples(bridge: Bridge) -> Iterator[Checked]:
    """Carry out every example."""
    for example in bridge.file.examples:
        yield Checked(example.name, tuple(_differences(bridge, example)))


def _differences(bridge: Bridge, example: Example) -> Iterator[str]:
    try:
        processed = bridge.pipelines[example.route].process(message_of(example.input))
    except StepFailed as failure:
        if example.dead_letter is None:
            yield f"is dead-lettered by step {failure.step!r}: {failure.reason}"
        elif example.dead_letter not in failure.reason:
            yield f"the reason is {failure.reason!r}, without {example.dead_letter!r}"
        return
    except LookupFailed as failure:
        yield f"a lookup does not answer: {failure}"
        return
    if example.dead_letter is not None:
        yield "is not dead-lettered: " + _became(processed.out, processed.filtered)
    elif example.filtered is not None:
        if set(processed.filtered) != {example.filtered} or processed.out:
            yield f"is not filtered by {example.filtered!r}: " + _became(processed.out, processed.filtered)
    else:
        yield from _compare(example.output or [], processed.out, processed.filtered)


def _compare(expected: list[ExampleMessage], out: tuple[Message, ...], filtered: dict[str, int]) -> Iterator[str]:
    if len(expected) != len(out):
        yield f"{len(expected)} messages are expected: " + _became(out, filtered)
        return
    for place, (wanted, got) in enumerate(zip(expected, out, strict=True), 1):
        where = f"message {place}: " if len(out) > 1 else ""
        if wanted.topic and wanted.topic != got.topic:
            yield f"{where}topic is {got.topic!r}, not {wanted.topic!r}"
        if wanted.key is not None and wanted.key != got.key:
            yield f"{where}key is {got.key!r}, not {wanted.key!r}"
        properties = {name: value for name, value in got.properties.items() if name != HOPS}
        for name, value in wanted.properties.items():
            if properties.get(name) != value:
                yield f"{where}property {name} is {properties.get(name)!r}, not {value!r}"
        yield from _payloads(where, wanted, got.payload)


def _payloads(where: str, wanted: ExampleMessage, got: bytes) -> Iterator[str]:
    if wanted.json_ is None:
        if _payload(wanted) not in (b"", got):
            yield f"{where}payload is {got!r:.200}, not {_payload(wanted)!r:.200}"
        return
    try:
        found = orjson.loads(got)
    except orjson.JSONDecodeError:
        yield f"{where}payload is no JSON: {got!r:.200}"
        return
    yield from _fields(where, wanted.json_, found, "")


def _fields(where: str, wanted: Any, got: Any, path: str) -> Iterator[str]:
    """Each field that differs, by its path."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name in dict.fromkeys([*wanted, *got]):
            below = f"{path}.{name}" if path else name
            if name not in got:
                yield f"{where}{below} is missing, where {wanted[name]!r} is expected"
            elif name not in wanted:
                yield f"{where}{below} is {got[name]!r}, and not expected"
            else:
                yield from _fields(where, wanted[name], got[name], below)
    elif wanted != got or isinstance(wanted, bool) != isinstance(got, bool):
        yield f"{where}{path or 'the body'} is {got!r}, not {wanted!r}"


def _became(out: tuple[Message, ...], filtered: dict[str, int]) -> str:
    went = [f"to {message.topic!r}: {message.payload!r:.120}" for message in out]
    gone = [f"filtered by {name!r}" + (f" ({count})" if count > 1 else "") for name, count in filtered.items()]
    return "; ".join(went + gone) or "nothing came of it"


def message_of(example: ExampleMessage) -> Message:
    """The message that an example describes."""
    properties = {name: value for name, value in example.properties.items() if value is not None}
    return Message(example.topic, _payload(example), example.key, properties)


def _payload(example: ExampleMessage) -> bytes:
    if example.json_ is not None:
        return orjson.dumps(example.json_)
    if example.base64 is not None:
        try:
            return base64.b64decode(example.base64, validate=True)
        except binascii.Error:
            return b""
    return (example.text or "").encode()

"""What cannot be combined where messages are given up, expire, or are meant to go wrong."""

from __future__ import annotations

from collections.abc import Iterator

from crep.harness.config.units import format_size
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.load_model import Load
from crep.harness.scenario.model import Channel, Definition, can_fail

SMALLEST_MAX_SIZE = 8 << 10
"""Bytes. Brokers measure a message with its headers, so the limit that is set has a few KiB more than the payload."""
_RESERVED = ("crep-", "JMSX")


def message_problems(definition: Definition) -> list[Problem]:
    """Every such combination that makes no sense."""
    problems = [problem for name, channel in definition.channels.items() for problem in _channel(name, channel)]
    for entry, load in enumerate(definition.load):
        if load.to in definition.channels:
            problems += _load(load, definition.channels[load.to], ("load", entry))
        if load.message.file is not None and definition.measure.carrier == "payload":
            text = "a document would be spoiled by a stamp before it: write 'carrier: property' under 'measure'"
            problems.append(Problem(("load", entry, "message", "file"), text))
    return problems


def _channel(name: str, channel: Channel) -> Iterator[Problem]:
    loc: Loc = ("channels", name)
    if channel.dead_letters is not None and not any(map(can_fail, channel.readers.values())):
        text = "no reader of the channel is at-least-once and acknowledges after processing, so none can fail a message"
        yield Problem((*loc, "dead_letters"), text, at_key=True)
    if channel.max_size is not None and channel.max_size < SMALLEST_MAX_SIZE:
        text = f"{format_size(channel.max_size)} is too near to the size of headers for a broker's limit to be exact"
        yield Problem((*loc, "max_size"), f"{text}; write at least {format_size(SMALLEST_MAX_SIZE)}")


def _load(load: Load, channel: Channel, loc: Loc) -> Iterator[Problem]:
    yield from _properties(load, loc)
    if load.message.ttl is not None and load.mode == "direct":
        text = "a direct message is not kept, so it does not outlive its time; write 'mode: guaranteed'"
        yield Problem((*loc, "message", "ttl"), text)
    for index, (size, _) in enumerate(load.message.size_choices):
        if channel.max_size is not None and size > channel.max_size:
            place = ("message", "size") if load.message.size else ("message", "sizes", index, "size")
            text = f"{format_size(size)} is more than channel {load.to!r} takes: its max_size is"
            yield Problem((*loc, *place), f"{text} {format_size(channel.max_size)}")
    if load.defects is not None:
        yield from _defects(load, channel, (*loc, "defects"))


def _properties(load: Load, loc: Loc) -> Iterator[Problem]:
    for name in load.message.properties or {}:
        if not name or name.startswith(_RESERVED):
            text = f"{name!r} is no name for a property: {' and '.join(map(repr, _RESERVED))} begin those of crep and"
            yield Problem((*loc, "message", "properties", name), f"{text} of the broker")


def _defects(load: Load, channel: Channel, loc: Loc) -> Iterator[Problem]:
    defects = load.defects
    assert defects is not None  # noqa: S101 - asked before
    poison, oversize = defects.poison or 0.0, defects.oversize or 0.0
    if not poison and not oversize:
        yield Problem(loc, "names no defect; write for example {poison: 1 %}", at_key=True)
    if poison + oversize > 1:
        yield Problem(loc, f"the shares add up to {(poison + oversize) * 100:.6g} %", at_key=True)
    if load.mode == "direct":
        text = "a direct message is neither refused nor delivered again; write 'mode: guaranteed'"
        yield Problem(loc, text, at_key=True)
    if poison and channel.dead_letters is None:
        text = f"would be delivered again for ever: give channel {load.to!r} 'dead_letters: {{after_deliveries: 3}}'"
        yield Problem((*loc, "poison"), text)
    if oversize and load.message.file is not None:
        yield Problem((*loc, "oversize"), "a document has the size that it has; take 'size' instead of 'file'")
    if oversize and channel.max_size is None:
        text = f"larger than what? Give channel {load.to!r} a 'max_size', for example 64 KiB"
        yield Problem((*loc, "oversize"), text)

"""What cannot be combined in a scenario: each rule finds its problems with the place where they stand.

The model has checked every value by itself before; these rules check values against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.actions.messages import Replay
from crep.harness.scenario.assignment import cycle_counts
from crep.harness.scenario.expectation import Expectation, parse_expectation
from crep.harness.scenario.load_rules import load_problems
from crep.harness.scenario.message_rules import message_problems
from crep.harness.scenario.model import Channel, Definition, ExpectEntry, Reader, can_fail, logical_readers
from crep.harness.scenario.timeline_rules import timeline_problems
from crep.harness.scenario.topics import selection
from crep.harness.scenario.via_rules import READER, forwarding, via_problems

MOST_KEYS = 10_000_000


def check(definition: Definition, requirements: Mapping[str, str]) -> list[Problem]:
    """Every combination that makes no sense, in no particular order; empty for a good scenario."""
    problems = [
        *_sites(definition),
        *_channels(definition),
        *load_problems(definition),
        *message_problems(definition),
        *via_problems(definition),
        *_requirements(definition, requirements),
    ]
    if not problems:  # times and subjects mean nothing while the load and the names are wrong
        problems = [*timeline_problems(definition), *_expectations(definition)]
    return problems


def _sites(definition: Definition) -> Iterator[Problem]:
    sites = definition.sites
    for index, site in enumerate(sites):
        if site in sites[:index]:
            yield Problem(("sites", index), f"site {site!r} is named twice")
        if site not in {definition.site_of(channel) for channel in definition.channels}:
            yield Problem(("sites", index), f"no channel is at site {site!r}")
    for name, channel in definition.channels.items():
        if channel.site is None and len(sites) > 1:
            text = f"needs 'site', because there are several: {', '.join(sites)}"
            yield Problem(("channels", name), text, at_key=True)
        elif channel.site is not None and channel.site not in sites:
            text = f"there is no site {channel.site!r}{nearest(channel.site, sites)}"
            yield Problem(("channels", name, "site"), text)


def _channels(definition: Definition) -> Iterator[Problem]:
    for name, channel in definition.channels.items():
        topics = _topics(name, definition)
        if channel.via is None:
            yield from _published(name, channel, definition)
        yield from _readers(name, channel, topics, definition)


def _published(name: str, channel: Channel, definition: Definition) -> Iterator[Problem]:
    """A channel that publishers send to."""
    loc: Loc = ("channels", name)
    topics = channel.concrete_topics
    if len(set(topics)) < len(topics):
        twice = next(topic for index, topic in enumerate(topics) if topic in topics[:index])
        yield Problem((*loc, "topics"), f"topic {twice!r} comes from two templates")
    loads = [load for load in definition.load if load.to == name]
    yield from _keys(channel, len(topics), sum(load.publishers for load in loads), loc)
    if not loads:
        yield Problem(loc, "no load entry sends to this channel", at_key=True)


def _readers(name: str, channel: Channel, topics: tuple[str, ...], definition: Definition) -> Iterator[Problem]:
    loc: Loc = ("channels", name)
    logical_ones = logical_readers(definition)[name]
    expanded = [logical for names in logical_ones.values() for logical in names]
    if not channel.readers and not any(one.via and one.via.from_ == name for one in definition.channels.values()):
        yield Problem(loc, "needs 'readers', because no service takes its messages", at_key=True)
    for reader, content in channel.readers.items():
        place = (*loc, "readers", reader)
        if reader.startswith(READER):
            yield Problem(place, f"names that begin with {READER!r} are those of services", at_key=True)
        if reader in definition.channels:
            yield Problem(place, "a channel has the same name; expectations could not tell them apart", at_key=True)
        for logical in logical_ones[reader]:
            if expanded.count(logical) > 1:
                text = f"member {logical!r} of a reader with 'share: all' would have the name of another reader"
                yield Problem(place, text, at_key=True)
        if content.acknowledge == "on-receipt" and content.delivery == "at-most-once":
            text = "an at-most-once reader acknowledges nothing; take it out, or make the reader at-least-once"
            yield Problem((*place, "acknowledge"), text)
        if content.filter is not None and topics and not selection(content.filter.topic, topics).any():
            text = f"{content.filter.topic!r} selects none of the channel's topics, for example {topics[0]!r}"
            yield Problem((*place, "filter", "topic"), text)


def _topics(name: str, definition: Definition) -> tuple[str, ...]:
    """The topics that messages of a channel can have; none where that cannot be said, which is told elsewhere."""
    via = definition.channels[name].via
    if via is None:
        return definition.channels[name].concrete_topics
    source = definition.channels.get(via.from_)
    if source is None or source.via is not None:
        return ()
    try:
        made = forwarding(via, definition)
    except ValueError:
        return ()
    return tuple(topic for topic, kept in zip(made.topics, made.kept.tolist(), strict=True) if kept)


def _keys(channel: Channel, topics: int, publishers: int, loc: Loc) -> Iterator[Problem]:
    if topics > channel.key_count:
        text = f"{channel.key_count} keys cannot cover {topics} topics, because each key has one topic"
        yield Problem((*loc, "keys"), text)
    if channel.key_count > MOST_KEYS:
        text = f"{channel.key_count:,} keys need more memory than clients have: each of them holds every key, in about"
        yield Problem((*loc, "keys"), f"{text} 40 B; write at most {MOST_KEYS:,}")
    elif channel.key_skew and 0 < publishers <= channel.key_count:
        try:
            cycle_counts(-(-channel.key_count // publishers), channel.key_skew)
        except ValueError as error:
            yield Problem((*loc, "keys", "skew"), str(error))


def _requirements(definition: Definition, requirements: Mapping[str, str]) -> Iterator[Problem]:
    named: list[tuple[Loc, str]] = [(("evidences", index), name) for index, name in enumerate(definition.evidences)]
    for place, entry in enumerate(definition.expect):
        if isinstance(entry, ExpectEntry):
            named += [(("expect", place, "evidences", index), name) for index, name in enumerate(entry.evidences)]
    for loc, name in named:
        if name not in requirements:
            yield Problem(loc, f"there is no requirement {name!r}{nearest(name, requirements)}")


def expectations(definition: Definition) -> Iterator[tuple[Loc, Expectation | ValueError]]:
    """Each line of ``expect:`` with its place: understood, or what is wrong with it."""
    readers = logical_readers(definition)
    loc: Loc
    for index, entry in enumerate(definition.expect):
        if isinstance(entry, ExpectEntry):
            loc, text, evidences = ("expect", index, "that"), entry.that, entry.evidences
        else:
            loc, text, evidences = ("expect", index), entry, definition.evidences
        try:
            yield loc, parse_expectation(text, readers).evidencing(evidences)
        except ValueError as error:
            yield loc, error


def _expectations(definition: Definition) -> Iterator[Problem]:
    for loc, expectation in expectations(definition):
        if isinstance(expectation, ValueError):
            yield Problem(loc, str(expectation))
        elif reason := _cannot_fail(expectation, definition):
            yield Problem(loc, f"{expectation.name} {reason}")


def _cannot_fail(expectation: Expectation, definition: Definition) -> str | None:
    """Why the expectation could never be judged, or could never fail; None for a good one."""
    needs_fault = expectation.metric.name in ("outage", "recovery") or expectation.when == "during faults"
    if needs_fault and not definition.actions:
        return "needs a fault, and the timeline has none"
    modes = {load.mode for load in definition.loads_of(expectation.channel)}
    if modes == {"direct"} and expectation.metric.name in ("lost", "acknowledge", "outage"):
        return "needs acknowledgements, and all load of the channel is direct: what is missing counts as missing"
    channel = definition.channels[expectation.channel]
    if channel.via is not None and not expectation.readers and expectation.metric.name != "recovery":
        return f"is about publishers, and {expectation.channel!r} is filled by a service: write {channel.via.from_!r}"
    if reason := _nothing_goes_wrong(expectation.metric.name, expectation.channel, channel, definition):
        return reason
    names = logical_readers(definition)[expectation.channel]
    for name, reader in channel.readers.items():
        if names[name] == expectation.readers:
            return _always_zero(expectation.metric.name, name, reader, modes)
    return None


def _nothing_goes_wrong(metric: str, name: str, channel: Channel, definition: Definition) -> str | None:
    """Why a count of what went wrong on purpose is 0 whatever the broker does."""
    loads = definition.loads_of(name)
    if metric in ("dead_lettered", "misplaced") and channel.dead_letters is None:
        return f"is always 0, because channel {name!r} has no dead_letters"
    if metric == "replay" and not any(isinstance(one, Replay) and one.channel == name for one in definition.actions):
        return f"needs a replay, and the timeline has none of channel {name!r}"
    if metric == "expired" and not any(load.message.ttl for load in loads):
        return f"is always 0, because no message of channel {name!r} has a ttl"
    if metric == "oversize_accepted" and not any(load.defects and load.defects.oversize for load in loads):
        return f"is always 0, because no load entry of channel {name!r} has oversize defects"
    return None


def _always_zero(metric: str, name: str, reader: Reader, modes: Set[str]) -> str | None:
    """Why a count of this reader is 0 whatever the broker does."""
    at_most_once = reader.delivery == "at-most-once"
    cases = (
        (
            not can_fail(reader) and metric in ("dead_lettered", "misplaced"),
            "is at-most-once or acknowledges on receipt: it cannot fail a message",
        ),
        (at_most_once and metric == "expired", "is at-most-once: nothing is kept for it"),
        (at_most_once and metric in ("lost", "pending"), "is at-most-once: what is missing counts as missing"),
        (at_most_once and metric == "reordered", "is at-most-once: disorder is allowed there"),
        (reader.order == "none" and metric == "reordered", "asks for no order; give it 'order: per-key'"),
        (
            not at_most_once and modes == {"guaranteed"} and metric == "missing",
            "may miss nothing: what it misses is lost; write 'lost'",
        ),
    )
    return next((f"is always 0, because reader {name!r} {why}" for holds, why in cases if holds), None)

"""What cannot be combined in a scenario: each rule finds its problems with the place where they stand.

The model has checked every value by itself before; these rules check values against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from itertools import combinations

from crep.harness.config.suggest import nearest
from crep.harness.config.units import format_duration, format_size
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.expectation import Expectation, parse_expectation
from crep.harness.scenario.model import Burst, Definition, ExpectEntry, Hold, KillBroker, Load, Ramp, Reader
from crep.harness.scenario.profile import Profile, Segment, burst, hold, ramp
from crep.harness.scenario.topics import selection

STAMP_BYTES = 40  # METHOD rule 2
MOST_PUBLISHERS = 1 << 16  # a stamp has 16 bits for the publisher
LARGEST_MESSAGE = 1 << 30


def check(definition: Definition, requirements: Mapping[str, str]) -> list[Problem]:
    """Every combination that makes no sense, in no particular order; empty for a good scenario."""
    problems = [
        *_sites(definition),
        *_channels(definition),
        *_loads(definition),
        *_requirements(definition, requirements),
    ]
    if not problems:  # times and subjects mean nothing while the load and the names are wrong
        problems = [*_timeline(definition), *_expectations(definition)]
    return problems


def logical_readers(definition: Definition) -> dict[str, dict[str, tuple[str, ...]]]:
    """Channel → reader as written → logical readers: with ``share: all`` each member is a reader of its own."""
    return {
        channel: {
            name: tuple(f"{name}-{member}" for member in range(1, reader.members + 1))
            if reader.share == "all" and reader.members > 1
            else (name,)
            for name, reader in content.readers.items()
        }
        for channel, content in definition.channels.items()
    }


def profile_of(load: Load, warm_up_s: float) -> Profile:
    """The load entry's profile.

    Raises:
        ProfileError: a part refers to the rate before it and there is none, or a burst is longer than its interval.
    """
    segments: list[Segment] = []
    for index, part in enumerate(load.rate.total):
        before = segments[-1].end if segments else None
        if isinstance(part, Hold):
            segments += hold(part.hold, part.for_)
        elif isinstance(part, Ramp):
            start = part.from_ or before
            if start is None:
                raise ProfileError(index, "a ramp at the beginning needs 'from', the rate that it starts at")
            segments += ramp(start, part.ramp, part.over)
        else:
            segments += _burst(part, before, index)
    return Profile(tuple(segments), warm_up_s)


class ProfileError(ValueError):
    """Part ``index`` of a profile makes no sense."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


def _burst(part: Burst, before: float | None, index: int) -> Iterator[Segment]:
    if before is None:
        raise ProfileError(index, "a burst needs a rate before it; begin with {hold: …, for: …}")
    every = part.every or part.for_
    if every < part.for_:
        text = f"a burst of {format_duration(part.for_)} cannot come every {format_duration(every)}"
        raise ProfileError(index, text)
    return iter(burst(before, part.burst, part.for_, every, part.times))


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
    readers = logical_readers(definition)
    loaded = {load.to for load in definition.load}
    for name, channel in definition.channels.items():
        loc: Loc = ("channels", name)
        topics = channel.concrete_topics
        if len(set(topics)) < len(topics):
            twice = next(topic for index, topic in enumerate(topics) if topic in topics[:index])
            yield Problem((*loc, "topics"), f"topic {twice!r} comes from two templates")
        if len(topics) > channel.keys:
            text = f"{channel.keys} keys cannot cover {len(topics)} topics, because each key has one topic"
            yield Problem((*loc, "keys"), text)
        if name not in loaded:
            yield Problem(loc, "no load entry sends to this channel", at_key=True)
        expanded = [logical for names in readers[name].values() for logical in names]
        for reader, content in channel.readers.items():
            place = (*loc, "readers", reader)
            if reader in definition.channels:
                yield Problem(place, "a channel has the same name; expectations could not tell them apart", at_key=True)
            for logical in readers[name][reader]:
                if expanded.count(logical) > 1:
                    text = f"member {logical!r} of a reader with 'share: all' would have the name of another reader"
                    yield Problem(place, text, at_key=True)
            if content.filter is not None and not selection(content.filter.topic, topics).any():
                text = f"{content.filter.topic!r} selects none of the channel's topics, for example {topics[0]!r}"
                yield Problem((*place, "filter", "topic"), text)


def _loads(definition: Definition) -> Iterator[Problem]:
    by_channel: dict[str, int] = {}
    for index, load in enumerate(definition.load):
        loc: Loc = ("load", index)
        if load.to not in definition.channels:
            text = f"there is no channel {load.to!r}{nearest(load.to, definition.channels)}"
            yield Problem((*loc, "to"), text)
            continue
        by_channel[load.to] = by_channel.get(load.to, 0) + load.publishers
        keys = definition.channels[load.to].keys
        if by_channel[load.to] > keys:
            text = (
                f"{by_channel[load.to]} publishers of channel {load.to!r} cannot share its {keys} keys: "
                "each key belongs to one publisher"
            )
            yield Problem((*loc, "publishers"), text)
        yield from _message_sizes(load, loc, definition.measure.carrier)
        yield from _profile(load, loc, definition.measure.warm_up)
    if sum(by_channel.values()) > MOST_PUBLISHERS:
        yield Problem(("load",), f"there can be {MOST_PUBLISHERS} publishers in all, not {sum(by_channel.values())}")


def _message_sizes(load: Load, loc: Loc, carrier: str) -> Iterator[Problem]:
    smallest = STAMP_BYTES if carrier == "payload" else 1
    for index, (size, _) in enumerate(load.message.size_choices):
        place = (*loc, "message", "size") if load.message.size else (*loc, "message", "sizes", index, "size")
        if size < smallest:
            text = f"{format_size(size)} is smaller than crep's stamp of {STAMP_BYTES} B, which the payload carries"
            yield Problem(place, f"{text}; take a larger size or 'carrier: property'")
        if size > LARGEST_MESSAGE:
            yield Problem(place, f"no target takes a message of {format_size(size)}")


def _profile(load: Load, loc: Loc, warm_up_s: float) -> Iterator[Problem]:
    try:
        profile = profile_of(load, warm_up_s)
    except ProfileError as error:
        yield Problem((*loc, "rate", "total", error.index), str(error))
        return
    measured = profile.count - profile.warm_up_count
    if measured < load.publishers:
        text = f"the profile has {measured} messages, so {load.publishers} publishers cannot send one each"
        yield Problem((*loc, "publishers"), text)


def _requirements(definition: Definition, requirements: Mapping[str, str]) -> Iterator[Problem]:
    named: list[tuple[Loc, str]] = [(("evidences", index), name) for index, name in enumerate(definition.evidences)]
    for place, entry in enumerate(definition.expect):
        if isinstance(entry, ExpectEntry):
            named += [(("expect", place, "evidences", index), name) for index, name in enumerate(entry.evidences)]
    for loc, name in named:
        if name not in requirements:
            yield Problem(loc, f"there is no requirement {name!r}{nearest(name, requirements)}")


def measured_s(definition: Definition) -> float:
    """Length of the longest profile."""
    return max(profile_of(load, 0).duration_s for load in definition.load)


def leader_of(node: str | None) -> str | None:
    """The channel of ``leader-of CHANNEL``; None for anything else."""
    words = (node or "").split()
    return words[1] if len(words) == 2 and words[0] == "leader-of" else None


def _timeline(definition: Definition) -> Iterator[Problem]:
    kills = [(index, event) for index, event in enumerate(definition.timeline) if isinstance(event, KillBroker)]
    for index, event in kills:
        yield from _when(event, ("timeline", index), definition)
        yield from _where(event, ("timeline", index), definition)
    for (_, one), (index, other) in combinations(sorted(kills, key=lambda pair: pair[1].at), 2):
        same = event_site(one, definition) == event_site(other, definition) and one.node == other.node
        up_again = one.at + one.restart_after if one.restart_after is not None else float("inf")
        if same and other.at <= up_again:
            text = f"the broker that was killed at {format_duration(one.at)} is still down then"
            yield Problem(("timeline", index, "at"), text)


def event_site(event: KillBroker, definition: Definition) -> str:
    """Where it happens: the site that is given, or that of the channel whose leader is meant, or the only one."""
    channel = leader_of(event.node)
    if event.site is None and channel in definition.channels:
        return definition.site_of(channel)
    return event.site or definition.sites[0]


def _when(event: KillBroker, loc: Loc, definition: Definition) -> Iterator[Problem]:
    end = measured_s(definition)
    if event.at >= end:
        yield Problem((*loc, "at"), f"the profile ends at {format_duration(end)}, so this would never happen")
    elif event.restart_after is None:
        if definition.durability.copies == 1:
            text = "with one copy of each message, all is lost with a broker that stays down; give 'restart_after'"
            yield Problem((*loc, "do"), text)
    elif event.at + event.restart_after >= end:
        text = f"the broker would start again at {format_duration(event.at + event.restart_after)}, after the end of "
        yield Problem((*loc, "restart_after"), f"{text}the profile at {format_duration(end)}")


def _where(event: KillBroker, loc: Loc, definition: Definition) -> Iterator[Problem]:
    sites, channel = definition.sites, leader_of(event.node)
    if event.node is not None and " " in event.node.strip() and channel is None:
        yield Problem((*loc, "node"), f"{event.node!r} is not understood; write 'leader-of CHANNEL' or a node's name")
    if channel is not None and channel not in definition.channels:
        yield Problem((*loc, "node"), f"there is no channel {channel!r}{nearest(channel, definition.channels)}")
    elif event.site is not None and event.site not in sites:
        yield Problem((*loc, "site"), f"there is no site {event.site!r}{nearest(event.site, sites)}")
    elif event.site is not None and channel is not None and definition.site_of(channel) != event.site:
        text = f"channel {channel!r} is at site {definition.site_of(channel)!r}, not at {event.site!r}"
        yield Problem((*loc, "site"), text)
    elif event.site is None and channel is None and len(sites) > 1:
        yield Problem(loc, f"needs 'site', because there are several: {', '.join(sites)}", at_key=True)


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
    if needs_fault and not definition.timeline:
        return "needs a fault, and the timeline has none"
    modes = {load.mode for load in definition.load if load.to == expectation.channel}
    if modes == {"direct"} and expectation.metric.name in ("lost", "acknowledge", "outage"):
        return "needs acknowledgements, and all load of the channel is direct: what is missing counts as missing"
    names = logical_readers(definition)[expectation.channel]
    for name, reader in definition.channels[expectation.channel].readers.items():
        if names[name] == expectation.readers:
            return _always_zero(expectation.metric.name, name, reader, modes)
    return None


def _always_zero(metric: str, name: str, reader: Reader, modes: Set[str]) -> str | None:
    """Why a count of this reader is 0 whatever the broker does."""
    at_most_once = reader.delivery == "at-most-once"
    if at_most_once and metric in ("lost", "pending"):
        return f"is always 0, because reader {name!r} is at-most-once: what is missing counts as missing"
    if at_most_once and metric == "reordered":
        return f"is always 0, because reader {name!r} is at-most-once: disorder is allowed there"
    if reader.order == "none" and metric == "reordered":
        return f"is always 0, because reader {name!r} asks for no order; give it 'order: per-key'"
    if not at_most_once and modes == {"guaranteed"} and metric == "missing":
        return f"is always 0, because reader {name!r} may miss nothing: what it misses is lost; write 'lost'"
    return None

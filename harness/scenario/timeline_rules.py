"""What cannot be combined in ``timeline:``, and what an entry of it means."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from crep.harness.config.suggest import nearest
from crep.harness.config.units import format_duration
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.load_rules import measured_s
from crep.harness.scenario.model import Definition, KillBroker, PauseReader, logical_readers


def actions(definition: Definition) -> list[KillBroker | PauseReader]:
    """What the timeline does, in the order of the file."""
    return [event for event in definition.timeline if isinstance(event, KillBroker | PauseReader)]


def leader_of(node: str | None) -> str | None:
    """The channel of ``leader-of CHANNEL``; None for anything else."""
    words = (node or "").split()
    return words[1] if len(words) == 2 and words[0] == "leader-of" else None


def event_site(event: KillBroker, definition: Definition) -> str:
    """Where it happens: the site that is given, or that of the channel whose leader is meant, or the only one."""
    channel = leader_of(event.node)
    if event.site is None and channel in definition.channels:
        return definition.site_of(channel)
    return event.site or definition.sites[0]


def paused(event: PauseReader, definition: Definition) -> tuple[str, tuple[str, ...]]:
    """Channel and logical readers that are meant.

    Raises:
        ValueError: there is none of that name, or several.
    """
    readers = logical_readers(definition)
    channel, dot, name = event.reader.rpartition(".")
    channels = [one for one in readers if name in readers[one] and (not dot or one == channel)]
    if len(channels) > 1:
        raise ValueError(f"reader {name!r} exists in {' and '.join(channels)}; write {channels[0]}.{name}")
    if not channels:
        every_name = {reader for named in readers.values() for reader in named}
        raise ValueError(f"there is no reader {event.reader!r}{nearest(name, every_name)}")
    return channels[0], readers[channels[0]][name]


def timeline_problems(definition: Definition) -> Iterator[Problem]:
    """Every entry that could not happen as it is written."""
    events = [(index, event) for index, event in enumerate(definition.timeline) if event in actions(definition)]
    for index, event in events:
        loc: Loc = ("timeline", index)
        if isinstance(event, KillBroker):
            yield from _when_killed(event, loc, definition)
            yield from _where(event, loc, definition)
        elif isinstance(event, PauseReader):
            yield from _pause(event, loc, definition)
    kills = [(index, event) for index, event in events if isinstance(event, KillBroker)]
    for (_, one), (index, other) in combinations(sorted(kills, key=lambda pair: pair[1].at), 2):
        same = event_site(one, definition) == event_site(other, definition) and one.node == other.node
        up_again = one.at + one.restart_after if one.restart_after is not None else float("inf")
        if same and other.at <= up_again:
            text = f"the broker that was killed at {format_duration(one.at)} is still down then"
            yield Problem(("timeline", index, "at"), text)
    pauses = [(index, event) for index, event in events if isinstance(event, PauseReader)]
    for (_, first), (index, second) in combinations(sorted(pauses, key=lambda pair: pair[1].at), 2):
        if first.reader == second.reader and second.at <= first.at + first.resume_after:
            text = f"the reader that was paused at {format_duration(first.at)} still stands then"
            yield Problem(("timeline", index, "at"), text)


def _ends(at: float, after: float | None, key: str, what: str, loc: Loc, end: float) -> Iterator[Problem]:
    """The entry lies within the measured part, its end too."""
    if at >= end:
        yield Problem((*loc, "at"), f"the profile ends at {format_duration(end)}, so this would never happen")
    elif after is not None and at + after >= end:
        text = f"{what} at {format_duration(at + after)}, after the end of the profile at {format_duration(end)}"
        yield Problem((*loc, key), text)


def _when_killed(event: KillBroker, loc: Loc, definition: Definition) -> Iterator[Problem]:
    end = measured_s(definition)
    yield from _ends(event.at, event.restart_after, "restart_after", "the broker would start again", loc, end)
    if event.at < end and event.restart_after is None and definition.durability.copies == 1:
        text = "with one copy of each message, all is lost with a broker that stays down; give 'restart_after'"
        yield Problem((*loc, "do"), text)


def _pause(event: PauseReader, loc: Loc, definition: Definition) -> Iterator[Problem]:
    end = measured_s(definition)
    yield from _ends(event.at, event.resume_after, "resume_after", "the reader would go on", loc, end)
    try:
        paused(event, definition)
    except ValueError as error:
        yield Problem((*loc, "reader"), str(error))


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

"""What cannot be combined in ``timeline:``, and what an entry of it means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

from crep.harness.config.suggest import nearest
from crep.harness.config.units import format_duration
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.actions.base import Action
from crep.harness.scenario.chaos import Chaos, draw
from crep.harness.scenario.load_rules import measured_s
from crep.harness.scenario.model import Definition, logical_readers
from crep.harness.scenario.node_words import parse_node

MOST_EVENTS = 1_000


class Misplaced(ValueError):
    """A subject that is not there, or not at that site. ``key`` is where that is said; None: nowhere, and it should."""

    def __init__(self, key: str | None, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True)
class Where:
    """What an action acts on: a site, and there a node (as a word), or a channel with readers or publishers."""

    site: str
    node: str | None = None
    channel: str | None = None
    readers: tuple[str, ...] = ()  # logical ones
    publishers: tuple[int, ...] = ()  # numbers, unique in the run


def where(action: Action, definition: Definition) -> Where:
    """What the action acts on.

    Raises:
        Misplaced: the scenario has no such subject, several of that name, or it is at another site.
    """
    meant = action.subjects()
    if meant.reader is not None:
        channel, readers = _readers(meant.reader, definition)
        return Where(_site(action, channel, definition), meant.node, channel, readers)
    if meant.publishers is not None:
        named, publishers = _publishers(meant.publishers, definition)
        return Where(_site(action, named, definition), meant.node, named, (), publishers)
    if meant.channel is not None:
        if meant.channel not in definition.channels:
            raise Misplaced("channel", _no_channel(meant.channel, definition))
        return Where(_site(action, meant.channel, definition), meant.node, meant.channel)
    of = parse_node(meant.node).channel
    if of is not None and of not in definition.channels:
        raise Misplaced("node", _no_channel(of, definition))
    return Where(_site(action, of, definition), meant.node)


def _no_channel(name: str, definition: Definition) -> str:
    return f"there is no channel {name!r}{nearest(name, definition.channels)}"


def _site(action: Action, channel: str | None, definition: Definition) -> str:
    """The site that is given, or that of the channel that is meant, or the only one."""
    sites = definition.sites
    if action.site is not None and action.site not in sites:
        raise Misplaced("site", f"there is no site {action.site!r}{nearest(action.site, sites)}")
    if channel is not None:
        at = definition.site_of(channel)
        if action.site not in (None, at):
            raise Misplaced("site", f"channel {channel!r} is at site {at!r}, not at {action.site!r}")
        return at
    if action.site is None and len(sites) > 1:
        raise Misplaced(None, f"needs 'site', because there are several: {', '.join(sites)}")
    return action.site or sites[0]


def _readers(name: str, definition: Definition) -> tuple[str, tuple[str, ...]]:
    """Channel and logical readers that are meant."""
    readers = logical_readers(definition)
    channel, dot, written = name.rpartition(".")
    channels = [one for one in readers if written in readers[one] and (not dot or one == channel)]
    if len(channels) > 1:
        both = " and ".join(channels)
        raise Misplaced("reader", f"reader {written!r} exists in {both}; write {channels[0]}.{written}")
    if not channels:
        every_name = {reader for named in readers.values() for reader in named}
        raise Misplaced("reader", f"there is no reader {name!r}{nearest(written, every_name)}")
    return channels[0], readers[channels[0]][written]


def _publishers(text: str, definition: Definition) -> tuple[str, tuple[int, ...]]:
    """The channel and the numbers of the publishers that are meant; numbers go through the load entries in order."""
    words = text.split()
    of_entry: list[range] = []
    for load in definition.load:
        first = of_entry[-1].stop if of_entry else 0
        of_entry.append(range(first, first + load.publishers))
    if len(words) == 2 and words[0] == "load":
        if not words[1].isdecimal() or not 1 <= int(words[1]) <= len(of_entry):
            raise Misplaced("publishers", f"there is no load entry {words[1]}; there are 1 to {len(of_entry)}")
        entry = int(words[1]) - 1
        return definition.load[entry].to, tuple(of_entry[entry])
    if text not in definition.channels:
        raise Misplaced("publishers", f"{_no_channel(text, definition)}; one load entry is written 'load 1'")
    entries = (numbers for load, numbers in zip(definition.load, of_entry, strict=True) if load.to == text)
    return text, tuple(number for numbers in entries for number in numbers)


def occurrences(action: Action, end_s: float) -> tuple[float, ...]:
    """When it happens: at its time, and with ``every`` again, as long as it is healed before the end."""
    if action.every is None:
        return (action.at,)
    if action.times is not None:
        return tuple(action.at + number * action.every for number in range(action.times))
    room = end_s - action.at - (action.heal_after_s or 0.0)
    fit = max(1, math.ceil(room / action.every))
    return tuple(action.at + number * action.every for number in range(fit))


def happenings(definition: Definition) -> list[Action]:
    """All that happens, each once, in the order of their times: repeated ones too, and those that are drawn."""
    end = measured_s(definition)
    declared = [
        action.model_copy(update={"at": at, "every": None, "times": None})
        for action in definition.timeline
        for at in occurrences(action, end)
    ]
    drawn = [] if definition.chaos is None else draw(definition.chaos, end, definition.measure.seed, declared)
    return sorted([*declared, *drawn], key=lambda action: action.at)


def timeline_problems(definition: Definition) -> Iterator[Problem]:
    """Every entry that could not happen as it is written."""
    end = measured_s(definition)
    placed: list[tuple[int, Action, Where]] = []
    for index, action in enumerate(definition.timeline):
        loc: Loc = ("timeline", index)
        try:
            placed.append((index, action, where(action, definition)))
        except Misplaced as error:
            yield Problem(loc if error.key is None else (*loc, error.key), str(error), at_key=error.key is None)
        yield from _repeated(action, loc, end)
        yield from _ends(action, loc, end)
        for key, text in action.problems(definition):
            yield Problem((*loc, key), text)
    yield from _overlaps(placed, end)
    if definition.chaos is not None:
        yield from _chaos(definition.chaos, definition, end)


def _chaos(chaos: Chaos, definition: Definition, end: float) -> Iterator[Problem]:
    for index, action in enumerate(chaos.menu):
        loc: Loc = ("chaos", "menu", index)
        try:
            where(action, definition)
        except Misplaced as error:
            yield Problem(loc if error.key is None else (*loc, error.key), str(error))
        for key, text in action.problems(definition):
            yield Problem((*loc, key), text)
        if action.heal_after_s is None:
            yield Problem(loc, f"what comes at random has to end: give {action.HEAL_KEY!r}")
    if end / chaos.mean_gap > MOST_EVENTS:
        yield Problem(("chaos", "mean_gap"), f"that is more than {MOST_EVENTS:,} faults; write a longer one")
    elif not draw(chaos, end, definition.measure.seed):
        text = f"with this seed nothing happens in {format_duration(end)}; write a shorter one, or another 'seed'"
        yield Problem(("chaos", "mean_gap"), text)


def _repeated(action: Action, loc: Loc, end: float) -> Iterator[Problem]:
    if action.times is not None and action.every is None:
        yield Problem((*loc, "times"), "needs 'every', the distance from one to the next")
    if (action.times or 0) > MOST_EVENTS:
        yield Problem((*loc, "times"), f"write at most {MOST_EVENTS:,}")
    elif action.every is not None and (end - action.at) / action.every > MOST_EVENTS and action.times is None:
        yield Problem((*loc, "every"), f"that is more than {MOST_EVENTS:,} times; give 'times', or a longer distance")
    elif action.every is not None and action.EXCLUSIVE:
        if action.heal_after_s is None:
            yield Problem((*loc, "every"), f"it would never end; give {action.HEAL_KEY!r}")
        elif action.every <= action.heal_after_s:
            text = f"must be longer than {action.HEAL_KEY!r}: {action.STILL.format(at='its time')}"
            yield Problem((*loc, "every"), text)


def _ends(action: Action, loc: Loc, end: float) -> Iterator[Problem]:
    """The entry lies within the measured part, its end too, and the ends of its repetitions."""
    lasts = action.heal_after_s
    last = action.at + (action.every or 0.0) * ((action.times or 1) - 1)
    if action.at >= end:
        yield Problem((*loc, "at"), f"the profile ends at {format_duration(end)}, so this would never happen")
    elif lasts is not None and last + lasts >= end:
        text = f"{action.ENDS} at {format_duration(last + lasts)}, after the end of the profile at"
        key = action.HEAL_KEY if lasts and last == action.at else "times" if action.times is not None else "at"
        yield Problem((*loc, key), f"{text} {format_duration(end)}")


def _overlaps(placed: list[tuple[int, Action, Where]], end: float) -> Iterator[Problem]:
    """Of two that exclude each other on one subject the later one comes after the earlier one is healed."""
    times = {index: occurrences(action, end) for index, action, _ in placed if action.EXCLUSIVE}
    exclusive = [entry for entry in placed if entry[0] in times]
    for one, other in combinations(exclusive, 2):
        if one[1].EXCLUSIVE != other[1].EXCLUSIVE or one[2] != other[2]:
            continue
        happenings = [(at, index, action) for index, action, _ in (one, other) for at in times[index]]
        happenings.sort(key=lambda happening: happening[:2])
        for (at, first, action), (then, second, _) in pairwise(happenings):
            over = float("inf") if action.heal_after_s is None else at + action.heal_after_s
            if first != second and then <= over:
                yield Problem(("timeline", second, "at"), action.STILL.format(at=format_duration(at)))
                break

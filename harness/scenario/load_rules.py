"""What cannot be combined in ``load:``, and what no machine could do; and the schedule that an entry stands for."""

from __future__ import annotations

from collections.abc import Iterator

from crep.harness.config.suggest import nearest
from crep.harness.config.units import format_duration, format_rate, format_size
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.load_model import Burst, Hold, Load, Ramp, Sine
from crep.harness.scenario.model import Definition
from crep.harness.scenario.profile import Part, Profile, Wave, burst, hold, ramp
from crep.harness.scenario.recording import Recording, Schedule

STAMP_BYTES = 40  # METHOD rule 2
MOST_CLIENTS = 2_000
LARGEST_MESSAGE = 1 << 30
FASTEST = 10_000_000.0
LONGEST_S = 31 * 86_400.0
MOST_MESSAGES = 2_000_000_000
MOST_PARTS = 10_000
MOST_BYTES_PER_S = 100e9 / 8

_TOO_FAST = "client libraries hand over a few million messages a second at most; write at most " + format_rate(FASTEST)
_TOO_LONG = f"write at most {format_duration(LONGEST_S)} (31 days)"


class ProfileError(ValueError):
    """Part ``index`` of a profile makes no sense."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


def profile_of(definition: Definition, entry: int) -> Schedule:
    """The schedule of load entry ``entry``.

    Raises:
        ProfileError: a part refers to the rate before it and there is none, or its numbers do not fit together.
    """
    load, measure = definition.load[entry], definition.measure
    if load.rate.recorded is not None:
        return Recording(definition.recordings[load.rate.recorded], measure.warm_up)
    poisson = (measure.seed, entry) if load.rate.arrivals == "poisson" else None
    return Profile(tuple(_parts(load)), measure.warm_up, poisson)


def _parts(load: Load) -> list[Part]:
    parts: list[Part] = []
    for index, part in enumerate(load.rate.total or ()):
        before = parts[-1].end if parts else None
        if isinstance(part, Hold):
            parts += hold(part.hold, part.for_)
        elif isinstance(part, Ramp):
            start = part.from_ or before
            if start is None:
                raise ProfileError(index, "a ramp at the beginning needs 'from', the rate that it starts at")
            parts += ramp(start, part.ramp, part.over)
        elif isinstance(part, Sine):
            parts.append(_sine(part, before, index))
        else:
            parts += _burst(part, before, index)
    return parts


def _sine(part: Sine, before: float | None, index: int) -> Wave:
    low = part.from_ or before
    if low is None:
        raise ProfileError(index, "a sine wave at the beginning needs 'from', its lowest rate")
    if low >= part.sine:
        text = f"a sine wave goes up from its lowest rate: {format_rate(low)} is not below {format_rate(part.sine)}"
        raise ProfileError(index, f"{text}; give 'from'")
    return Wave(low, part.sine, part.period, part.for_ or part.period)


def _burst(part: Burst, before: float | None, index: int) -> Iterator[Part]:
    if before is None:
        raise ProfileError(index, "a burst needs a rate before it; begin with {hold: …, for: …}")
    every = part.every or part.for_
    if every < part.for_:
        text = f"a burst of {format_duration(part.for_)} cannot come every {format_duration(every)}"
        raise ProfileError(index, text)
    return iter(burst(before, part.burst, part.for_, every, part.times))


def measured_s(definition: Definition) -> float:
    """Length of the longest profile."""
    return max(profile_of(definition, entry).duration_s for entry in range(len(definition.load)))


def load_problems(definition: Definition) -> list[Problem]:
    """Every combination in ``load:`` that makes no sense."""
    problems = [*_magnitudes(definition)]
    if not problems:  # profiles of absurd numbers are not even computed
        problems = [*_entries(definition), *_clients(definition)]
    return problems


def _magnitudes(definition: Definition) -> Iterator[Problem]:
    """Numbers that no machine could do, each by itself."""
    for entry, load in enumerate(definition.load):
        for index, part in enumerate(load.rate.total or ()):
            loc: Loc = ("load", entry, "rate", "total", index)
            for name, field in type(part).model_fields.items():
                value, place = getattr(part, name), (*loc, field.alias or name)
                if name in ("hold", "ramp", "burst", "sine", "from_") and value is not None and value > FASTEST:
                    yield Problem(place, f"{format_rate(value)} is no rate that can be sent: {_TOO_FAST}")
                if name in ("for_", "over", "every", "period") and value is not None and value > LONGEST_S:
                    yield Problem(place, f"{format_duration(value)} is longer than a run can be; {_TOO_LONG}")
            if isinstance(part, Burst) and part.times > MOST_PARTS:
                yield Problem((*loc, "times"), f"there can be {MOST_PARTS:,} bursts, not {part.times:,}")
    measure = definition.measure
    times = {("warm_up",): measure.warm_up, ("drain",): measure.drain, ("reconnect", "for"): measure.reconnect.for_}
    for key, seconds in times.items():
        if seconds > LONGEST_S:
            text = f"{format_duration(seconds)} is longer than a run can be; {_TOO_LONG}"
            yield Problem(("measure", *key), text)


def _entries(definition: Definition) -> Iterator[Problem]:
    by_channel: dict[str, int] = {}
    for index, load in enumerate(definition.load):
        loc: Loc = ("load", index)
        if load.to not in definition.channels:
            text = f"there is no channel {load.to!r}{nearest(load.to, definition.channels)}"
            yield Problem((*loc, "to"), text)
            continue
        if (via := definition.channels[load.to].via) is not None:
            text = f"channel {load.to!r} is filled by its 'via'; send to {via.from_!r}, from which that takes"
            yield Problem((*loc, "to"), text)
            continue
        by_channel[load.to] = by_channel.get(load.to, 0) + load.publishers
        keys = definition.channels[load.to].key_count
        if by_channel[load.to] > keys:
            text = (
                f"{by_channel[load.to]} publishers of channel {load.to!r} cannot share its {keys} keys: "
                "each key belongs to one publisher"
            )
            yield Problem((*loc, "publishers"), text)
        yield from _message_sizes(load, loc, definition.measure.carrier)
        yield from _profile(definition, index)


def _clients(definition: Definition) -> Iterator[Problem]:
    publishers = sum(load.publishers for load in definition.load)
    members = sum(reader.members for channel in definition.channels.values() for reader in channel.readers.values())
    if publishers + members > MOST_CLIENTS:
        text = (
            f"{publishers:,} publishers and {members:,} members of readers are {publishers + members:,} clients; each "
            f"is a process of about 50 MB, and there can be {MOST_CLIENTS:,}"
        )
        yield Problem(("load",) if publishers > members else ("channels",), text, at_key=True)


def _message_sizes(load: Load, loc: Loc, carrier: str) -> Iterator[Problem]:
    smallest = STAMP_BYTES if carrier == "payload" else 1
    for index, (size, _) in enumerate(load.message.size_choices):
        place = (*loc, "message", "size") if load.message.size else (*loc, "message", "sizes", index, "size")
        if size < smallest:
            text = f"{format_size(size)} is smaller than crep's stamp of {STAMP_BYTES} B, which the payload carries"
            yield Problem(place, f"{text}; take a larger size or 'carrier: property'")
        if size > LARGEST_MESSAGE:
            yield Problem(place, f"no target takes a message of {format_size(size)}")


def _profile(definition: Definition, entry: int) -> Iterator[Problem]:
    load, loc = definition.load[entry], ("load", entry)
    try:
        profile = profile_of(definition, entry)
    except ProfileError as error:
        yield Problem((*loc, "rate", "total", error.index), str(error))
        return
    place: Loc = (*loc, "rate", "recorded" if load.rate.recorded else "total")
    if profile.duration_s > LONGEST_S:
        yield Problem(place, f"the parts last {format_duration(profile.duration_s)} together; {_TOO_LONG}")
        return
    if isinstance(profile, Profile):
        rough = sum(part.messages for part in profile.segments) + profile.first_rate * profile.warm_up_s
        if rough > MOST_MESSAGES:
            text = f"these are {rough:,.0f} messages; at most {MOST_MESSAGES:,} can be kept in the books of a run"
            yield Problem(place, text)
            return
        mean_size = sum(size * share for size, share in load.message.size_choices)
        fastest = max(part.high if isinstance(part, Wave) else max(part.start, part.end) for part in profile.segments)
        if fastest * mean_size > MOST_BYTES_PER_S:
            text = f"{format_rate(fastest)} of {mean_size:,.0f} B are {fastest * mean_size / 1e9:,.0f} GB in a second"
            yield Problem(place, f"{text}; no link that crep could measure over carries more than 12.5 GB/s")
    measured = profile.count - profile.warm_up_count
    if measured < load.publishers:
        text = f"the profile has {measured} messages, so {load.publishers} publishers cannot send one each"
        yield Problem((*loc, "publishers"), text)

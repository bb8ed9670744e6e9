"""Expectations: one line of ``expect:`` becomes a threshold on a metric from a closed list.

::

    billing.lost == 0
    orders.outage.publish < 15 s
    billing.latency.p99 < 50 ms outside faults
    └─────┘ └─────────┘ │ └───┘ └────────────┘
    subject metric      operator, threshold, phase

The subject is a channel, a reader (where no other channel has one of that name) or ``channel.reader``. A reader with
``share: all`` and several members stands for all of them: each must meet the threshold. Names and units are checked
here; judging is ``checks.expectations``' part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from crep.harness.config.suggest import nearest
from crep.harness.config.units import format_duration, format_rate, parse_duration, parse_rate

Level = Literal["reader", "channel"]
Kind = Literal["functional", "performance"]
Unit = Literal["messages", "s", "/s"]
Operator = Literal["==", "<", "<=", ">", ">="]
When = Literal["always", "outside faults", "during faults"]

PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99")
_DISTRIBUTION = (*PERCENTILES, "mean", "max")


@dataclass(frozen=True)
class Metric:
    """One measured or counted thing. With ``statistics``, one of them follows the name: ``latency.p99``."""

    name: str
    level: Level
    unit: Unit
    kind: Kind
    meaning: str
    statistics: tuple[str, ...] = ()
    by_phase: bool = False  # "outside faults" and "during faults" can be asked for


def _count(name: str, level: Level, meaning: str) -> Metric:
    return Metric(name, level, "messages", "functional", meaning)


def _distribution(name: str, level: Level, meaning: str) -> Metric:
    return Metric(name, level, "s", "performance", meaning, _DISTRIBUTION, by_phase=True)


METRICS: tuple[Metric, ...] = (
    _count("lost", "reader", "acknowledged to the publisher and never received"),
    _count("pending", "reader", "acknowledged and missing while the drain had not ended clean"),
    _count("missing", "reader", "not received where the guarantee allows it"),
    _count("duplicates", "reader", "received again by the same reader, flagged as redelivered or not"),
    _count("reordered", "reader", "received after a later message of the same publisher and key"),
    _count("corrupt", "reader", "received with a check sum that does not match"),
    _count("foreign", "reader", "received, but of another run"),
    _count("unexpected", "reader", "received, but never sent or not selected by the filter"),
    _count("dead_lettered", "reader", "not processed, and in the reader's dead letter place at the end"),
    _count("expired", "reader", "not processed, its time to live over: in the dead letter place, or discarded"),
    _count("misplaced", "reader", "in the dead letter place, and neither poison nor expired, or twice, or not its own"),
    _count("rejected", "channel", "refused by the broker"),
    _count("oversize_accepted", "channel", "larger than the channel takes, and not refused"),
    _count("unknown", "channel", "sent, and no outcome was ever reported"),
    _count("unscheduled", "channel", "intended by the schedule and never handed to the client library"),
    Metric(
        "replay",
        "channel",
        "messages",
        "functional",
        "of a replay: acknowledged in its window and not sent again; sent again twice; none of the channel's messages",
        ("missing", "doubled", "unexpected"),
    ),
    _distribution("latency", "reader", "received minus intended send"),
    _distribution("service", "reader", "received minus actual send"),
    _distribution("acknowledge", "channel", "acknowledged minus intended send"),
    _distribution("lateness", "channel", "actual minus intended send"),
    Metric("throughput", "reader", "/s", "performance", "mean rate, measured phase", ("received",), by_phase=True),
    Metric("throughput", "channel", "/s", "performance", "mean rate, measured phase", ("sent", "acknowledged"), True),
    Metric("outage", "reader", "s", "performance", "longest silence of a key's receipts by a fault", ("receive",)),
    Metric("outage", "channel", "s", "performance", "longest silence of a key's acknowledges by a fault", ("publish",)),
    Metric("recovery", "channel", "s", "performance", "from the injection of a fault until all is as before"),
)


@dataclass(frozen=True)
class Expectation:
    """A threshold. ``readers`` is empty for a channel's metric; ``threshold`` is in messages, seconds or per second."""

    text: str
    channel: str
    readers: tuple[str, ...]
    metric: Metric
    statistic: str | None
    operator: Operator
    threshold: float
    when: When = "always"
    evidences: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``lost``, ``latency.p99`` …"""
        return self.metric.name if self.statistic is None else f"{self.metric.name}.{self.statistic}"

    @property
    def subjects(self) -> tuple[str, ...]:
        """What must meet the threshold: ``channel.reader`` for each reader, or the channel."""
        return tuple(f"{self.channel}.{reader}" for reader in self.readers) or (self.channel,)

    def holds(self, value: float) -> bool:
        """Whether one measured value (in the metric's unit) meets the threshold."""
        return {
            "==": value == self.threshold,
            "<": value < self.threshold,
            "<=": value <= self.threshold,
            ">": value > self.threshold,
            ">=": value >= self.threshold,
        }[self.operator]

    def evidencing(self, requirements: Sequence[str]) -> Expectation:
        """The same threshold as evidence for ``requirements``."""
        return replace(self, evidences=tuple(requirements))


Readers = Mapping[str, Mapping[str, Sequence[str]]]
"""Channel → reader as the scenario names it → the logical readers that it stands for."""

_LINE = re.compile(
    r"(?P<what>[^\s=<>!]+)\s*(?P<op>==|!=|<=|>=|<|>|=)\s*(?P<value>[^\s=<>!].*?)"
    r"(?:\s+(?P<when>(?:outside|during)\b.*))?"
)


def parse_expectation(text: str, readers: Readers) -> Expectation:
    """Understand one line.

    Raises:
        ValueError: malformed, or an unknown subject, metric, statistic or unit; the text names the nearest valid word.
    """
    line = _LINE.fullmatch(text.strip())
    if line is None:
        raise ValueError(
            f"{text!r} is not understood; write for example 'billing.lost == 0' or 'orders.recovery < 20 s'"
        )
    channel, reader, rest = _subject(line["what"], readers)
    metric, statistic = _metric(rest, "channel" if reader is None else "reader")
    operator = line["op"]
    if operator in ("=", "!="):
        raise ValueError(f"operator {operator!r} is not understood; write ==, <, <=, > or >=")
    if operator == "==" and metric.kind == "performance":
        raise ValueError(f"{metric.name} is measured, so it never equals a number: write < or <=, > or >=")
    return Expectation(
        text=text,
        channel=channel,
        readers=() if reader is None else tuple(readers[channel][reader]),
        metric=metric,
        statistic=statistic,
        operator=operator,  # type: ignore[arg-type]  # the pattern allows no other
        threshold=_threshold(line["value"], metric),
        when=_when(line["when"], metric),
    )


def _subject(what: str, readers: Readers) -> tuple[str, str | None, str]:
    """Channel, reader (None for the channel itself) and what follows them."""
    first, _, rest = what.partition(".")
    if not rest:
        raise ValueError(f"{what!r} names no metric; write subject.metric, for example '{first}.lost'")
    if first in readers:
        second, _, further = rest.partition(".")
        return (first, second, further) if second in readers[first] and further else (first, None, rest)
    channels = [channel for channel in readers if first in readers[channel]]
    if len(channels) > 1:
        raise ValueError(f"reader {first!r} exists in {' and '.join(channels)}; write {channels[0]}.{what}")
    if not channels:
        every_name = {*readers, *(reader for named in readers.values() for reader in named)}
        raise ValueError(f"there is no channel or reader {first!r}{nearest(first, every_name)}")
    return channels[0], first, rest


def _metric(words: str, level: Level) -> tuple[Metric, str | None]:
    name, _, statistic = words.partition(".")
    metric = next((metric for metric in METRICS if metric.level == level and metric.name == name), None)
    if metric is None:
        other = next((metric for metric in METRICS if metric.name == name), None)
        if other is not None:
            raise ValueError(f"{name!r} is a metric of a {other.level}, not of a {level}")
        raise ValueError(
            f"a {level} has no metric {name!r}{nearest(name, [m.name for m in METRICS if m.level == level])}"
        )
    if metric.statistics and statistic not in metric.statistics:
        given = f"{name} has no {statistic!r}" if statistic else f"{name} needs a statistic"
        example = f"{name}.{metric.statistics[0]}"
        raise ValueError(f"{given}{nearest(statistic, metric.statistics)} (for example {example})")
    if statistic and not metric.statistics:
        raise ValueError(f"{name} is a plain number: write {name}, not {words}")
    return metric, statistic or None


def _threshold(value: str, metric: Metric) -> float:
    if metric.unit == "messages":
        if not re.fullmatch(r"\d+", value):
            raise ValueError(f"{metric.name} is counted in messages: write a whole number, not {value!r}")
        return float(value)
    return parse_duration(value) if metric.unit == "s" else parse_rate(value)


def _when(words: str | None, metric: Metric) -> When:
    if words is None:
        return "always"
    if words not in ("outside faults", "during faults"):
        raise ValueError(f"{words!r} is not understood; write 'outside faults' or 'during faults'")
    if not metric.by_phase:
        raise ValueError(f"{metric.name} is one number for the whole run, so '{words}' cannot be asked for")
    return words  # type: ignore[return-value]  # one of the two


def format_value(value: float, unit: Unit) -> str:
    """A value in a metric's unit, for people."""
    if unit == "messages":
        return f"{value:,.0f}"
    return format_duration(value) if unit == "s" else format_rate(value)

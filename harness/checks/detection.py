"""When a client could first know of a fault: an error that it was told, or a silence that is not usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crep.harness.brokers.contract import Outcome
from crep.harness.checks.channel import ChannelRun
from crep.harness.checks.outage import Silences

SECOND = 1_000_000_000
UNUSUAL = 2
UNUSUAL_AT_LEAST_NS = SECOND // 10
"""A silence is unusual when it lasts this many times the longest that is usual, and this long at least."""
TROUBLE = ("down", "reconnecting", "disconnected", "error")
"""Kinds of client events that tell of a fault (``brokers.contract.ClientEvent``)."""
LOST, RECONNECTED = ("down", "reconnecting"), "reconnected"


@dataclass(frozen=True)
class Sign:
    """A client's word about its connection; seconds relative to t0."""

    at_s: float
    client: str
    role: Literal["publisher", "subscriber"]
    channel: str
    kind: str


@dataclass(frozen=True)
class Detection:
    """Seconds relative to t0, and what it was."""

    at_s: float
    by: str


def unusual_ns(usual_ns: int) -> int:
    """From which length on a silence is unusual, where the longest usual one is known."""
    return max(UNUSUAL * usual_ns, UNUSUAL_AT_LEAST_NS)


def detect(
    channels: Sequence[ChannelRun],
    signs: Sequence[Sign],
    silences: Mapping[str, Silences],
    usual_ns: Mapping[str, int],
    start_s: float,
    until_s: float,
) -> Detection | None:
    """The first of all, at ``start_s`` or later and before ``until_s``.

    Args:
        channels: of the fault's site.
        signs: of every client of the run.
        silences: by channel (of acknowledgements) or channel.reader (of receipts).
        usual_ns: the longest usual silence, by the same names.
        start_s: the injection.
        until_s: the next fault; infinite: there is none, and what clients notice in the drain counts as well.
    """
    names = {channel.name for channel in channels}
    found = [
        Detection(sign.at_s, f"a {sign.role} was told: {sign.kind}")
        for sign in _fresh(signs)
        if sign.channel in names and start_s <= sign.at_s < until_s
    ]
    found += _outcomes(channels, start_s, until_s)
    for where, of in silences.items():
        what = f"no acknowledgement of {where}" if where in names else f"nothing received by {where}"
        found += _silence(of, unusual_ns(usual_ns[where]), what, start_s, until_s)
    return min(found, key=lambda one: one.at_s, default=None)


def _fresh(signs: Sequence[Sign]) -> Iterator[Sign]:
    """Trouble of a client that was connected: what it is told while it is not is no news."""
    disconnected: set[str] = set()
    for sign in sorted(signs, key=lambda one: one.at_s):
        if sign.kind in TROUBLE and sign.client not in disconnected:
            yield sign
        if sign.kind in LOST:
            disconnected.add(sign.client)
        elif sign.kind == RECONNECTED:
            disconnected.discard(sign.client)


def _outcomes(channels: Sequence[ChannelRun], start_s: float, until_s: float) -> Iterator[Detection]:
    words = {Outcome.REJECTED: "a send was rejected", Outcome.UNKNOWN: "a client library gave up a send"}
    for channel in channels:
        for publisher in channel.history.publishers:
            for outcome, text in words.items():
                bad = publisher.outcomes["outcome"] == outcome
                at_s = (publisher.outcomes["at_ns"][bad] - channel.t0_ns) / SECOND
                at_s = at_s[(at_s >= start_s) & (at_s < until_s)]
                if len(at_s):
                    yield Detection(float(at_s.min()), text)


def _silence(of: Silences, longest_ns: int, what: str, start_s: float, until_s: float) -> Iterator[Detection]:
    noticed = of.began_ns + longest_ns
    # One that was unusual before this fault came is no sign of it, and every later send falls into the same one.
    these = (of.to_ns - of.began_ns > longest_ns) & (noticed >= round(start_s * SECOND)) & (noticed < until_s * SECOND)
    if these.any():
        yield Detection(int(noticed[these].min()) / SECOND, f"{what} for {longest_ns / SECOND:.2g} s")

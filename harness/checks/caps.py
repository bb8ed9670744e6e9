"""METHOD rule 12: what else than the broker bounded the numbers. A closed list, each found by a pure function.

==============  =====================================================================================================
cap             found where
==============  =====================================================================================================
``edition``     a Solace broker moves 10,000 messages/s in and out together, and more was asked for
``quota``       messages were refused because a quota was full, or a client ran at the byte rate that it is allowed
``retention``   messages may be deleted before the run is over, by age or by size
``disk space``  less is left than this run has written, or less than 1 GiB
``disk rate``   the disk under the broker's data had work for 90 % of the time in half of the seconds or more
``cpu``         the broker's process used 90 % of the cores that it may use in half of the seconds or more
==============  =====================================================================================================

A capped number is labelled "capped by …" and carries no verdict on the broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from crep.harness.checks.usage import BUSY, NodeUse

Kind = Literal["edition", "quota", "retention", "disk space", "disk rate", "cpu"]

STANDARD_EDITION_PER_S = 10_000.0
"""Solace PubSub+ Standard, in and out together. From the vendor's marketing, seen in secondary sources only: *assumed*,
not verified against a broker. SEMP v2 does not say the edition, so a plateau there is taken for the licence."""
PLATEAU = 0.05
"""So near to the limit a rate is at it."""
HALF = 0.5
LEAST_FREE_BYTES = 1 << 30
_FULL = ("SPOOL_OVER_QUOTA", "SPOOL OVER QUOTA", "MAX_MESSAGE_USAGE_EXCEEDED", "MAX MESSAGE USAGE EXCEEDED")
"""How Solace says so: names of client subcodes (C API, solClient.h), and the broker's own words for the same."""
_CLIENT_QUOTAS = {"producer_byte_rate": "publisher", "consumer_byte_rate": "consumer"}
"""Kafka's quotas of the bytes per second of one client (KIP-13, KIP-546) → who is bound by it."""


class Cap(BaseModel):
    """One limit that bounded the run's numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    site: str
    text: str

    def __str__(self) -> str:
        return f"capped by {self.kind}: {self.text}"


@dataclass(frozen=True)
class SiteLimits:
    """What one broker said of itself: ``facts`` and ``objects`` as in ``run.json`` (``brokers.contract``)."""

    system: str
    facts: Mapping[str, Any]
    objects: Mapping[str, Any]


@dataclass(frozen=True)
class ChannelLoad:
    """What went through one channel.

    ``messages`` and ``size`` (mean bytes of a payload) are those of the whole run, ``lasted_s`` long with warm-up and
    drain; rates are messages per second of the measured phase. ``refusals`` counts refused messages by the broker's
    reason.
    """

    site: str
    channel: str
    messages: int
    size: float
    lasted_s: float
    intended_per_s: float
    in_per_s: float
    out_per_s: float
    publishers: int
    consumers: int
    refusals: Mapping[str, int]


def find_caps(
    sites: Mapping[str, SiteLimits], loads: Sequence[ChannelLoad], usage: Iterable[NodeUse], measured_s: float
) -> tuple[Cap, ...]:
    """Every cap that the run met, in the order of the list above."""
    found: list[Cap] = []
    for name, site in sites.items():
        mine = [load for load in loads if load.site == name]
        found += edition(name, site, mine)
        for load in mine:
            found += quota(site, load)
            found += retention(site, load)
    for node in usage:
        found += disk(node, measured_s)
        found += processor(node)
    return tuple(sorted(found, key=lambda cap: _ORDER.index(cap.kind)))


_ORDER: tuple[Kind, ...] = ("edition", "quota", "retention", "disk space", "disk rate", "cpu")


def edition(name: str, site: SiteLimits, loads: Sequence[ChannelLoad]) -> Iterator[Cap]:
    """A plateau at the licence's rate: it was reached, and more was asked for."""
    if site.system != "solace" or site.facts.get("genuineness") != "genuine":
        return
    moved = sum(load.in_per_s + load.out_per_s for load in loads)
    kept_up = all(load.in_per_s >= (1 - PLATEAU) * load.intended_per_s for load in loads)
    if abs(moved / STANDARD_EDITION_PER_S - 1) <= PLATEAU and not kept_up:
        text = (
            f"{moved:,.0f} messages/s in and out, where the Standard edition is said to allow "
            f"{STANDARD_EDITION_PER_S:,.0f}/s: taken for the licence, not for the broker"
        )
        yield Cap(kind="edition", site=name, text=text)


def quota(site: SiteLimits, load: ChannelLoad) -> Iterator[Cap]:
    """Refusals because something was full, and clients at the byte rate that they are allowed."""
    full = {why: n for why, n in load.refusals.items() if any(word in why.upper() for word in _FULL)}
    if full:
        why, _ = max(full.items(), key=lambda item: item[1])
        text = f"{sum(full.values()):,} messages to {load.channel} were refused: {why}"
        yield Cap(kind="quota", site=load.site, text=text)
    for limit, allowed in _client_quotas(site.facts):
        who = _CLIENT_QUOTAS[limit]
        per_s, clients = (
            (load.in_per_s, load.publishers) if who == "publisher" else (load.out_per_s, max(1, load.consumers))
        )
        share = per_s * load.size / max(1, clients)
        if share >= BUSY * allowed:
            text = f"each {who} of {load.channel} moves {share:,.0f} B/s of the {allowed:,.0f} B/s that {limit} allows"
            yield Cap(kind="quota", site=load.site, text=text)


def _client_quotas(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The lowest of each, from caps such as ``client quota producer_byte_rate (client-id default)``."""
    lowest: dict[str, float] = {}
    for name, value in (facts.get("caps") or {}).items():
        for limit in _CLIENT_QUOTAS:
            if name.startswith(f"client quota {limit}"):
                lowest[limit] = min(float(value), lowest.get(limit, float("inf")))
    yield from lowest.items()


def retention(site: SiteLimits, load: ChannelLoad) -> Iterator[Cap]:
    """Kafka deletes what is older than ``retention.ms`` or beyond ``retention.bytes`` in a partition; -1 is never."""
    topic = site.objects.get(load.channel) or {}
    settings = {f"log.{name}": value for name, value in (topic.get("configuration") or {}).items()}
    limits = {**(site.facts.get("caps") or {}), **settings}
    for_ms, keep = (int(limits.get(name, -1)) for name in ("log.retention.ms", "log.retention.bytes"))
    if 0 <= for_ms < load.lasted_s * 1000:
        text = f"{load.channel} keeps messages for {for_ms / 1000:g} s; the run lasted {load.lasted_s:.0f} s"
        yield Cap(kind="retention", site=load.site, text=text)
    partitions = max(1, int(topic.get("partitions", 1)))
    stored = load.messages * load.size / partitions
    if 0 <= keep < stored:
        text = f"{load.channel} keeps {keep:,} B of each partition; the run stored about {stored:,.0f} B in each"
        yield Cap(kind="retention", site=load.site, text=text)


def disk(node: NodeUse, measured_s: float) -> Iterator[Cap]:
    """Nearly full, or busy."""
    free, written = node.disk_free_min_bytes, (node.written_per_s or 0.0) * measured_s
    if free is not None and free < max(LEAST_FREE_BYTES, written):
        text = f"{free / 1e9:.2f} GB are left under the data of {node.node}, which wrote {written / 1e9:.2f} GB"
        yield Cap(kind="disk space", site=node.site, text=text)
    if node.disk_busy is not None and node.disk_busy >= HALF:
        rate = "" if node.written_per_s is None else f", at {node.written_per_s / 1e6:.1f} MB/s of its own"
        text = (
            f"the disk under {node.node} was busy {BUSY:.0%} of the time in {node.disk_busy:.0%} of the seconds{rate}"
        )
        yield Cap(kind="disk rate", site=node.site, text=text)


def processor(node: NodeUse) -> Iterator[Cap]:
    """All the cores that it may use are in use."""
    if node.cpu_busy >= HALF:
        text = (
            f"{node.node} used {node.cpu_mean:.2f} of {node.cores} cores, {BUSY:.0%} of them or more in "
            f"{node.cpu_busy:.0%} of the seconds"
        )
        yield Cap(kind="cpu", site=node.site, text=text)

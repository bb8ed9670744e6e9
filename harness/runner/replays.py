"""Reads what came again, from where it lies, before the objects of the run are removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crep.harness.brokers.contract import BrokerError, Message
from crep.harness.brokers.streams import SourceSpec
from crep.harness.checks.replays import REPLAYED_RECORD
from crep.harness.deployment.archivist import Archivist, Order
from crep.harness.metrics.history import Records, joined
from crep.harness.runner.prepare import REPLAYED, STAMP_PROPERTY, Site, replayed_channel
from crep.harness.runner.stamps import by_stamp
from crep.harness.runs.document import ReplayPart
from crep.harness.scenario.plan import Plan, ReplayPlan
from crep.replay.marking import REPLAY_ID

_BATCH = 2000
_LOOK_S = 0.1
_QUIET_S = 1.0
"""All that the player knows of has come, and then nothing for so long: that is all."""
_MISSED_S = 10.0
"""Not all has come, and nothing more does: that is all there is."""
_READ_WITHIN_S = 600.0


@dataclass(frozen=True)
class CameAgain:
    """What was read of one channel's replays: a part of the document for each, and the records of all."""

    channel: str
    parts: tuple[ReplayPart, ...]
    records: Records  # REPLAYED_RECORD


def read_replays(
    sites: Sequence[Site],
    plan: Plan,
    run_id: str,
    archivists: Mapping[str, Archivist],
    seconds: Callable[[int], float],
) -> list[CameAgain]:
    """What came again of every channel of which a replay was asked for.

    Args:
        sites: of the run.
        plan: says which channels.
        run_id: of the run.
        archivists: by channel; they have ended.
        seconds: CLOCK_MONOTONIC nanoseconds → seconds relative to t0.
    """
    of = {site.name: site for site in sites}
    found = []
    for replay in plan.replays:
        archivist = archivists[replay.channel]
        orders = archivist.orders
        if not orders:
            continue
        ledgers = {order.number: archivist.ledger(order) for order in orders}
        expected = sum(int(ledger["acknowledged"]) for ledger in ledgers.values() if ledger is not None)
        try:
            records, trouble = _read(of[replay.site], replay, plan, run_id, orders, expected)
        except BrokerError as error:
            records, trouble = np.empty(0, REPLAYED_RECORD), error.message
        parts = tuple(
            ReplayPart(
                channel=replay.channel,
                number=order.number,
                from_s=seconds(order.from_ns),
                until_s=seconds(order.until_ns),
                pace=order.pace,
                ledger=ledgers[order.number],
                read=int(np.count_nonzero(records["number"] == order.number)),
                trouble=trouble,
            )
            for order in orders
        )
        found.append(CameAgain(replay.channel, parts, records))
    return found


def _read(
    site: Site, replay: ReplayPlan, plan: Plan, run_id: str, orders: Sequence[Order], expected: int
) -> tuple[Records, str]:
    """The records, and why they are not all (empty: they are)."""
    name = replayed_channel(replay.channel)
    place = site.adapter.directions(site.endpoint, site.provisioned.objects[name], REPLAYED)
    source = site.adapter.source(
        SourceSpec(
            place.endpoint,
            f"crep-{run_id}-{name}",
            (place.queue or place.topic or "",),
            place.group,
            topic_header=place.topic_header,
        )
    )
    numbers = {f"order-{order.number}": order.number for order in orders}
    read, count = [np.empty(0, REPLAYED_RECORD)], 0
    source.open()
    try:
        began_s = last_s = time.monotonic()
        while time.monotonic() - last_s < (_QUIET_S if count >= expected else _MISSED_S):
            if time.monotonic() - began_s > _READ_WITHIN_S:
                return joined(read, REPLAYED_RECORD), f"after {_READ_WITHIN_S:.0f} s it was not read to its end"
            messages = source.receive(_BATCH, _LOOK_S)
            if messages:
                last_s = time.monotonic()
                count += len(messages)
                read.append(_identified(messages, plan, replay.channel, int(run_id, 16), numbers))
                source.accept(messages)
    finally:
        source.close()
    return joined(read, REPLAYED_RECORD), ""


def _identified(
    messages: Sequence[Message], plan: Plan, channel: str, run_number: int, numbers: Mapping[str, int]
) -> Records:
    bodies = [message.payload for message in messages]
    stamps = [_bytes(message.properties.get(STAMP_PROPERTY)) for message in messages]
    documents = plan.documents_before(channel)
    found = by_stamp(REPLAYED_RECORD, bodies, stamps, plan.carrier, run_number, documents)
    found["number"] = [numbers.get(str(message.properties.get(REPLAY_ID)), 0) for message in messages]
    return found


def _bytes(stamp: object) -> bytes:
    return stamp if isinstance(stamp, bytes) else stamp.encode() if isinstance(stamp, str) else b""

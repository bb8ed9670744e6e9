"""Reads what was given up, before the objects of the run are removed: a reader of its own, so counts have evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crep.harness.brokers.contract import BrokerError
from crep.harness.brokers.dead_letters import DeadLetter
from crep.harness.checks.dead_letters import LETTER
from crep.harness.load.stamp import Carrier
from crep.harness.metrics.history import Records
from crep.harness.runner.prepare import STAMP_PROPERTY, Site
from crep.harness.runner.stamps import by_stamp
from crep.harness.runs.document import DeadLetterPart
from crep.harness.scenario.documents import Documents
from crep.harness.scenario.plan import Plan

MOST_LETTERS, MOST_BYTES = 100_000, 256 << 20
"""What is read of one place; beyond, it is not known what is in it."""


@dataclass(frozen=True)
class Place:
    """One reader's dead letter place, read. ``letters`` has layout ``LETTER``, ``reasons`` is as long."""

    part: DeadLetterPart
    letters: Records
    reasons: tuple[str, ...]


def read_places(sites: Sequence[Site], plan: Plan, run_number: int) -> Iterator[Place]:
    """The place of every reader that has one, or whose messages may expire. What cannot be read says why."""
    for site in sites:
        inspect = site.adapter.inspect(site.endpoint, site.provisioned)
        for channel in site.channels:
            largest = max((max(one.payload_sizes) for one in plan.feeders_of(channel.name)), default=1)
            most = max(1, min(MOST_LETTERS, MOST_BYTES // largest))
            for reader in channel.readers:
                expires = channel.expires and reader.delivery == "at-least-once"
                if reader.dead_letters_after is None and not expires:
                    continue
                name = STAMP_PROPERTY if plan.carrier == "property" else None
                try:
                    found = inspect.dead_letters(channel.name, reader.name, most, name)
                except BrokerError as error:
                    part = DeadLetterPart(channel=channel.name, reader=reader.name, place=None, trouble=error.message)
                    yield Place(part, np.empty(0, LETTER), ())
                    continue
                part = DeadLetterPart(
                    channel=channel.name,
                    reader=reader.name,
                    place=found.place,
                    read=len(found.letters),
                    complete=found.complete,
                    counted=found.counted,
                    expired_discarded=found.expired_discarded,
                )
                letters = identified(found.letters, plan.carrier, run_number, plan.documents_before(channel.name))
                yield Place(part, letters, tuple(letter.reason for letter in found.letters))


def identified(
    letters: Sequence[DeadLetter], carrier: Carrier, run_number: int, documents: Documents | None = None
) -> Records:
    """The letters by their stamps; ``documents`` as for ``stamp.parse``."""
    bodies, stamps = [letter.body for letter in letters], [letter.stamp for letter in letters]
    found = by_stamp(LETTER, bodies, stamps, carrier, run_number, documents)
    found["deliveries"] = [-1 if letter.deliveries is None else letter.deliveries for letter in letters]
    return found

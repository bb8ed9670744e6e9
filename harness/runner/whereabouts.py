"""Where was it lost? After a clean drain, and before anything is removed, the broker's own storage is looked into.

At most 1,000 messages are looked for: who lost more learns nothing from the rest. What cannot be looked for says why;
nothing here makes a run fail.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from crep.harness.brokers.contract import BrokerError
from crep.harness.brokers.locating import IDENTITY_BYTES, Location, Sought
from crep.harness.checks.balance import reader_ledger
from crep.harness.checks.dead_letters import GivenUp
from crep.harness.checks.results import Found, Offender
from crep.harness.checks.tally import ChannelTally
from crep.harness.load.stamp import STAMP, VERSION
from crep.harness.runner.prepare import Site

LIMIT = 1000
WITHIN_S = 60.0
"""For all readers together."""
MISSING = ("lost", "pending")
"""Kinds that are looked for; after a clean drain something is *pending* only where dead letters may have it."""

Dead = Callable[[str, str], GivenUp | None]


def find_missing(
    sites: Sequence[Site], tallies: Mapping[str, ChannelTally], given_up: Dead, run_number: int
) -> list[Found]:
    """Look for the earliest acknowledged messages that a reader did not receive.

    Args:
        sites: the brokers, provisioned.
        tallies: what every message came to, by channel; complete.
        given_up: what was read of each reader's dead letter place: it is accounted for already.
        run_number: of the run, as its stamps have it.
    """
    deadline = time.monotonic() + WITHIN_S
    found: list[Found] = []
    for site in sites:
        for channel in site.channels:
            for reader, missing in _missing(tallies[channel.name], given_up):
                left = max(0, LIMIT - len(found))
                if missing[:left]:
                    found += _look(site, channel.name, reader, missing[:left], run_number, deadline)
    return found


def _missing(tally: ChannelTally, given_up: Dead) -> Iterator[tuple[str, list[Offender]]]:
    for reader in tally.readers:
        dead = given_up(tally.channel, reader.spec.name)
        ledger = reader_ledger(tally, reader, drain_clean=True, given_up=dead, offenders=LIMIT)
        if ledger.lost or ledger.pending:
            yield reader.spec.name, [one for one in ledger.offenders if one.kind in MISSING]


def _look(
    site: Site, channel: str, reader: str, missing: Sequence[Offender], run_number: int, deadline: float
) -> Iterator[Found]:
    identities = [identity_bytes(run_number, one.publisher or 0, one.sequence or 0) for one in missing]
    sought = [Sought(identity, one.key or 0) for identity, one in zip(identities, missing, strict=True)]
    try:
        inspect = site.adapter.inspect(site.endpoint, site.provisioned)
        places = inspect.locate(channel, reader, sought, max(0.0, deadline - time.monotonic()))
    except BrokerError as error:
        places = dict.fromkeys(identities, Location("not-looked-for", why=error.message))
    for identity, one in zip(identities, missing, strict=True):
        place = places[identity]
        yield Found(
            channel=channel,
            reader=reader,
            publisher=one.publisher or 0,
            sequence=one.sequence or 0,
            key=one.key,
            key_sequence=one.key_sequence,
            at_s=one.at_s,
            state=place.state,
            where=place.where,
            why=place.why,
        )


def in_words(found: Sequence[Found]) -> str:
    """What came of the look, for the eyes of who waits for the run to end."""
    places = Counter((one.state.replace("-", " "), one.why.partition(":")[0]) for one in found)
    told = [f"{count:,} {state}{f' ({why})' if why else ''}" for (state, why), count in places.most_common()]
    return f"{len(found):,} missing messages were looked for in the broker's own storage: {', '.join(told)}"


def identity_bytes(run_number: int, publisher: int, sequence: int) -> bytes:
    """How the stamp of a message begins (``brokers.locating``)."""
    stamp = np.zeros(1, STAMP)
    stamp["run"], stamp["publisher"], stamp["version"], stamp["sequence"] = run_number, publisher, VERSION, sequence
    return stamp.tobytes()[:IDENTITY_BYTES]

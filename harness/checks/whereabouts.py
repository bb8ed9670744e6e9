"""What a look into the broker's storage said of messages that were lost, added up per reader.

The look itself was taken after the drain, while everything still stood (``runner.whereabouts``), and is kept in the run
folder line by line. Here it is held against the ledger: a line about a message that was received is damage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from crep.harness.checks.results import Found, ReaderLedger, Whereabouts
from crep.harness.checks.tally import ChannelTally, ReaderTally

EXAMPLES = 5


def whereabouts(found: Sequence[Found], ledgers: Iterable[ReaderLedger]) -> tuple[Whereabouts, ...]:
    """One entry for each reader of which something was looked for."""
    told = []
    for ledger in ledgers:
        mine = [one for one in found if (one.channel, one.reader) == (ledger.channel, ledger.reader)]
        if mine:
            states = Counter(one.state for one in mine)
            told.append(
                Whereabouts(
                    channel=ledger.channel,
                    reader=ledger.reader,
                    missing=ledger.lost + ledger.pending,
                    looked_for=len(mine) - states["not-looked-for"],
                    states=dict(states),
                    reasons=dict(Counter(one.why for one in mine if one.why).most_common(EXAMPLES)),
                    examples=tuple(_first_of_each(mine)),
                )
            )
    return tuple(told)


def _first_of_each(found: Sequence[Found]) -> Iterable[Found]:
    """The first of each state and reason, then the next ones, ``EXAMPLES`` at most."""
    kinds: dict[tuple[str, str], Found] = {}
    for one in found:
        kinds.setdefault((one.state, one.why), one)
    first = list(kinds.values())[:EXAMPLES]
    return [*first, *[one for one in found if one not in first][: EXAMPLES - len(first)]]


def contradicting(found: Sequence[Found], tallies: Mapping[str, ChannelTally]) -> list[str]:
    """Lines that the ledger contradicts: of a reader or publisher that there is not, or of what was received."""
    wrong: Counter[str] = Counter()
    for one in found:
        tally = tallies.get(one.channel)
        reader = None if tally is None else next((r for r in tally.readers if r.spec.name == one.reader), None)
        if reader is None or _received(reader, one):
            wrong[f"{one.channel}.{one.reader}"] += 1
    return [f"{count:,} messages of {where} were looked for that are not missing" for where, count in wrong.items()]


def _received(reader: ReaderTally, one: Found) -> bool:
    received = reader.received.get(one.publisher)
    return received is None or bool(received.holds(np.array([one.sequence], np.uint64))[0])

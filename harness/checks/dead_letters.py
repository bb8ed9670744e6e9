"""What was given up of a reader's messages: the letters in its dead letter place, and which of them belong there.

A message belongs there when it is poison, or when it has a time to live, which may have been over. Whatever else lies
there is *misplaced*: a sound message, one that the reader has processed as well, one that was refused, a further copy,
or what is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import ReaderSpec
from crep.harness.checks.results import Offender
from crep.harness.metrics.history import CORRUPT, FOREIGN, Records

LETTER = np.dtype(
    [
        ("publisher", "<u2"),
        ("sequence", "<u8"),
        ("key", "<u4"),
        ("key_sequence", "<u4"),
        ("fault", "u1"),  # metrics.history: INTACT, CORRUPT or FOREIGN
        ("deliveries", "<i4"),  # as told with the letter; -1: not told
    ]
)
"""One letter, in the order of its place."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class GivenUp:
    """What was read of one reader's dead letter place after the drain.

    ``complete``: all that is in it. ``expired_discarded``: messages that the broker itself says have expired and are in
    no place; None where it does not say.
    """

    letters: Records
    complete: bool
    expired_discarded: int | None = None


@dataclass(frozen=True)
class Letters:
    """The letters of one reader, each looked at: masks of equal length.

    ``located``: intact, and of a message that was sent to this channel and that the reader's filter selects, under its
    own key. ``refused``: of these, the broker had refused the message. ``processed``: the reader has accepted it.
    ``due``: it is poison, or has a time to live.
    """

    records: Records
    located: Mask
    refused: Mask
    processed: Mask
    due: Mask

    @property
    def again(self) -> Mask:
        """Further letters of a located message."""
        identities = np.stack([self.records["publisher"].astype(np.uint64), self.records["sequence"]], axis=1)
        again = self.located.copy()
        places = np.flatnonzero(self.located)
        again[places[np.unique(identities[places], axis=0, return_index=True)[1]]] = False
        return again

    @property
    def misplaced(self) -> Mask:
        """Letters that have no business there."""
        return ~self.located | self.refused | self.processed | ~self.due | self.again

    def offenders(self, limit: int) -> Iterator[Offender]:
        """The first ``limit`` misplaced letters."""
        again = self.again
        for place in np.flatnonzero(self.misplaced)[:limit].tolist():
            record: Any = self.records[place]
            known = int(record["fault"]) != CORRUPT  # a corrupt stamp names nobody
            yield Offender(
                kind="misplaced",
                publisher=int(record["publisher"]) if known else None,
                sequence=int(record["sequence"]) if known else None,
                key=int(record["key"]) if known else None,
                key_sequence=int(record["key_sequence"]) if known else None,
                detail=self._because(place, bool(again[place])),
            )

    def _because(self, place: int, again: bool) -> str:
        fault = int(self.records["fault"][place])
        if not self.located[place]:
            return {CORRUPT: "its check sum does not match", FOREIGN: "of another run"}.get(
                fault, "not one of the reader's messages"
            )
        if self.refused[place]:
            return "the broker had refused it"
        if self.processed[place]:
            return "the reader has processed it as well"
        return "a further copy" if again else "neither poison nor expired"


def letters_known(given_up: GivenUp | None, spec: ReaderSpec) -> int | None:
    """How many letters there are; None where the reader has no place, or it was not read to its end."""
    if spec.dead_letters_after is None or given_up is None or not given_up.complete:
        return None
    return len(given_up.letters)


def is_known(given_up: GivenUp | None, spec: ReaderSpec) -> bool:
    """Whether it is known what became of a message that may have been given up."""
    if given_up is None:
        return False
    return given_up.complete if spec.dead_letters_after is not None else given_up.expired_discarded is not None


def all_expired(given_up: GivenUp | None, spec: ReaderSpec, missing: int) -> bool:
    """Whether ``missing`` messages with a time to live have all been discarded when it was over, by the broker's count.

    Where expired messages are kept in a place, none of them is discarded.
    """
    if given_up is None or given_up.expired_discarded is None or spec.dead_letters_after is not None:
        return False
    return given_up.expired_discarded >= missing

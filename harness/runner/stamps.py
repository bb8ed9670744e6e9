"""Messages that were read apart from the load engines, known again by their stamps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crep.harness.load.stamp import Carrier, parse
from crep.harness.metrics.history import Records
from crep.harness.scenario.documents import Documents

_NAMES = ("publisher", "sequence", "key", "key_sequence", "fault")


def by_stamp(
    layout: np.dtype[np.void],
    bodies: Sequence[bytes],
    stamps: Sequence[bytes | None],
    carrier: Carrier,
    run_number: int,
    documents: Documents | None,
) -> Records:
    """Records of ``layout``, as many as ``bodies``, with what the stamps say; its other fields are zero.

    Args:
        layout: has ``publisher``, ``sequence``, ``key``, ``key_sequence`` and ``fault``.
        bodies: the payloads.
        stamps: what each has in the stamp's property; counts with carrier ``property`` alone.
        carrier: where stamps travel.
        run_number: of the run, as its stamps have it.
        documents: as for ``stamp.parse``.
    """
    nothing = np.zeros(len(bodies), np.int64)
    read = parse(
        bodies,
        [stamp or b"" for stamp in stamps] if carrier == "property" else None,
        run=run_number,
        received_ns=nothing,
        redelivered=nothing.astype(np.uint8),
        documents=documents,
    )
    found = np.zeros(len(bodies), layout)
    for name in _NAMES:
        found[name] = read[name]
    return found

"""Order per (publisher, key) and logical reader (METHOD rule 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.history import Receipts, Sends


def overtaken(sends: Sends, receipts: Receipts) -> NDArray[np.bool_]:
    """Mark receipts that came after a later message of their key.

    A receipt is *overtaken* when it is the first receipt of its message and the reader has already received, as a first
    receipt, a message of the same publisher and key with a higher key sequence. Repeated receipts neither count nor
    accuse: a redelivery of 5, 6, 7 after 7 is duplication, not disorder. Returns a mask over the receipts.

    One running maximum serves all keys: receipts are sorted by key (stable, so time order stays within a key) and each
    key's sequences are lifted above all those of the keys before it, so that the maximum never leaks into the next key.
    """
    late = np.zeros(len(receipts.row), np.bool_)
    firsts = np.flatnonzero(receipts.first)
    if len(firsts) == 0:
        return late
    rows = receipts.row[firsts]
    group = (sends.publisher[rows].astype(np.int64) << 32) | sends.key[rows]
    by_key = np.argsort(group, kind="stable")
    changes = np.diff(group[by_key], prepend=group[by_key[0]]) != 0
    lifted = (np.cumsum(changes, dtype=np.int64) << 32) | sends.key_sequence[rows[by_key]]
    late[firsts[by_key]] = lifted < np.maximum.accumulate(lifted)
    return late

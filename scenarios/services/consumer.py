"""Reads the external bus as a partner would, and adds the totals up by customer: ``python consumer.py [COUNT]``."""

from __future__ import annotations

import json
import sys
from collections import Counter

from bus import Stop, client, say


def main(count: int | None) -> int:
    """Read so many orders, or until told to stop."""
    stop, bus = Stop(), client("CREP_FROM")
    reader = bus.Reader()
    say(ready=True)
    received, totals = 0, Counter[str]()
    while not stop.asked and (count is None or received < count):
        order = reader.next(0.2)
        if order is None:
            continue
        body = json.loads(order.body)
        totals[body["customer"]["name"]] += body["total"]
        reader.done([order])
        received += 1
    reader.close()
    say(received=received, totals=dict(totals.most_common(3)))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))

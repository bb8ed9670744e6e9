"""Publishes orders to the internal bus: ``python publisher.py COUNT``."""

from __future__ import annotations

import json
import sys

from bus import Stop, client, say

REGIONS, TYPES = ("eu", "us", "apac"), ("new", "paid", "shipped")


def main(count: int) -> int:
    """Publish so many orders of twenty customers and wait until all are stored."""
    stop, bus = Stop(), client("CREP_TO")
    writer = bus.Writer()
    say(ready=True)
    published = 0
    while published < count and not stop.asked:
        order = {"order": published, "customer_id": published % 20 + 1, "quantity": published % 9 + 1, "price": 12}
        topic = f"orders/{REGIONS[published % 3]}/{TYPES[published // 3 % 3]}"
        writer.send(bus.Order(topic, str(order["customer_id"]), json.dumps(order).encode(), {"source": "shop"}))
        published += 1
    writer.settled()
    writer.close()
    say(published=published)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

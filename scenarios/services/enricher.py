"""Enriches orders on their way from the internal to the external bus: ``python enricher.py CUSTOMERS.csv``.

New orders get their customer and go out under ``ext/…``, the others stay inside. At least once: what came is done only
when what became of it is stored. All properties go along, which is how crep recognises its messages behind it.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from bus import Stop, client, say

BATCH = 200


def enriched(body: bytes, customers: dict[str, dict[str, str]]) -> tuple[str, bytes]:
    """The customer's id, and the order with its customer and its total, without what is internal."""
    order: dict[str, Any] = json.loads(body)
    customer = customers[str(order["customer_id"])]
    order.pop("note", None)
    order["customer"] = customer
    order["total"] = order["quantity"] * order["price"] * (100 - int(customer["discount"])) / 100
    return customer["id"], json.dumps(order).encode()


def main(table: Path) -> int:
    """Forward until told to stop."""
    with table.open(encoding="utf-8", newline="") as file:
        customers = {row["id"]: row for row in csv.DictReader(file)}
    stop, inside, outside = Stop(), client("CREP_FROM"), client("CREP_TO")
    reader, writer = inside.Reader(), outside.Writer()
    say(ready=True)
    received = forwarded = 0
    while not stop.asked:
        batch = [order] if (order := reader.next(0.2)) else []
        while batch and len(batch) < BATCH and (order := reader.next(0.001)):
            batch.append(order)
        for order in batch:
            _, region, kind = order.topic.split("/")
            if kind == "new":
                key, body = enriched(order.body, customers)
                writer.send(outside.Order(f"ext/{region}/{kind}", key, body, order.properties))
                forwarded += 1
        if batch:
            writer.settled()
            reader.done(batch)
            received += len(batch)
    reader.close()
    writer.close()
    say(ledger={"received": received, "acknowledged": forwarded, "filtered": received - forwarded})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""One run in which messages are poison or too large: each ends where it should, and the folder proves it."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

SCENARIO = """\
scenario: bad-messages
durability: {copies: 1, sync: disk}
channels:
  orders:
    topics: "orders/{region:eu,us}"
    keys: 20
    readers:
      billing: {share: group, members: 2, order: per-key}
    dead_letters: {after_deliveries: 3}
    max_size: 16 KiB
load:
  - to: orders
    message: {size: 256 B, properties: {kind: order, urgent: true, weight: 1.5, version: 3}}
    rate: {total: [{hold: 200/s, for: 4 s}]}
    defects: {poison: 5 %, oversize: 3 %}
measure: {warm_up: 1 s, drain: 30 s, repeat: 1, seed: 7, lateness: 5 s, carrier: property}
expect:
  - billing.lost == 0
  - billing.dead_lettered > 0
  - billing.misplaced == 0
  - billing.reordered == 0
  - orders.rejected > 0
  - orders.oversize_accepted == 0
"""


def test_every_message_ends_in_one_place_and_the_run_folder_alone_proves_it(crep: Crep) -> None:
    done = crep("run", crep.scenario(SCENARIO), "--on", "solace-emulator")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (path for path in crep.folder.rglob("1/run.json") if "latest" not in path.parts)
    document: dict[str, Any] = json.loads(path.read_text())
    assert [rule["text"] for rule in document["results"]["rules"] if not rule["holds"]] == []
    (billing,) = document["results"]["readers"]
    (orders,) = document["results"]["channels"]
    assert orders["rejected"] == orders["oversize"] > 0
    assert billing["lost"] == billing["misplaced"] == 0
    assert billing["failed"] == 3 * billing["dead_lettered"] > 0
    assert billing["letters"] == billing["dead_lettered"]
    assert billing["received"] + billing["dead_lettered"] == billing["expected"]
    (place,) = document["dead_letters"]
    assert place["counted"]["maxRedeliveryExceededToDmqMsgCount"] == place["read"] == billing["dead_lettered"]
    verified = crep("verify", str(path.parent))
    assert verified.returncode == 0, verified.stdout + verified.stderr

    letters = path.parent / "ledger" / "dead-letters.orders.billing.parquet"
    shutil.copyfile(path, letters)  # what was evidence is garbage now
    spoiled = crep("verify", str(path.parent))
    assert spoiled.returncode != 0
    assert letters.name in spoiled.stdout + spoiled.stderr

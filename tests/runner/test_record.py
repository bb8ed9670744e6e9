from __future__ import annotations

from datetime import UTC, datetime

from crep.harness.brokers.contract import Provisioned
from crep.harness.runner.record import stated_durability, utc_now
from tests.checks.simulated import a_plan

STORED = Provisioned("7f3a", "kafka/x", {}, {"orders": {"copies": 1, "sync": "disk", "known": "configured"}})


def test_what_nobody_acknowledges_has_no_copy_however_the_topic_is_set_up() -> None:
    assert stated_durability(STORED, a_plan()) == STORED.durability
    direct = stated_durability(STORED, a_plan(guaranteed=False))
    assert (direct["orders"]["copies"], direct["orders"]["sync"]) == (0, "none")


def test_a_time_ahead_is_dated_ahead() -> None:
    now, then = (datetime.fromisoformat(utc_now(ahead)) for ahead in (0.0, 3600.0))
    assert abs((now - datetime.now(UTC)).total_seconds()) < 60
    assert 3590 < (then - now).total_seconds() < 3660

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.model import Scenario

GOOD = """\
scenario: orders
evidences: [INT-N2]
params: {rate: 100/s}
durability: {copies: 1, sync: disk}
channels:
  orders:
    topics: "orders/{region:eu,us}/{type:new,paid}"
    keys: 20
    readers:
      billing: {share: group, members: 3, order: per-key}
      audit: {share: exclusive, members: 2, filter: {topic: "orders/eu/*"}}
      screen: {share: all, members: 2, delivery: at-most-once}
load:
  - {to: orders, publishers: 2, message: {size: 1 KiB}, rate: {total: [{hold: $rate, for: 20 s}]}}
timeline:
  - {at: 8 s, do: kill-broker, node: leader-of orders, restart_after: 1 s}
measure: {warm_up: 2 s}
expect:
  - billing.lost == 0
  - billing.latency.p99 < 50 ms outside faults
"""

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes the good scenario with some text replaced."""

    def write(*changes: tuple[str, str], text: str = GOOD) -> Path:
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "scenario.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def scenario(written: Written) -> Callable[..., Scenario]:
    return lambda *changes, **params: load_scenario(written(*changes), params)


@pytest.fixture
def refusal(written: Written) -> Callable[..., list[str]]:
    """The lines of the refusal, without the file's name."""

    def refused(*changes: tuple[str, str], **params: str) -> list[str]:
        path = written(*changes)
        with pytest.raises(UsageError) as caught:
            load_scenario(path, params)
        return str(caught.value).replace(f"{path}:", "").splitlines()

    return refused

"""A replay keeps the gaps between messages, and ten times as fast is ten times as fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from tests.replay.live import place
from tests.replay.timing import archive_of, bare_gap_p99_ms, timed

pytestmark = [pytest.mark.kafka, pytest.mark.alone]
RATE, SECONDS = 1000.0, 4.0


def test_gaps_are_kept_and_a_speed_factor_is_exact(kafka_endpoint: Endpoint, tmp_path: Path) -> None:
    times = archive_of(tmp_path / "archive", RATE, SECONDS, seed=3)
    with place(kafka_endpoint) as there:
        original = timed(there, tmp_path / "archive", times, tmp_path / "original", "original", 1)
        faster = timed(there, tmp_path / "archive", times, tmp_path / "faster", "x10", 10)
    bare_ms = bare_gap_p99_ms(times, 2.0)  # a machine that cannot even sleep on time says nothing of a replay
    assert original.gap_p99_ms <= max(2.0, 2 * bare_ms), (original, bare_ms)
    assert original.speed == pytest.approx(1, rel=0.02), original
    assert faster.speed == pytest.approx(10, rel=0.02), faster

"""A replay keeps the gaps between messages, and ten times as fast is ten times as fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from tests.replay.live import place
from tests.replay.timing import archive_of, bare_client, bare_gap_p99_ms, timed

pytestmark = [pytest.mark.kafka, pytest.mark.alone]
RATE, SECONDS, TRIES = 1000.0, 4.0, 3


def test_gaps_are_kept_and_a_speed_factor_is_exact(kafka_endpoint: Endpoint, tmp_path: Path) -> None:
    """What else the machine does can only spoil it: the best of three tries counts, beside a bare client's loop."""
    times = archive_of(tmp_path / "archive", RATE, SECONDS, seed=3)
    tries = []
    with place(kafka_endpoint) as there:
        for number in range(TRIES):
            state = tmp_path / str(number)
            with bare_client(there) as send:
                bare_ms = bare_gap_p99_ms(times, 2.0, send)
            original = timed(there, tmp_path / "archive", times, state / "original", "original", 1)
            faster = timed(there, tmp_path / "archive", times, state / "faster", "x10", 10)
            tries.append((bare_ms, original, faster))
            on_time = original.gap_p99_ms <= max(2.0, 2 * bare_ms)
            if on_time and abs(original.speed - 1) <= 0.02 and abs(faster.speed - 10) <= 0.2:
                return
    pytest.fail(f"late in each of {TRIES} tries: {tries}")

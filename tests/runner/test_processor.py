from __future__ import annotations

import pytest

from crep.harness.runner.processor import WorkerLoad


def test_the_busiest_client_is_named_with_its_share_of_a_core() -> None:
    load = WorkerLoad(measured_s=10.0)
    for second in range(-3, 13):
        load.used("p0", second, 900_000_000)
        load.used("billing-0", second, 200_000_000)
    client, share = load.busiest()
    assert client == "p0"
    assert share == pytest.approx(0.9), "warm-up and drain are no part of it"


def test_without_clients_nobody_is_busy() -> None:
    assert WorkerLoad(10.0).busiest() == ("", 0.0)

"""The emulator's ceiling: which round counts, and that the clients' messages all come through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.emulator_speed import TRAFFIC, Ceiling, Passage, Speed, Traffic, figures, idle, pass_through
from crep.solace_emulator.testing import EmulatorProcess

DIRECT = next(one for one in TRAFFIC if not one.guaranteed)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    emulator = EmulatorProcess(tmp_path_factory.mktemp("speed"), ("--sync", "batch"))
    yield emulator
    emulator.stop()


def speed(*rates: float, idle_mb: float = 30.0) -> Speed:
    """Rounds of direct traffic at these rates."""
    return Speed((Ceiling(DIRECT, tuple(Passage(rate, 5.0) for rate in rates)),), 1000, idle_mb)


def test_a_slow_round_on_a_busy_machine_is_no_missed_floor() -> None:
    assert [one.ok for one in figures(speed(60_000, 10_000, 20_000))] == [True, True]


def test_a_floor_that_no_round_reaches_is_missed() -> None:
    assert [one.ok for one in figures(speed(10_000, 20_000))] == [False, True]


def test_too_much_memory_for_idle_connections_is_missed() -> None:
    assert [one.ok for one in figures(speed(60_000, idle_mb=250.0))] == [True, False]


@pytest.mark.emulator
@pytest.mark.parametrize("traffic", [DIRECT, Traffic(guaranteed=True, consumed=True, size=100, count=0)], ids=str)
def test_every_message_comes_through(emulator: EmulatorProcess, traffic: Traffic) -> None:
    assert pass_through(emulator, traffic, 2000).per_s > 0
    if traffic.guaranteed:
        depth = emulator.semp("GET", "monitor/msgVpns/default/queues/speed")["collections"]["msgs"]["count"]
        assert depth == 0


@pytest.mark.emulator
def test_idle_connections_take_memory_that_is_measured_while_they_are_there(emulator: EmulatorProcess) -> None:
    assert 5 < idle(emulator, 20) < 200

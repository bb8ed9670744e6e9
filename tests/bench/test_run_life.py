from __future__ import annotations

import sys
import time

import pytest

from bench import run_life
from bench.run_life import Life, figures
from crep.harness import processes
from crep.harness.config.errors import EnvironmentFailure


def life(**changed: float) -> Life:
    usual = {"first_message_s": 1.5, "warm_up_s": 3.0, "measured_s": 60.0, "drain_s": 4.0, "end_s": 69.0}
    return Life(**usual | {"peak_mb": 200.0} | changed)


def test_set_up_and_tear_down_are_all_but_warm_up_measurement_and_quiet() -> None:
    assert life(measured_s=3.0, end_s=12.5).around_s == pytest.approx(3.5)


def test_a_run_within_its_floors_is_ok_in_every_figure() -> None:
    assert all(one.ok for one in figures("Kafka", [life()] * 3, life()))


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"first_message_s": 2.1}, "first message"),
        ({"end_s": 72.0}, "set-up and tear-down"),
        ({"end_s": 70.5}, "result of a test of 60 s"),
        ({"peak_mb": 301.0}, "memory"),
    ],
)
def test_each_floor_that_is_missed_is_told_in_its_figure(changed: dict[str, float], missed: str) -> None:
    found = [one.name for one in figures("Kafka", [life(**changed)], life(**changed)) if not one.ok]
    assert any(missed in name for name in found)


def test_the_memory_of_a_process_counts_what_it_started_too() -> None:
    took = 40_000_000
    ours = f"import time; kept = b'x' * {took}; print('there', flush=True); time.sleep(30)"
    theirs = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ours!r}])"
    child = processes.spawn([sys.executable, "-c", theirs], stdout=processes.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert run_life._memory_mb(child.pid) * 1e6 > took
    finally:
        child.kill()
    assert run_life._memory_mb(child.pid) == 0.0


def test_a_run_that_does_not_end_is_ended_and_told() -> None:
    child = processes.spawn([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(EnvironmentFailure, match="did not end"):
        run_life._watch(child, time.monotonic())
    assert child.poll() is not None

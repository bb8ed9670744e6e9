"""What is said of a broker's processes is what the samples of the measured phase hold, and no more."""

from __future__ import annotations

import pytest

from crep.harness.checks.usage import Sample, used


def sample(at_s: float, cpu: float = 1.0, **known: object) -> Sample:
    return Sample(at_s=at_s, site="bus", node="kafka-1", cores=2, cpu=cpu, memory=1000, **known)  # type: ignore[arg-type]


def test_warm_up_and_drain_are_left_out() -> None:
    (use,) = used([sample(-1, 2.0), sample(0, 2.0), sample(1, 0.5), sample(10, 0.7), sample(12, 2.0)], measured_s=10)
    assert use.samples == 2
    assert use.cpu_mean == pytest.approx(0.6)
    assert use.cpu_max == 0.7


def test_what_is_not_known_is_not_zero() -> None:
    (use,) = used([sample(1)], 10)
    assert use.read_per_s is use.written_per_s is use.written_max_per_s is use.loopback_per_s is None
    assert use.collections is use.collecting_s is use.disk_busy is use.disk_free_min_bytes is None


def test_each_node_has_its_own_line() -> None:
    other = Sample(at_s=1, site="bus", node="kafka-2", cores=2, cpu=0.1, memory=5)
    assert [(one.node, one.memory_max_bytes) for one in used([sample(1), other], 10)] == [
        ("kafka-1", 1000),
        ("kafka-2", 5),
    ]
    assert used([], 10) == ()


def test_collections_add_up_and_rates_are_means() -> None:
    samples = [
        sample(
            second, written=1e6 * second, collections=second, collecting_s=0.01, disk_busy=0.95, disk_free=100 - second
        )
        for second in (1, 2, 3)
    ]
    (use,) = used(samples, 10)
    assert (use.collections, use.collecting_s) == (6, pytest.approx(0.03))
    assert (use.written_per_s, use.written_max_per_s) == (2e6, 3e6)
    assert (use.disk_busy, use.disk_free_min_bytes) == (1.0, 97)


def test_a_core_in_full_use_is_not_all_cores_in_full_use() -> None:
    (use,) = used([sample(1, 1.0), sample(2, 1.81), sample(3, 1.79), sample(4, 2.0)], 10)
    assert use.cpu_busy == 0.5

"""Connection churn for some seconds, and the judge of memory. The minutes are in the soak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.churning import NOISE_BYTES, growth, is_flat, trial

MB = 1_000_000


@pytest.mark.emulator
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
def test_after_churn_descriptors_threads_and_objects_are_as_many_as_before(tmp_path: Path) -> None:
    outcome = trial(1, tmp_path, 8, abandon=False)
    assert outcome.faults == ()
    assert outcome.figures["connections"] > 50


def test_growth_is_told_after_the_warm_up_and_without_its_peaks() -> None:
    rss = [10, 20, 30, 40, 40, 40, 40, 40, 41, 41, 41, 41, 42, 90, 42, 42]
    samples = [(100 * number, mb * MB) for number, mb in enumerate(rss)]
    assert growth(samples) == (2 * MB, 800)
    assert growth(samples[:3]) == (0, 0)


def test_a_leak_of_a_kibibyte_for_each_connection_is_not_flat() -> None:
    assert is_flat(NOISE_BYTES, 0)
    assert is_flat(NOISE_BYTES + 100 * 20_000, 20_000)
    assert not is_flat(NOISE_BYTES + 1024 * 20_000, 20_000)

"""Rates against the no-op server become a figure beside its floor."""

from __future__ import annotations

import pytest

from bench.solace_ceiling import PATHS, Pair, Path, Rate, figure, measure

PATH = Path("receive", "queue", 100.0, 1, 1)


def test_the_figure_is_the_median_of_the_native_client_and_the_ratio_is_taken_within_a_round() -> None:
    pairs = [
        Pair(Rate(300.0, 0.9), Rate(3.0, 0.5)),
        Pair(Rate(90.0, 0.5), Rate(30.0, 0.5)),
        Pair(Rate(120.0, 1.0), Rate(4.0, 1.0)),
    ]
    found = figure(PATH, pairs)
    assert (found.value, found.ok) == (120.0, True)
    assert "ratio 30;" in found.detail
    assert "90% of one core" in found.detail


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.work}-{path.mode}")
def test_every_path_can_be_measured_and_the_c_library_is_ahead(path: Path) -> None:
    pair = measure(path, share=20)
    assert pair.native.per_s > 2 * pair.api.per_s
    assert 0 < pair.native.processor <= 2

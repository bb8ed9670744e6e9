"""A figure is ok only where it was measured and meets its floor."""

from __future__ import annotations

import pytest

from bench.figure import Figure


@pytest.mark.parametrize(
    ("value", "floor", "at_most", "ok"),
    [
        (1.0, 1.0, False, True),
        (0.99, 1.0, False, False),
        (499.0, 500.0, True, True),
        (501.0, 500.0, True, False),
        (7.0, None, False, True),
        (None, None, False, False),
        (None, 1.0, True, False),
    ],
)
def test_a_figure_is_ok_where_it_meets_its_floor(
    value: float | None, floor: float | None, at_most: bool, ok: bool
) -> None:
    assert Figure("anything", value, "s", floor, at_most).ok is ok


def test_the_list_for_programs_has_the_agreed_keys() -> None:
    listed = Figure("memory", 12.0, "MB", 10.0, at_most=True, detail="resident").to_json()
    assert listed == {
        "name": "memory",
        "value": 12.0,
        "unit": "MB",
        "floor": 10.0,
        "ok": False,
        "detail": "at most; resident",
    }

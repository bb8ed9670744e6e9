"""Faults at random, once on each target; `make soak` does it a hundred times."""

from __future__ import annotations

import pytest

from soak.chaos import Chaos
from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.end_to_end]


@pytest.mark.parametrize(
    ("target", "seed"),
    [
        pytest.param("solace-emulator", 3, marks=pytest.mark.emulator),
        pytest.param("kafka-local", 11, marks=pytest.mark.kafka),
    ],
)
def test_whatever_fails_ends_healed_and_nothing_acknowledged_is_lost(crep: Crep, target: str, seed: int) -> None:
    assert Chaos("chaos", target).judged(crep, seed).why == ()

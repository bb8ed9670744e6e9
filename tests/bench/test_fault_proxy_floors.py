from __future__ import annotations

import pytest

from bench.fault_proxy import Idle, Told, figures, proxied, round_trips_ms, stream_mb_s

GOOD = (Idle((0.02, 0.1), (0.05, 0.3), 2000.0, 800.0), Told(20.5, (3.02, 3.0)))


def ok(idle: Idle, told: Told) -> list[bool]:
    return [figure.ok for figure in figures([idle], [told])]


def test_a_proxy_within_its_floors_is_ok() -> None:
    assert ok(*GOOD) == [True, True, True, True]


@pytest.mark.parametrize(
    ("idle", "told", "verdicts"),
    [
        (Idle((0.02, 0.1), (0.23, 0.3), 2000.0, 800.0), GOOD[1], [False, True, True, True]),
        (Idle((0.02, 0.1), (0.05, 0.3), 2000.0, 199.0), GOOD[1], [True, False, True, True]),
        (GOOD[0], Told(17.9, (3.02, 3.0)), [True, True, False, True]),
        (GOOD[0], Told(20.0, (2.7, 3.0)), [True, True, True, False]),
    ],
)
def test_too_slow_and_too_early_miss_the_floor(idle: Idle, told: Told, verdicts: list[bool]) -> None:
    assert ok(idle, told) == verdicts


def test_nothing_measured_is_not_ok() -> None:
    assert [figure.ok for figure in figures([], [])] == [False] * 4


def test_the_node_echoes_and_swallows_directly_and_through_the_proxy() -> None:
    with proxied(lambda _: None) as (direct, proxy, links):
        for port in (direct, proxy):
            assert len(round_trips_ms(port, 5, 1)) == 5
            assert stream_mb_s(port, 4 << 20) > 0
        [link] = links.state().links
        assert (link.to_node_bytes, link.from_node_bytes) == (2 + 600 + (4 << 20), 600 + 1)

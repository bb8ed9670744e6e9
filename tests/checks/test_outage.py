"""Silences of keys, drawn by hand and against a naive search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.checks.outage import Silences, outage, silences


def found(sends: list[tuple[int, int]], alive: list[tuple[int, int]], until: int = 100) -> Silences:
    """Both lists hold (key, time)."""
    sent, seen = np.array(sends, np.int64).reshape(-1, 2), np.array(alive, np.int64).reshape(-1, 2)
    return silences(sent[:, 0].astype(np.uint32), sent[:, 1], seen[:, 0].astype(np.uint32), seen[:, 1], until)


@pytest.mark.parametrize(
    ("sends", "signs", "longest"),
    [
        # time: 0123456789, s = send intended, a = acknowledgement
        ("s s s s s ", " a a a a a", 1),
        ("s s s s s ", " a     aaa", 5),  # silent from the send at 2
        ("s s      s", " a a     a", 1),  # nothing was intended between 3 and 9: no outage
        ("s         ", "          ", 10),  # never: until the end of the schedule
        ("         s", "          ", 1),
        ("s         ", "a         ", 0),
        ("          ", " a   a    ", 0),
    ],
)
def test_a_silence_lasts_from_an_intended_send_to_the_next_sign_of_life(sends: str, signs: str, longest: int) -> None:
    at = [(0, t) for t, mark in enumerate(sends) if mark == "s"]
    alive = [(0, t) for t, mark in enumerate(signs) if mark == "a"]
    assert found(at, alive, until=10).longest_ns == longest


def test_a_lively_key_does_not_hide_a_silent_one() -> None:
    result = found([(0, 0), (1, 0), (1, 5)], [(1, t) for t in range(60)], until=50)
    assert result.longest_ns == 50
    one = outage("orders", result, keys=2, t0_ns=0, usual_ns=10, control_ns=None)
    assert one is not None
    assert (one.keys_hit, one.from_s, one.to_s) == (0.5, 0.0, 50e-9)
    assert one.outage_s is None


def test_what_the_control_run_shows_as_well_is_no_outage() -> None:
    one = outage("orders", found([(0, 0)], [(0, 30)]), keys=1, t0_ns=0, usual_ns=40, control_ns=40)
    assert one is not None
    assert (one.outage_s, one.keys_hit) == (0.0, 0.0)
    assert outage("orders", found([], []), keys=0, t0_ns=0, usual_ns=0, control_ns=0) is None


events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90)), max_size=30)


@given(sends=events, alive=events)
def test_silences_are_those_that_a_naive_search_finds(
    sends: list[tuple[int, int]], alive: list[tuple[int, int]]
) -> None:
    result = found(sends, alive)
    naive = sorted(
        (key, at, min((t for k, t in alive if k == key and t >= at), default=max(100, at))) for key, at in sends
    )
    assert sorted(zip(result.key.tolist(), result.from_ns.tolist(), result.to_ns.tolist(), strict=True)) == naive


def test_an_unusual_silence_is_that_of_the_stretch_in_which_it_became_one() -> None:
    #      time: 0         10        20        30
    # key 0:       s s s s s s s s a                 silent from 2 to 18
    # key 1:               s  a                      silent from 10 to 13: usual
    result = found([(0, t) for t in range(2, 18, 2)] + [(1, 10)], [(0, 18), (1, 13)])

    def longest(start: int, end: int) -> int:
        return result.of_stretch(start, end, unusual_ns=5).longest_ns

    assert longest(0, 7) == 0  # it became unusual at 7
    assert longest(7, 8) == 16
    assert longest(8, 40) == 3

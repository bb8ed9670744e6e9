from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crep.harness.load.pacing import GRID_NS, Schedule, handover_times, wake_at

MS = 1_000_000


def every(step_ns: int, count: int, first_ns: int = 0) -> Schedule:
    def times(sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        return first_ns + sequence * step_ns

    return Schedule(times, count)


def test_nothing_is_due_before_its_time_and_everything_is_after() -> None:
    schedule = every(MS, 5, first_ns=10 * MS)
    table = [(0, 0), (10 * MS - 1, 0), (10 * MS, 1), (12 * MS, 3), (14 * MS, 5), (10**12, 5)]
    assert [(now, len(schedule.due(now))) for now, _ in table] == table


def test_a_stalled_broker_never_shifts_the_schedule() -> None:
    schedule = every(MS, 1_000)
    schedule.handed_over(3)
    assert schedule.due(100 * MS).tolist() == [i * MS for i in range(3, 101)]  # nothing was taken since: all are owed
    schedule.handed_over(50)
    assert schedule.due(100 * MS).tolist() == [i * MS for i in range(53, 101)]  # and each keeps the time that it had
    assert schedule.next_ns() == 53 * MS


@given(st.lists(st.integers(0, 700), max_size=60), st.integers(1, 20_000))
def test_whatever_is_taken_messages_keep_their_order_and_time(taken: list[int], count: int) -> None:
    schedule = every(MS, count)
    for amount in taken:
        due = len(schedule.due(10**15))
        assert due == 0 or schedule.next_ns() == schedule.position * MS
        assert (due == 0) == (schedule.position == count)
        schedule.handed_over(min(amount, due))


def test_a_schedule_that_ends_here_has_nothing_more() -> None:
    schedule = every(MS, 100)
    schedule.handed_over(len(schedule.due(4 * MS)))
    schedule.end_here()
    assert (schedule.position, len(schedule.due(10**12)), schedule.next_ns()) == (5, 0, None)


def test_an_empty_schedule_has_nothing_to_send() -> None:
    schedule = every(MS, 0)
    assert (len(schedule.due(10**12)), schedule.next_ns()) == (0, None)


def test_one_call_shares_its_duration_among_its_messages() -> None:
    assert handover_times(1_000, 2_000, 4).tolist() == [1_250, 1_500, 1_750, 2_000]
    assert handover_times(5, 5, 0).tolist() == []


def test_the_loop_wakes_for_the_next_message_within_its_bounds() -> None:
    assert wake_at(0, 5 * MS, 20 * MS) == 5 * MS
    assert wake_at(0, 500 * MS, 20 * MS) == 20 * MS  # outcomes are waiting to be read
    assert wake_at(0, -MS, 20 * MS) == GRID_NS  # overdue: not a busy loop
    assert wake_at(0, None, 20 * MS) == 20 * MS

"""A payload buffer is held until librdkafka has reported the last of its messages, in whatever order."""

from __future__ import annotations

import weakref

import numpy as np

from crep.harness.brokers.kafka.native.lent import LentBuffers


def numbers(*sequences: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(sequences, np.uint64)


def test_buffers_are_held_until_their_last_message_is_reported() -> None:
    lent = LentBuffers()
    buffers = [np.zeros(8, np.uint8) for _ in range(3)]
    seen = [weakref.ref(buffer) for buffer in buffers]
    for place, buffer in enumerate(buffers):
        lent.lend(buffer, 10 * place, 2)
        lent.lend(buffer, 10 * place + 5, 1)  # in two parts: sequence numbers 0, 1, 5; 10, 11, 15; …
    del buffer, buffers
    lent.reported(numbers(11, 0, 21))
    assert len(lent) == 3
    lent.reported(numbers(10, 15, 1))
    assert [one() is None for one in seen] == [False, True, False]
    lent.reported(numbers(5, 20, 25))
    assert len(lent) == 0
    assert [one() is None for one in seen] == [True, True, True]


def test_a_call_that_took_nothing_lends_nothing() -> None:
    lent = LentBuffers()
    lent.lend(np.zeros(8, np.uint8), 0, 0)
    assert len(lent) == 0


def test_a_buffer_that_comes_back_later_is_held_anew() -> None:
    lent, buffer = LentBuffers(), np.zeros(8, np.uint8)
    lent.lend(buffer, 0, 1)
    lent.reported(numbers(0))
    lent.lend(buffer, 1, 2)
    lent.reported(numbers(2))
    assert len(lent) == 1
    lent.clear()
    assert len(lent) == 0

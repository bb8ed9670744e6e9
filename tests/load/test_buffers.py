"""Payload buffers serve again when nobody holds them, with their filler, and never before."""

from __future__ import annotations

import numpy as np

from crep.harness.brokers.packed import Packed
from crep.harness.load.buffers import PayloadBuffers
from crep.harness.load.stamp import Renderer, parse
from crep.harness.metrics.history import INTACT

FILLER = np.arange(60, dtype=np.uint8)


def test_a_buffer_that_nobody_holds_serves_again_with_its_filler() -> None:
    buffers = PayloadBuffers()
    first = buffers.of(3, 100, FILLER)
    first.reshape(3, 100)[:, :40] = 7
    place = first.ctypes.data
    del first
    again = buffers.of(4, 100, FILLER)  # four are no more than what was made for three
    assert again.ctypes.data == place
    assert (again.reshape(4, 100)[:, 40:] == FILLER).all()


def test_a_buffer_is_not_given_away_while_one_payload_of_it_is_held() -> None:
    buffers = PayloadBuffers()
    first = buffers.of(2, 100, FILLER)
    packed = Packed(first, np.array([0, 100]), np.array([100, 100]))
    place, last = first.ctypes.data, packed[1:]
    del first, packed
    assert buffers.of(2, 100, FILLER).ctypes.data != place
    del last
    assert place in {one.ctypes.data for one in [buffers.of(2, 100, FILLER), buffers.of(2, 100, FILLER)]}


def test_payloads_of_another_length_have_buffers_of_their_own() -> None:
    buffers = PayloadBuffers()
    buffers.of(1, 200, FILLER)[:140] = 7  # and let it go
    assert (buffers.of(2, 100, FILLER).reshape(2, 100)[:, 40:] == FILLER).all()


def test_what_is_rendered_into_a_used_buffer_is_intact_and_what_is_held_stays_as_it_was() -> None:
    renderer = Renderer(run=5, publisher=0, seed=1, carrier="payload")

    def rendered(first: int) -> Packed:
        numbers = np.arange(first, first + 10)
        zeros, sizes = np.zeros(10, np.uint32), np.full(10, 1024, np.uint32)
        return renderer.render(numbers.astype(np.uint64), numbers, zeros, numbers.astype(np.uint32), sizes).bodies

    held = rendered(0)
    for first in range(10, 60, 10):  # each is let go at once
        records = parse(
            rendered(first), None, run=5, received_ns=np.zeros(10, np.int64), redelivered=np.zeros(10, "u1")
        )
        assert records["sequence"].tolist() == list(range(first, first + 10))
        assert (records["fault"] == INTACT).all()
    records = parse(held, None, run=5, received_ns=np.zeros(10, np.int64), redelivered=np.zeros(10, np.uint8))
    assert records["sequence"].tolist() == list(range(10))
    assert (records["fault"] == INTACT).all()

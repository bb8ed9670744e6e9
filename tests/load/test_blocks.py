from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.load.blocks import Block, Blocks
from crep.harness.load.stamp import Renderer
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

T0_NS = 10**12


def blocks(count: int, *, most: int = 4096, size: int = 100, clock_ahead_ns: int = 0) -> Blocks:
    plan = PublisherPlan(
        publisher=0,
        site="bus",
        channel="orders",
        load=0,
        index=0,
        of=1,
        guaranteed=True,
        seed=1,
        profile=Profile(tuple(hold(1000.0, count / 1000.0))),
        assignment=Assignment(seed=1, publisher=0, publishers=1, keys=10, topics=2),
        sizes=Sizes(((size, 1.0),)),
    )
    renderer = Renderer(run=1, publisher=0, seed=1, carrier="payload")
    return Blocks(plan, renderer, t0_ns=T0_NS, clock_ahead_ns=clock_ahead_ns, most=most)


def all_of(made: Blocks, length: int = 100) -> list[Block]:
    taken = []
    while len(block := made.take(length)):
        taken.append(block)
    return taken


@given(st.integers(1, 3000), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 900)), max_size=30))
@settings(max_examples=50, deadline=None)
def test_however_far_ahead_it_is_rendered_each_message_comes_once_in_order(
    count: int, uses: list[tuple[int, int]]
) -> None:
    made, taken = blocks(count), list[Block]()
    for steps, length in uses:
        for _ in range(steps):
            made.step(length)
        taken.append(made.take(length))
    taken += all_of(made)
    expected = all_of(blocks(count), 4096)
    for name in ("sequence", "intended_ns", "key", "key_sequence", "topic", "size"):
        values = np.concatenate([block.records[name] for block in taken])
        assert (values == np.concatenate([block.records[name] for block in expected])).all()
    bodies = [body for block in taken for body in block.rendered.bodies]
    assert bodies == [body for block in expected for body in block.rendered.bodies]


def test_a_block_is_ready_after_two_steps_and_a_third_changes_nothing() -> None:
    made = blocks(200)
    ready = []
    for _ in range(3):
        made.step(150)
        ready.append(made.ready)
    assert ready == [False, True, True]
    assert made.take(1).records["sequence"].tolist() == list(range(150))


def test_no_block_is_left_after_the_last_message() -> None:
    made = blocks(70)
    assert [len(made.take(1000)) for _ in range(3)] == [70, 0, 0]
    assert made.ready


@pytest.mark.parametrize(("most", "size", "length"), [(16, 100, 16), (4096, 1 << 20, 4), (4096, 8 << 20, 1)])
def test_a_block_keeps_its_bounds_of_messages_and_bytes(most: int, size: int, length: int) -> None:
    assert len(blocks(32, most=most, size=size).take(4096)) == length


def test_the_stamps_carry_the_time_of_the_clock_that_gave_the_schedule_and_the_records_our_own() -> None:
    here, there = blocks(5).take(5), blocks(5, clock_ahead_ns=7_000).take(5)
    assert (there.records["intended_ns"] == here.records["intended_ns"]).all()
    assert there.rendered.bodies[0][16:24] == (T0_NS - 7_000).to_bytes(8, "little")


def test_a_batch_and_its_records_are_the_same_messages() -> None:
    block = blocks(50).take(50)
    batch = block.batch(10, 60)
    assert batch.sequence.tolist() == list(range(10, 50))
    assert list(batch.bodies) == list(block.rendered.bodies)[10:]
    sent = block.handed_over(10, np.array([5, 6], np.int64))
    assert sent[["sequence", "sent_ns"]].tolist() == [(10, 5), (11, 6)]

"""Which offset may be committed: never one behind a message that is not done with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.kafka.streams import OpenOffsets


@given(
    gaps=st.lists(st.integers(1, 4), min_size=1, max_size=40),
    order=st.randoms(use_true_random=False),
    done=st.integers(0, 40),
)
def test_the_settled_offset_is_behind_every_accepted_and_before_every_open_message(
    gaps: list[int], order: object, done: int
) -> None:
    offsets = [sum(gaps[: place + 1]) for place in range(len(gaps))]  # compacted topics have holes
    shuffled = list(offsets)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    accepted = set(shuffled[:done])
    under_way = OpenOffsets()
    for offset in offsets:
        under_way.received(offset)
    for offset in shuffled[:done]:
        under_way.accept(offset)
    prefix = [offset for place, offset in enumerate(offsets) if set(offsets[: place + 1]) <= accepted]
    assert under_way.settled == (prefix[-1] + 1 if prefix else None)


def test_what_comes_again_has_to_be_accepted_again() -> None:
    under_way = OpenOffsets()
    for offset in range(5):
        under_way.received(offset)
    for offset in (0, 3, 4):
        under_way.accept(offset)
    under_way.again_from(2)
    for offset in (2, 3, 4):
        under_way.received(offset)
    under_way.accept(1)
    under_way.accept(2)
    assert under_way.settled == 3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.hashing import fractions, mixed
from crep.harness.scenario.sizes import Sizes


@st.composite
def assignments(draw: st.DrawFn) -> Assignment:
    keys = draw(st.integers(1, 60))
    publishers = draw(st.integers(1, keys))
    publisher = draw(st.integers(0, publishers - 1))
    return Assignment(draw(st.integers(0, 2**32 - 1)), publisher, publishers, keys, draw(st.integers(1, keys)))


@given(assignments(), st.integers(0, 300))
@settings(deadline=None)
def test_a_key_belongs_to_one_publisher(assignment: Assignment, count: int) -> None:
    keys, _ = assignment.of(np.arange(count, dtype=np.uint64))
    assert (keys % assignment.publishers == assignment.publisher).all()
    assert (keys < assignment.keys).all()


@given(assignments(), st.integers(1, 300))
@settings(deadline=None)
def test_the_sequence_of_each_key_counts_up_by_one_without_a_gap(assignment: Assignment, count: int) -> None:
    keys, key_sequences = assignment.of(np.arange(count, dtype=np.uint64))
    for key in set(keys.tolist()):
        mine = key_sequences[keys == key]
        assert mine.tolist() == list(range(len(mine)))


@given(assignments(), st.integers(0, 10**12), st.integers(1, 50))
@settings(deadline=None)
def test_key_and_sequence_depend_on_the_message_number_alone(assignment: Assignment, first: int, count: int) -> None:
    sequences = np.arange(first, first + count, dtype=np.uint64)
    keys, key_sequences = assignment.of(sequences)
    alone = [assignment.of([int(sequence)]) for sequence in sequences]
    assert keys.tolist() == [int(key[0]) for key, _ in alone]
    assert key_sequences.tolist() == [int(sequence[0]) for _, sequence in alone]


@given(assignments())
@settings(deadline=None)
def test_all_publishers_together_use_every_key_once_in_a_cycle(assignment: Assignment) -> None:
    every = [
        Assignment(assignment.seed, publisher, assignment.publishers, assignment.keys, assignment.topics).own_keys
        for publisher in range(assignment.publishers)
    ]
    assert sorted(np.concatenate(every).tolist()) == list(range(assignment.keys))


@given(assignments())
@settings(deadline=None)
def test_a_topic_is_fixed_for_its_key_whoever_asks_and_topics_are_even(assignment: Assignment) -> None:
    keys = np.arange(assignment.keys)
    topics = assignment.topic_of(keys)
    other = Assignment(assignment.seed, 0, 1, assignment.keys, assignment.topics)
    assert (topics == other.topic_of(keys)).all()
    shares = np.bincount(topics, minlength=assignment.topics)
    assert shares.max() - shares.min() <= 1


def test_the_same_seed_gives_the_same_keys_for_ever() -> None:
    """Written down, so that a change of the rule (or of numpy) cannot pass unseen: old runs must stay repeatable."""
    keys, key_sequences = Assignment(7, 1, 2, 10, 3).of(np.arange(10))
    assert keys.tolist() == [1, 3, 5, 7, 9, 7, 9, 1, 3, 5]
    assert key_sequences.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert Assignment(7, 1, 2, 10, 3).topic_of(np.arange(10)).tolist() == [2, 2, 0, 2, 1, 0, 1, 0, 0, 1]


def test_another_seed_gives_another_order_and_cycles_differ() -> None:
    one, other = (Assignment(seed, 0, 1, 1000, 9) for seed in (1, 2))
    first, second = (one.of(np.arange(start, start + 1000))[0] for start in (0, 1000))
    assert (first != second).any()
    assert sorted(first.tolist()) == sorted(second.tolist())
    assert (first != other.of(np.arange(1000))[0]).any()
    assert (one.topic_of(np.arange(1000)) != other.topic_of(np.arange(1000))).any()


@pytest.mark.parametrize(
    ("publishers", "keys", "topics"), [(3, 2, 1), (1, 2, 3)], ids=["more publishers than keys", "more topics than keys"]
)
def test_an_assignment_that_cannot_be_is_refused(publishers: int, keys: int, topics: int) -> None:
    with pytest.raises(ValueError, match="keys"):
        Assignment(1, 0, publishers, keys, topics)


def test_hashed_fractions_are_uniform_and_lie_below_one() -> None:
    drawn = fractions(5, np.arange(100_000))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.bincount((drawn * 20).astype(int), minlength=20)
    assert (abs(counts - 5_000) < 5 * 5_000**0.5).all()
    assert len(set(mixed(5, np.arange(100_000)).tolist())) == 100_000


def test_sizes_have_their_shares_and_depend_on_the_number_alone() -> None:
    sizes = Sizes(((100, 0.7), (1000, 0.3)))
    drawn = sizes.of(7, 3, np.arange(100_000))
    assert set(drawn.tolist()) == {100, 1000}
    assert (drawn == 1000).mean() == pytest.approx(0.3, abs=0.01)
    assert sizes.of(7, 3, [77_777])[0] == drawn[77_777]
    assert (sizes.of(7, 4, np.arange(1000)) != drawn[:1000]).any()
    assert Sizes.from_json(sizes.to_json()) == sizes


def test_one_size_is_that_size() -> None:
    assert Sizes(((1024, 1.0),)).of(1, 0, np.arange(3)).tolist() == [1024, 1024, 1024]


def test_shares_that_are_not_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="100 %"):
        Sizes(((100, 0.5), (200, 0.4)))

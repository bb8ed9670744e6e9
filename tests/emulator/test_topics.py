"""Topic matching: the documented rules, and the trie against a matcher that spells them out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.core.topics import TopicTrie, covers, is_valid, overlap


def reference(subscription: str, topic: str) -> bool:
    """One subscription, one topic, level by level."""
    pattern, levels = subscription.split("/"), topic.split("/")
    for at, level in enumerate(pattern):
        first_of_reserved = at == 0 and topic.startswith("#")
        if level == ">" and at == len(pattern) - 1:
            return len(levels) > at and not first_of_reserved
        if at >= len(levels):
            return False
        if level.endswith("*"):
            if first_of_reserved or not levels[at].startswith(level[:-1]):
                return False
        elif level != levels[at]:
            return False
    return len(pattern) == len(levels)


@pytest.mark.parametrize(
    ("subscription", "matching", "others"),
    [
        ("a/b", ["a/b"], ["a", "a/b/c", "A/b"]),
        ("a/*", ["a/b", "a/*"], ["a", "a/b/c"]),
        ("a/ab*", ["a/ab", "a/abc"], ["a/a", "a/xab", "a/ab/c"]),
        ("*b/a*c", ["*b/a*c"], ["bb/abc"]),
        ("a/>", ["a/b", "a/b/c", "a/>"], ["a"]),
        (">", ["a", "a/b"], ["#P2P/x"]),
        ("a/>/c", ["a/>/c"], ["a/b/c"]),
        ("#P2P/x/>", ["#P2P/x/y"], ["#P2P/x"]),
    ],
)
def test_the_documented_rules(subscription: str, matching: list[str], others: list[str]) -> None:
    trie: TopicTrie[str] = TopicTrie()
    trie.add(subscription, "target")
    assert [topic for topic in matching + others if trie.match(topic)] == matching
    assert [topic for topic in matching + others if reference(subscription, topic)] == matching


SHORT = st.lists(st.sampled_from(["a", "ab", "*", "a*", "ab*", ">", "#a"]), min_size=1, max_size=3).map("/".join)
#: Enough topics to tell any two subscriptions of that kind apart.
SOME_TOPICS = [
    "/".join(levels)
    for length in range(1, 5)
    for levels in itertools.product(["a", "ab", "abz", "z", ">", "#a"], repeat=length)
]


@given(SHORT, SHORT)
def test_one_subscription_covers_another_when_it_matches_all_its_topics(outer: str, inner: str) -> None:
    everything = all(reference(outer, topic) for topic in SOME_TOPICS if reference(inner, topic))
    assert covers(outer, inner) is everything


@given(SHORT, SHORT)
def test_subscriptions_overlap_when_they_have_a_topic_in_common(one: str, other: str) -> None:
    common = any(reference(one, topic) and reference(other, topic) for topic in SOME_TOPICS)
    assert overlap(one, other) is common
    assert overlap(other, one) is common


LEVEL = st.sampled_from(["a", "b", "ab", "abc", "*", "a*", "ab*", ">", "x*y"])
SUBSCRIPTION = st.lists(LEVEL, min_size=1, max_size=4).map("/".join)
TOPIC = st.lists(st.sampled_from(["a", "b", "ab", "abc", "xzy", "*", ">"]), min_size=1, max_size=5).map("/".join)


@given(st.lists(SUBSCRIPTION, max_size=12), st.lists(st.integers(0, 11), max_size=6), st.lists(TOPIC, max_size=6))
def test_the_trie_agrees_with_the_reference_after_any_adds_and_removes(
    subscriptions: list[str], removed: list[int], topics: list[str]
) -> None:
    trie: TopicTrie[int] = TopicTrie()
    held: dict[int, str] = {}
    for target, subscription in enumerate(subscriptions):
        trie.add(subscription, target)
        held[target] = subscription
    for topic in topics:
        trie.match(topic)
    for target in removed:
        if target in held:
            trie.remove(held.pop(target), target)
    for topic in topics:
        expected = {target for target, subscription in held.items() if reference(subscription, topic)}
        found = trie.match(topic)
        assert set(found) == expected
        assert len(found) == len(expected)


def test_removing_everything_leaves_nothing_behind() -> None:
    trie: TopicTrie[int] = TopicTrie()
    for subscription in ("a/b/c", "a/*/c", "a/>", ">", "x*"):
        trie.add(subscription, 1)
    for subscription in ("a/b/c", "a/*/c", "a/>", ">", "x*"):
        trie.remove(subscription, 1)
    assert trie._root.is_empty()


@pytest.mark.parametrize(
    ("topic", "valid"),
    [
        ("a", True),
        ("a/b", True),
        ("", False),
        ("/a", False),
        ("a/", False),
        ("a//b", False),
        ("a" * 250, True),
        ("a" * 251, False),
        ("é" * 126, False),
        ("/".join(["a"] * 125), True),
        ("/".join(["a"] * 129), False),
    ],
)
def test_limits_of_topics(topic: str, valid: bool) -> None:
    assert is_valid(topic) is valid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.brokers.topics import topic_matches
from crep.harness.scenario.topics import check_filter, expand, selection

levels = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("pattern", "topic", "selected"),
    [
        (None, "a/b", True),
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/*", "a/b", True),
        ("a/*", "a", False),
        ("a/*", "a/b/c", False),
        ("*/b", "a/b", True),
        ("a/>", "a/b/c", True),
        ("a/>", "a", False),
        (">", "a", True),
        ("*/>", "a", False),
        ("*/>", "a/b", True),
        ("a/*/c", "a/b/c", True),
        ("A/b", "a/b", False),
    ],
)
def test_a_filter_selects_by_levels(pattern: str | None, topic: str, selected: bool) -> None:
    assert topic_matches(pattern, topic) is selected


@given(levels)
def test_a_topic_selects_itself_and_stars_select_any_of_its_length(parts: list[str]) -> None:
    topic = "/".join(parts)
    assert topic_matches(topic, topic)
    assert topic_matches("/".join("*" * len(parts)), topic)
    assert not topic_matches("/".join("*" * (len(parts) + 1)), topic)


def test_a_template_gives_every_combination_the_last_level_changing_fastest() -> None:
    assert expand("o/{r:eu,us}/{t:new,paid}") == ("o/eu/new", "o/eu/paid", "o/us/new", "o/us/paid")
    assert expand("plain/topic") == ("plain/topic",)
    assert selection("o/eu/*", expand("o/{r:eu,us}/{t:new,paid}")).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "template",
    [
        "",
        "a//b",
        "/a",
        "a/",
        "a b",
        "a/*",
        "a/>",
        "a/{x}",
        "a/{x:}",
        "a/{x:1,1}",
        "a/{x:1,}",
        "a/x{y:1}",
        "\u00e4",
        "a" * 201,
    ],
)
def test_a_template_that_no_broker_takes_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        expand(template)


def test_a_template_for_too_many_topics_is_refused_before_they_are_made() -> None:
    level = "{x:" + ",".join(map(str, range(100))) + "}"
    with pytest.raises(ValueError, match="10,000 are allowed"):
        expand("/".join([level] * 12))


@pytest.mark.parametrize("pattern", ["", "a/>/b", "a*", "a/b*", ">a", "a//b", "a/{x:1}"])
def test_a_filter_that_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="filter"):
        check_filter(pattern)

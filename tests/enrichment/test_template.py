from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.enrichment.record import Record, StepFailed
from crep.enrichment.template import Legal, Template, anything, kafka_name, topic_level
from crep.harness.brokers.contract import Message

MESSAGE = Message("in/eu/new", b"", "k-1", {"tenant": "blue"})


def render(text: str, body: Any, legal: Legal = anything) -> str:
    return Template(text, legal).render(Record(MESSAGE, body))


@pytest.mark.parametrize(
    ("text", "body", "expected"),
    [
        ("plain", {}, "plain"),
        ("ext/{region}/{type}", {"region": "eu", "type": "new"}, "ext/eu/new"),
        ("{customer.id}", {"customer": {"id": 7}}, "7"),
        ("{items.1.sku}", {"items": [{"sku": "a"}, {"sku": "b"}]}, "b"),
        ("{paid}", {"paid": True}, "true"),
        ("{type|other}", {}, "other"),
        ("{type|}", {}, ""),
        ("{type|other}", {"type": "new"}, "new"),
        ("{@key}-{@topic}", {}, "k-1-in/eu/new"),
        ("{@topic.2}/{@properties.tenant}", {}, "eu/blue"),
        ("{@topic.9|none}", {}, "none"),
        ("{{{a}}}", {"a": 1}, "{1}"),
    ],
)
def test_fields_are_put_in(text: str, body: Any, expected: str) -> None:
    assert render(text, body) == expected


@pytest.mark.parametrize(
    ("text", "body", "reason"),
    [
        ("{region}", {}, "no field 'region'"),
        ("{region}", {"region": None}, "there is no 'region'"),
        ("{region}", {"region": ["eu"]}, "no text and no number"),
        ("{@topic.9}", {}, "there is no '@topic.9'"),
        ("{@properties.nobody}", {}, "there is no"),
    ],
)
def test_what_cannot_be_put_in_fails_the_message_with_the_reason(text: str, body: Any, reason: str) -> None:
    with pytest.raises(StepFailed, match=reason):
        render(text, body)


@pytest.mark.parametrize("text", ["{a", "a}", "{}", "{a..b}", "{@nothing}", "{@topic.0}", "{@key.x}"])
def test_a_template_that_is_not_understood_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"is (alone|no field|not understood)"):
        Template(text)


@pytest.mark.parametrize("value", ["", "a/b", "*", "a>", "x\n"])
def test_no_value_makes_another_solace_topic(value: str) -> None:
    with pytest.raises(StepFailed, match="topic level"):
        render("ext/{region}", {"region": value}, topic_level)


@pytest.mark.parametrize("value", ["", "a/b", "ä", "a b"])
def test_no_value_makes_an_impossible_kafka_topic(value: str) -> None:
    with pytest.raises(StepFailed, match="Kafka topic"):
        render("ext.{region}", {"region": value}, kafka_name)


@given(st.text(), st.text())
def test_a_legal_topic_has_as_many_levels_as_the_template(first: str, second: str) -> None:
    try:
        topic = render("ext/{a}/{b}", {"a": first, "b": second}, topic_level)
    except StepFailed:
        return
    assert topic.split("/") == ["ext", first, second]


@given(st.text(alphabet=st.characters(exclude_characters="{}")))
def test_text_without_braces_stays_as_it_is(text: str) -> None:
    assert render(text, {}) == text

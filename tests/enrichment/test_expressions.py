from __future__ import annotations

from typing import Any

import pytest

from crep.enrichment.expressions import Expression
from crep.enrichment.record import Record, StepFailed
from crep.harness.brokers.contract import Message

MESSAGE = Message("in/eu/new", b"", "k-1", {"tenant": "blue"})
BODY = {"quantity": 2, "price": 5.5, "name": "Ann", "tags": ["a", "b"], "customer": {"id": 7}, "body": 1, "none": None}


def value(text: str, body: Any = BODY) -> Any:
    return Expression(text).value(Record(MESSAGE, body))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("body.quantity * 2", 4),
        ("double(body.quantity) * body.price", 11.0),
        ("body.name + '-' + string(body.customer.id)", "Ann-7"),
        ("body.tags.map(t, t + '!')", ["a!", "b!"]),
        ("size(body.tags)", 2),
        ("has(body.missing) ? body.missing : 'none'", "none"),
        ("body.none == null", True),
        ("'body.missing' + key", "body.missingk-1"),
        ("topic.startsWith('in/') && properties.tenant == 'blue'", True),
        ("body['name']", "Ann"),
        ("'quantity' in body", True),
        ("body.body", 1),
        ("now > timestamp('2020-01-01T00:00:00Z')", True),
    ],
)
def test_expressions_see_body_key_topic_properties_and_time(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize("text", ["body.", "1 +", "", "undefined > 1", "nofunction(body)"])
def test_what_is_no_cel_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no CEL|Undefined"):
        Expression(text)


@pytest.mark.parametrize("text", ["body.missing + 1", "body.name + 1", "body.tags[9]", "body.quantity / 0"])
def test_what_cannot_be_computed_fails_the_message_with_the_expression(text: str) -> None:
    with pytest.raises(StepFailed, match="body"):
        value(text)


def test_a_condition_is_true_or_false_and_nothing_else() -> None:
    assert Expression("body.quantity > 1").holds(Record(MESSAGE, BODY))
    with pytest.raises(StepFailed, match="neither true nor false"):
        Expression("body.quantity").holds(Record(MESSAGE, BODY))


def test_only_the_fields_that_are_named_are_handed_over() -> None:
    class Watched(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            assert name != "large"
            return super().__getitem__(name)

    assert value("body.quantity * 2", Watched(quantity=2, large="x" * 1000)) == 4

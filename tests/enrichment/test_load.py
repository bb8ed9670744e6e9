"""Mistakes in a bridge file: each with its line, and all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.enrichment.examples import check_examples
from crep.enrichment.load import load_bridge
from crep.harness.config.errors import UsageError

GOOD = """bridge: trial
sites: {inside: {target: a}, outside: {target: b}}
lookups:
  customers: {table: customers.csv, key: id}
routes:
  orders:
    from: {site: inside, queue: q}
    to: {site: outside, topic: "out/{kind}"}
    dead_letters: {site: outside, topic: dead}
    steps:
      - lookup: {in: customers, by: customer_id, into: customer}
      - compute: {total: "body.n * 2"}
"""


def complaint(folder: Path, text: str) -> str:
    (folder / "customers.csv").write_text("id,name\n7,Ann\n")
    (folder / "bridge.yaml").write_text(text)
    with pytest.raises(UsageError) as refused:
        load_bridge(folder / "bridge.yaml")
    return str(refused.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "in: customers",
            "in: clients",
            "bridge.yaml:11:22: routes.orders.steps[0].lookup.in: there is no lookup 'clients'",
        ),
        ("queue: q}", "queue: q, topic: t, group: g}", "bridge.yaml:7:5: routes.orders.from: needs either 'queue'"),
        ("site: outside, topic: dead", "site: else, topic: dead", "there is no site 'else'; 'sites' declares: inside"),
        ("body.n * 2", "body.n *", "bridge.yaml:12:9: routes.orders.steps[1].compute: 'body.n *' is no CEL"),
        ("out/{kind}", "out/{kind", "bridge.yaml:8:32: routes.orders.to.topic: 'out/{kind': a '{' is alone"),
        ("key: id", "key: nr", "bridge.yaml:4:3: lookups.customers: customers.csv has no column 'nr'"),
        ("compute:", "calculate:", "bridge.yaml:12:9: routes.orders.steps[1].calculate: unknown key"),
        ("{table: customers.csv, key: id}", "{file: x}", "needs exactly one of 'table'"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert expected in complaint(tmp_path, GOOD.replace(old, new))


ONCE = """bridge: trial
sites: {bus: {target: a}, other: {target: b}}
routes:
  orders:
    from: {site: bus, topic: orders, group: g}
    to: {site: bus, topic: out}
    dead_letters: {site: bus, topic: dead}
    exactly_once: true
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "site: bus, topic: out",
            "site: other, topic: out",
            "bridge.yaml:6:16: routes.orders.to.site: exactly once is",
        ),
        (
            "bus, topic: dead",
            "other, topic: dead",
            "bridge.yaml:7:26: routes.orders.dead_letters.site: exactly once is",
        ),
        (
            "topic: orders, group: g",
            "queue: q",
            "bridge.yaml:8:19: routes.orders.exactly_once: exactly once is Kafka's",
        ),
    ],
)
def test_exactly_once_is_refused_where_no_transaction_reaches(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert expected in complaint(tmp_path, ONCE.replace(old, new))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("body.n * 2", "body.n *").replace("out/{kind}", "out/{kind").replace("key: id", "key: nr")
    assert complaint(tmp_path, text).count("bridge.yaml:") == 3


def test_an_example_that_does_not_hold_says_which_field_differs(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("id,name\n7,Ann\n")
    cases = """examples:
  - name: wrong
    route: orders
    input: {json: {customer_id: 7, n: 2, kind: new}}
    output:
      - {topic: out/old, json: {customer_id: 7, n: 2, kind: new, customer: {id: 7, name: Eve}, total: 4}}
  - {name: unknown, route: orders, input: {json: {customer_id: 8, n: 1, kind: new}}, filtered: lookup-1}
"""
    (tmp_path / "bridge.yaml").write_text(GOOD + cases)
    with load_bridge(tmp_path / "bridge.yaml") as bridge:
        wrong, unknown = check_examples(bridge)
    assert wrong.differences == ("topic is 'out/new', not 'out/old'", "customer.name is 'Ann', not 'Eve'")
    assert "dead-lettered by step 'lookup-1'" in unknown.differences[0]

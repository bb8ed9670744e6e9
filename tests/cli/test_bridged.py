"""A bridge is tried against what a scenario declares of it, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.harness.cli.inputs import check_services
from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.scenario.load import load_scenario

SCENARIO = """\
scenario: enrich
sites: [internal, external]
durability: {copies: 1, sync: disk}
channels:
  orders: {site: internal, topics: "orders/{region:eu,us}/{type:new,paid}", keys: 12}
  partners:
    site: external
    via: {from: orders, bridge: bridge.yaml, keeps: "orders/*/new", topic: "ext/{region}/{type}"}
    readers: {partner: {share: group}}
load:
  - {to: orders, message: {file: orders.jsonl}, rate: {total: [{hold: 100/s, for: 20 s}]}}
measure: {carrier: property}
"""
BRIDGE = """\
bridge: out
sites: {internal: {}, external: {}}
routes:
  orders:
    from: {site: internal, queue: orders}
    to: {site: external, topic: "ext/{@topic.2}/{@topic.3}"}
    dead_letters: {site: external, topic: dead}
    steps:
      - filter: "topic.endsWith('/new')"
      - compute: {total: "body.price * body.quantity"}
"""
ORDERS = '{"price": 2, "quantity": 3, "lines": [1, 2]}\n'


def _check(folder: Path, scenario: tuple[str, str] = ("", ""), bridge: tuple[str, str] = ("", "")) -> None:
    (folder / "enrich.yaml").write_text(SCENARIO.replace(*scenario))
    (folder / "bridge.yaml").write_text(BRIDGE.replace(*bridge))
    (folder / "orders.jsonl").write_text(ORDERS)
    check_services(load_scenario(folder / "enrich.yaml"))


def test_a_bridge_that_does_what_is_declared_is_let_through(tmp_path: Path) -> None:
    _check(tmp_path)


@pytest.mark.parametrize("name", ["int-f3-enrichment", "int-f3-own-enricher"])
def test_the_scenarios_that_come_with_crep_are(name: str) -> None:
    check_services(load_scenario(resource(f"scenarios/{name}.yaml")))


@pytest.mark.parametrize(
    ("scenario", "bridge", "told"),
    [
        ((', keeps: "orders/*/new"', ""), ("", ""), "/paid goes on not at all; declared is that it goes on as ext/"),
        (("", ""), ("/new", "/paid"), "; declared is that it goes on "),
        (("ext/{region}", "out/{region}"), ("", ""), "/new; declared is that it goes on as out/"),
        (("", ""), ("body.price *", "body.prize *"), "goes on to the dead letters (compute-2: "),
        (
            ("", ""),
            ("- compute", "- split: {at: lines, into: line, keep: [price, quantity]}\n      - compute"),
            "as 2 messages, and there can",
        ),
        ((", keeps", ", route: order, keeps"), ("", ""), "bridge out has no route 'order'; did you mean 'orders'?"),
    ],
)
def test_one_that_does_something_else_is_refused_at_its_line(
    tmp_path: Path, scenario: tuple[str, str], bridge: tuple[str, str], told: str
) -> None:
    with pytest.raises(UsageError) as refused:
        _check(tmp_path, scenario, bridge)
    assert refused.value.message.startswith("enrich.yaml:8:5: channels.partners.via: ")
    assert told in refused.value.message


def test_a_mistake_in_the_bridge_file_is_told_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bridge\.yaml:9:\d+: routes\.orders\.steps\[0\]"):
        _check(tmp_path, bridge=("topic.endsWith('/new')", "topic.endsWith("))

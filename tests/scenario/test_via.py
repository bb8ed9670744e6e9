"""A service between two channels: what a scenario may say of it, and what the plan makes of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.scenario.load import parse_scenario
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan, plan

TEXT = """\
scenario: enrich
sites: [internal, external]
durability: {copies: 1, sync: disk}
channels:
  orders:
    site: internal
    topics: ["orders/{region:eu,us}/{type:new,paid}", "returns/{region:eu,us}/{type:new}"]
    keys: 12
  partners:
    site: external
    via: {from: orders, command: python enrich.py, topic: "ext/{region}/{type}", keeps: "orders/*/new"}
    readers:
      partner: {share: group, order: per-key}
      us: {share: exclusive, filter: {topic: "ext/us/*"}}
load:
  - {to: orders, publishers: 2, message: {size: 1 KiB}, rate: {total: [{hold: 100/s, for: 20 s}]}}
timeline:
  - {at: 12 s, do: kill-bridge, channel: partners, restart_after: 1 s}
expect:
  - partner.lost == 0
"""


def _scenario(*changes: tuple[str, str], folder: Path = Path()) -> Scenario:
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return parse_scenario(text, folder / "enrich.yaml")


def _plan(*changes: tuple[str, str]) -> Plan:
    return plan(_scenario(*changes))


def test_what_must_arrive_follows_from_the_declared_transform() -> None:
    made = _plan()
    (spec,) = made.channels["external"]
    assert spec.topics == ("ext/eu/new", "ext/eu/paid", "ext/us/new", "ext/us/paid", "ext/eu/new", "ext/us/new")
    expected = {reader.name: made.selected(spec, reader).tolist() for reader in spec.readers}
    assert expected["partner"] == [True, False, True, False, False, False]
    assert expected["us"] == [False, False, True, False, False, False]


def test_the_publishers_of_the_other_channel_feed_it() -> None:
    made = _plan()
    assert made.publishers_of("partners") == ()
    assert [one.publisher for one in made.feeders_of("partners")] == [0, 1]
    assert made.feeders_of("orders") == made.publishers_of("orders")
    assert made.documents_before("partners") is None


def test_without_a_rule_all_goes_on_under_its_topic() -> None:
    made = _plan((', topic: "ext/{region}/{type}", keeps: "orders/*/new"', ""), (', filter: {topic: "ext/us/*"}', ""))
    (source,), (spec,) = made.channels["internal"], made.channels["external"]
    assert spec.topics == source.topics
    assert all(made.selected(spec, reader).all() for reader in spec.readers)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "from: orders",
            "from: order",
            "11:17: channels.partners.via.from: there is no channel 'order'; did you mean 'orders'",
        ),
        (
            "command: python",
            "comand: python",
            "11:25: channels.partners.via.comand: unknown key; did you mean 'command'",
        ),
        (
            "{region}/{type}",
            "{land}/{type}",
            "{land} is no level of the topics that come in; their names are {region}, ",
        ),
        ('"orders/*/new"}', '"order/*/new"}', "channels.partners.via.keeps: 'order/*/new' selects none of the topics"),
        ("command: python enrich.py, ", "", "channels.partners.via: needs either 'bridge'"),
        ("enrich.py,", "enrich.py, route: a,", "channels.partners.via: 'route' is a bridge's"),
        (
            "    site: external\n",
            "    site: external\n    keys: 5\n",
            "has 'via', so its keys come from channel 'orders'",
        ),
        ("    keys: 12\n", "", "channels.orders: needs 'keys'; or 'via'"),
        ("ext/us/*", "ext/us/paid", "'ext/us/paid' selects none of the channel's topics, for example 'ext/eu/new'"),
        ("to: orders", "to: partners", "load[0].to: channel 'partners' is filled by its 'via'; send to 'orders'"),
        ("partner.lost == 0", "partners.rejected == 0", "is about publishers, and 'partners' is filled by a service"),
        ("channel: partners", "channel: orders", "no bridge fills channel 'orders'; channels with 'via': partners"),
        ("size: 1 KiB", "size: 1 KiB, ttl: 1 s", "message.ttl: a service stands behind channel 'orders'"),
        ("      us:", "      via-us:", "names that begin with 'via-' are those of services"),
        ("size: 1 KiB", "file: none.jsonl", "load[0].message.file: none.jsonl: there is no such file"),
        ("command: python enrich.py", "bridge: b.yaml", "channels.partners.via.bridge: b.yaml: there is no such file"),
    ],
)
def test_a_mistake_is_told_at_its_place(old: str, new: str, line: str) -> None:
    with pytest.raises(UsageError) as refused:
        _scenario((old, new))
    assert line in refused.value.message


def test_a_channel_that_nobody_reads_is_refused() -> None:
    with pytest.raises(UsageError, match="needs 'readers', because no service takes its messages"):
        _scenario(("from: orders, command: python enrich.py", "from: other, command: a"), ("channels:\n", OTHER))


OTHER = "channels:\n  other: {site: internal, topics: 'o/{region:eu}/{type:new}', keys: 1}\n"


def test_documents_go_by_key_and_need_the_stamp_beside_them(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text('{"a": 1}\n\n{"a": 22}\n')
    with_file = ("size: 1 KiB", "file: orders.jsonl")
    with pytest.raises(UsageError, match="would be spoiled by a stamp before it: write 'carrier: property'"):
        _scenario(with_file, folder=tmp_path)
    made = plan(_scenario(with_file, ("expect:", "measure: {carrier: property}\nexpect:"), folder=tmp_path))
    first = made.publishers[0]
    keys, _ = first.assignment.of(range(6))
    assert first.size_of(range(6)).tolist() == [(8, 9)[key % 2] for key in keys.tolist()]
    assert made.documents_before("partners") == first.documents
    assert type(first).from_json(first.to_json()) == first

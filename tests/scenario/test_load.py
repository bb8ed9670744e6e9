from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.scenario.library import built_in_scenarios, requirements, scenario_path
from crep.harness.scenario.load import load_scenario, parse_scenario
from crep.harness.scenario.model import Scenario

Refusal = Callable[..., list[str]]
Good = Callable[..., Scenario]
EVENT = "{at: 8 s, do: kill-broker, node: leader-of orders, restart_after: 1 s}"


def test_a_good_scenario_carries_its_source(written: Callable[..., Path]) -> None:
    path = written()
    scenario = load_scenario(path, {"rate": "50/s"})
    assert (scenario.name, scenario.file_name, scenario.params) == ("orders", "scenario.yaml", {"rate": "50/s"})
    assert scenario.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert scenario.text == path.read_text()
    assert (scenario.durability.copies, scenario.durability.sync) == (1, "disk")
    assert (scenario.measure.warm_up, scenario.measure.drain, scenario.measure.repeat) == (2, 60, 5)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("keys: 20", "kyes: 20", "8:5: channels.orders.kyes: unknown key; did you mean 'keys'?"),
        ("keys: 20", "keys: 0", "8:11: channels.orders.keys: must be above 0, not 0"),
        ("keys: 20", "keys: 2.5", "8:11: channels.orders.keys: must be a whole number, not 2.5"),
        ("keys: 20", "keys: '20'", "8:11: channels.orders.keys: must be a whole number, not '20'"),
        ("share: group", "share: grup", "10:24: channels.orders.readers.billing.share: 'grup' is not one of"),
        ("{size: 1 KiB}", "{size: 1024}", "14:49: load[0].message.size: a size needs a number and a unit"),
        ("{size: 1 KiB}", "{size: 39 B}", "14:49: load[0].message.size: 39 B is smaller than crep's stamp"),
        ("{size: 1 KiB}", "{size: 2 GiB}", "14:49: load[0].message.size: no target takes a message of 2 GiB"),
        ("{size: 1 KiB}", "{}", "14:33: load[0].message: needs one of 'size', 'sizes' and 'file'"),
        ("{hold: $rate, for: 20 s}", "{hold: 0/s, for: 20 s}", "14:79: load[0].rate.total[0].hold: a rate of 0/s"),
        ("{hold: $rate, for: 20 s}", "{hold: $rate}", "14:72: load[0].rate.total[0].for: is missing"),
        ("{hold: $rate, for: 20 s}", "{hlod: $rate, for: 20 s}", "14:72: load[0].rate.total[0]: is no part of a"),
        ("{hold: $rate, for: 20 s}", "{ramp: $rate, over: 20 s}", "14:72: load[0].rate.total[0]: a ramp at the begin"),
        ("{hold: $rate, for: 20 s}", "{burst: $rate, for: 20 s}", "14:72: load[0].rate.total[0]: a burst needs"),
        ("for: 20 s}]", "for: 20 s}, {burst: 9/s, for: 2 s, every: 1 s}]", "a burst of 2 s cannot come every 1 s"),
        ("publishers: 2", "publishers: 21", "14:30: load[0].publishers: 21 publishers of channel 'orders' cannot"),
        ("to: orders, ", "to: order, ", "14:10: load[0].to: there is no channel 'order'; did you mean 'orders'?"),
        ("keys: 20", "keys: 3", "8:11: channels.orders.keys: 3 keys cannot cover 4 topics"),
        ("{type:new,paid}", "{type:new,new}", "7:13: channels.orders.topics: level '{type:new,new}' of topic"),
        ("{type:new,paid}", "{type}", "7:13: channels.orders.topics: level '{type}' of topic"),
        ('"orders/eu/*"', '"orders/ue/*"', "11:61: channels.orders.readers.audit.filter.topic: 'orders/ue/*' selects"),
        ('"orders/eu/*"', '"orders/>/eu"', "11:61: channels.orders.readers.audit.filter.topic: filter 'orders/>/eu'"),
        ("screen:", "orders:", "12:7: channels.orders.readers.orders: a channel has the same name"),
        ("audit:", "screen-1:", "11:7: channels.orders.readers.screen-1: member 'screen-1' of a reader"),
        ("billing:", "Billing:", "10:7: channels.orders.readers.Billing"),
        ("[INT-N2]", "[INT-N9]", "2:13: evidences[0]: there is no requirement 'INT-N9'; did you mean"),
        ("at: 8 s", "at: 20 s", "16:10: timeline[0].at: the profile ends at 20 s, so this would never happen"),
        ("at: 8 s", "at: 8", "16:10: timeline[0].at: a duration needs a number and a unit"),
        ("restart_after: 1 s", "restart_after: 12 s", "16:71: timeline[0].restart_after: the broker would start again"),
        (", restart_after: 1 s", "", "16:19: timeline[0].do: with one copy of each message, all is lost"),
        ("kill-broker", "kil-broker", "16:5: timeline[0]: 'kil-broker' is not one of kill-broker, stop-broker,"),
        ("leader-of orders", "leader-of order", "16:38: timeline[0].node: there is no channel 'order'; did you mean"),
        ("leader-of orders", "the leader", "16:38: timeline[0].node: 'the leader' is not understood"),
        (EVENT, f"{EVENT}\n  - {EVENT}".replace("8 s", "8.5 s", 1), "is still down then"),
        (EVENT, "{at: 8 s, do: replay, channel: order, last: 5 s}", "there is no channel 'order'"),
        (EVENT, "{at: 8 s, do: replay, channel: orders, last: 5 s, pace: quick}", "a pace is 'original' (as it was)"),
        ("expect:", "expect:\n  - orders.replay.missing == 0", "needs a replay, and the timeline has none"),
        ("billing.lost", "biling.lost", "19:5: expect[0]: there is no channel or reader 'biling'; did you mean"),
        ("billing.lost", "screen.lost", "19:5: expect[0]: lost is always 0, because reader 'screen' is at-most-once"),
        ("billing.lost", "audit.reordered", "19:5: expect[0]: reordered is always 0, because reader 'audit' asks for"),
        (
            "billing.lost",
            "screen.reordered",
            "19:5: expect[0]: reordered is always 0, because reader 'screen' is at-most",
        ),
        ("billing.lost", "billing.missing", "19:5: expect[0]: missing is always 0, because reader 'billing' may miss"),
        ("to: orders", "to: orders, mode: direct", "19:5: expect[0]: lost needs acknowledgements"),
        ("sync: disk", "sync: dsik", "4:31: durability.sync: 'dsik' is not one of none, memory, disk; did you mean"),
        ("durability: {copies: 1, sync: disk}", "", "1:1: durability: is missing"),
        ("scenario: orders", "scenario: My Orders", "1:11: scenario: 'My Orders' is no name"),
        ("measure: {", "measure: {seed: -1, ", "17:17: measure.seed: must be at least 0, not -1"),
        ("measure: {", "measure: {carrier: header, ", "measure.carrier: 'header' is not one of payload, property"),
        ("load:\n", "sites: [bus, dmz]\nload:\n", "6:3: channels.orders: needs 'site', because there are several"),
    ],
)
def test_a_mistake_is_told_at_its_place(refusal: Refusal, old: str, new: str, line: str) -> None:
    lines = refusal((old, new))
    assert any(line in told for told in lines), lines


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("order: per-key", "order: total", "channels.orders.readers.billing.order"),
        ('"orders/eu/*"', '"orders/eu/*", properties: [{name: a, equals: b}]', "audit.filter.properties"),
        ("{size: 1 KiB}", "{size: 1 KiB, priority: 3}", "load[0].message.priority"),
        ("expect:", "users: {publishers: a}\nexpect:", "users"),
        ("expect:", "tls: {readers: true}\nexpect:", "tls"),
    ],
)
def test_what_a_later_version_brings_is_spelled_and_refused(refusal: Refusal, old: str, new: str, key: str) -> None:
    (line,) = refusal((old, new))
    assert f"{key}: " in line
    assert "not available yet" in line


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "params: {rate: 100/s}",
            "params: {rate: 1000000000000000/s}",
            "1000000000000000/s is no rate that can be sent",
        ),
        ("for: 20 s", "for: 87600 h", "load[0].rate.total[0].for: 87600 h is longer than a run can be"),
        ("for: 20 s}]", "for: 700 h}, {hold: 1/s, for: 700 h}]", "the parts last 1400 h together"),
        (
            "{hold: $rate, for: 20 s}",
            "{hold: $rate, for: 9 s}, {hold: 5000000/s, for: 700 h}",
            "12,600,000,001,100 mes",
        ),
        (
            "{size: 1 KiB}, rate: {total: [{hold: $rate, for: 20 s}",
            "{size: 10 MB}, rate: {total: [{hold: $rate, for: 9 s}, {hold: 9000/s, for: 9 s}",
            "90 GB in a second",
        ),
        (
            "keys: 20",
            "keys: 100000000",
            "8:11: channels.orders.keys: 100,000,000 keys need more memory than clients have",
        ),
        ("keys: 20", "keys: {count: 1000000, skew: zipf 1.5}", "channels.orders.keys.skew: of 500,000 keys with 'zipf"),
        (
            "keys: 20",
            "keys: {count: 20, skew: pareto 2}",
            "channels.orders.keys.skew: 'pareto 2' is not understood; write",
        ),
        ("keys: 20", "keys: {count: 20}", "channels.orders.keys.skew: is missing"),
        (
            "members: 3",
            "members: 2001",
            "1 publishers and 2,005 members of readers are 2,006 clients; each is a process",
        ),
        ("{size: 1 KiB}", f"{{size: {'9' * 400} B}}", "is too large to be meant"),
        ("hold: $rate", f"hold: {'9' * 400}/s", "is too large to be meant"),
        ("for: 20 s}", f"for: {'9' * 400} s}}", "is too large to be meant"),
        (
            "{hold: $rate, for: 20 s}",
            "{hold: $rate, for: 9 s}, {burst: 900/s, for: 1 s, times: 10001}",
            "10,000 bursts",
        ),
        ("measure: {", "measure: {drain: 9000 h, ", "measure.drain: 9000 h is longer than a run can be; write at most"),
    ],
)
def test_what_no_machine_could_do_is_refused_with_a_reason(refusal: Refusal, old: str, new: str, line: str) -> None:
    said = refusal((old, new), *((("publishers: 2", "publishers: 1"),) if "members" in old else ()))
    assert any(line in one for one in said), said


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("{sine: 500/s, period: 5 s}", "load[0].rate.total[0]: a sine wave at the beginning needs 'from', its lowest"),
        ("{hold: 900/s, for: 20 s}, {sine: 500/s, period: 5 s}", "900/s is not below 500/s; give 'from'"),
        ("{sine: 500/s, from: 9/s}", "load[0].rate.total[0].period: is missing"),
    ],
)
def test_a_wave_needs_room_to_swing(refusal: Refusal, part: str, line: str) -> None:
    said = refusal(("{hold: $rate, for: 20 s}", part), ("params: {rate: 100/s}\n", ""))
    assert line in said[0]


@pytest.mark.parametrize(
    ("recorded", "line"),
    [
        (None, "load[0].rate.recorded: {folder}/arrivals.txt: there is no such file"),
        ("0\n1.5\nsoon\n", "load[0].rate.recorded: {folder}/arrivals.txt:3:1: 'soon' is no time; write seconds from"),
        ("0\n1.5\n1.4\n", "load[0].rate.recorded: {folder}/arrivals.txt:3:1: 1.4 is earlier than the line before"),
        ("# nothing\n\n", "load[0].rate.recorded: {folder}/arrivals.txt: holds no arrival; write one time"),
        ("0\n99999999\n", "load[0].rate.recorded: {folder}/arrivals.txt: lasts 99,999,999 s; at most 31 days"),
        ("0\nnan\n", "load[0].rate.recorded: {folder}/arrivals.txt:2:1: 'nan' is no time"),
    ],
)
def test_a_bad_arrival_file_is_told_where_it_is_named(
    refusal: Refusal, tmp_path: Path, recorded: str | None, line: str
) -> None:
    if recorded is not None:
        (tmp_path / "arrivals.txt").write_text(recorded)
    change = ("{total: [{hold: $rate, for: 20 s}]}", "{recorded: arrivals.txt}")
    (said,) = refusal(change, ("params: {rate: 100/s}\n", ""))
    assert line.format(folder=tmp_path) in said
    assert said.startswith("13:")


def test_a_profile_is_either_written_or_recorded(refusal: Refusal) -> None:
    both = ("{total: [", "{recorded: a.txt, total: [")
    assert refusal(both) == ["14:57: load[0].rate: needs either 'total' or 'recorded'"]
    poisson = ("{total: [{hold: $rate, for: 20 s}]}", "{recorded: a.txt, arrivals: poisson}")
    (said,) = refusal(poisson, ("params: {rate: 100/s}\n", ""))
    assert "recorded arrivals are sent as they came" in said


def test_a_key_of_a_later_version_is_checked_as_written(refusal: Refusal) -> None:
    assert refusal(("keys: 20", "keys: 20\n    dead_letters: {after: 3}")) == [
        "9:5: channels.orders.dead_letters.after_deliveries: is missing",
        "9:20: channels.orders.dead_letters.after: unknown key; there are: after_deliveries",
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(refusal: Refusal) -> None:
    lines = refusal(("keys: 20", "keys: x"), ("1 KiB", "1 kb"), ("at: 8 s", "at: soon"))
    assert [line.split(":")[0] for line in lines] == ["8", "14", "16"]


def test_a_channel_without_load_is_refused(refusal: Refusal) -> None:
    other = "  spare: {topics: a, keys: 1, readers: {one: {share: all}}}\nload:"
    assert refusal(("load:", other)) == ["13:3: channels.spare: no load entry sends to this channel"]


def test_sites_must_be_declared_used_and_named_once(refusal: Refusal) -> None:
    assert refusal(
        ("durability", "sites: [internal, external, internal]\ndurability"),
        ("keys: 20", "keys: 20\n    site: external"),
    ) == [
        "4:9: sites[0]: no channel is at site 'internal'",
        "4:29: sites[2]: site 'internal' is named twice",
        "4:29: sites[2]: no channel is at site 'internal'",
    ]
    lines = refusal(("keys: 20", "keys: 20\n    site: bsu"))
    assert "9:11: channels.orders.site: there is no site 'bsu'; did you mean 'bus'?" in lines


def test_a_fault_expectation_without_a_fault_is_refused(refusal: Refusal) -> None:
    lines = refusal(
        (f"timeline:\n  - {EVENT}\n", ""), ("billing.lost == 0", "orders.recovery < 5 s"), ("outside", "during")
    )
    assert [line.split(": ", 2)[2] for line in lines] == [
        "recovery needs a fault, and the timeline has none",
        "latency.p99 needs a fault, and the timeline has none",
    ]


class TestParameters:
    def test_a_given_value_replaces_the_declared_one(self, scenario: Good) -> None:
        assert scenario(rate="500/s").definition.load[0].rate.total[0].hold == 500  # type: ignore[index,union-attr]

    def test_a_number_keeps_its_type(self, scenario: Good) -> None:
        changes = (("{rate: 100/s}", "{rate: 100/s, clients: 4}"), ("publishers: 2", "publishers: $clients"))
        assert scenario(*changes).definition.load[0].publishers == 4
        assert scenario(*changes, clients="5").definition.load[0].publishers == 5

    def test_a_reference_inside_a_text_is_written_in(self, scenario: Good) -> None:
        changes = (("{rate: 100/s}", "{rate: 100/s, p99: 50 ms}"), ("< 50 ms", "< $p99"))
        assert scenario(*changes, p99="9 ms").definition.expect[1] == "billing.latency.p99 < 9 ms outside faults"

    def test_recorded_parameters_give_the_same_scenario_again(self, written: Callable[..., Path]) -> None:
        path = written(("{rate: 100/s}", "{rate: 100/s, label: '5'}"), ("evidences", "title: $label\nevidences"))
        first = load_scenario(path, {"rate": "50/s"})
        assert parse_scenario(first.text, Path(first.file_name), first.params) == first

    def test_two_dollars_are_one(self, scenario: Good) -> None:
        assert scenario(("evidences", "title: costs 5 $$x\nevidences")).title == "costs 5 $x"

    def test_a_wrong_value_is_told_where_it_is_used_and_where_it_came_from(self, refusal: Refusal) -> None:
        (line,) = refusal(rate="fast")
        assert line.startswith("14:79: load[0].rate.total[0].hold: a rate needs a number and a unit")
        assert line.endswith("not 'fast' ($rate is fast)")

    def test_an_unknown_parameter_is_refused(self, refusal: Refusal) -> None:
        assert refusal(raet="1/s") == ["-p raet=1/s: the scenario has no parameter 'raet'; did you mean 'rate'?"]

    def test_an_unknown_reference_is_told_once(self, refusal: Refusal) -> None:
        assert refusal(("{hold: $rate", "{hold: $raet")) == [
            "3:10: params.rate: nothing in the scenario refers to $rate",
            "14:79: load[0].rate.total[0].hold: there is no parameter $raet; did you mean 'rate'?",
        ]


def test_every_scenario_that_comes_with_crep_is_valid() -> None:
    assert "demo" in built_in_scenarios()
    for path in (*built_in_scenarios().values(), resource("scenarios/template.yaml")):
        assert load_scenario(path).name == path.stem


def test_there_are_seventeen_requirements() -> None:
    assert len(requirements()) == 17


def test_a_scenario_is_found_by_path_or_name(tmp_path: Path) -> None:
    assert scenario_path("demo") == built_in_scenarios()["demo"]
    assert scenario_path("elsewhere/x.yaml") == Path("elsewhere/x.yaml")
    with pytest.raises(UsageError, match="did you mean 'demo'"):
        scenario_path("demoo")

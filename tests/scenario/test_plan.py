from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from crep.harness.brokers.contract import Durability
from crep.harness.config.resources import resource
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan, without_faults
from crep.harness.scenario.publisher_plan import PublisherPlan

Good = Callable[..., Scenario]
TWO_ENTRIES = (
    "timeline:",
    "  - {to: orders, publishers: 3, mode: direct, message: {sizes: [{size: 100 B, share: 25 %}, "
    "{size: 1 KiB, share: 75 %}]}, rate: {total: [{hold: 30/s, for: 5 s}]}}\ntimeline:",
)


def test_the_publishers_of_an_entry_send_every_number_once(scenario: Good) -> None:
    made = plan(scenario())
    numbers = [np.arange(publisher.count) * publisher.of + publisher.index for publisher in made.publishers]
    assert sorted(np.concatenate(numbers).tolist()) == list(range(made.publishers[0].profile.count))
    times = np.concatenate([publisher.intended_ns(np.arange(publisher.count)) for publisher in made.publishers])
    assert sorted(times.tolist()) == made.publishers[0].profile.intended_ns(np.arange(2_200)).tolist()


def test_warm_up_ends_where_a_publishers_times_reach_zero(scenario: Good) -> None:
    for publisher in plan(scenario(("publishers: 2", "publishers: 7"), rate="33/s")).publishers:
        times = publisher.intended_ns(np.arange(publisher.count))
        assert (times < 0).sum() == publisher.warm_up_count
        assert (times[publisher.warm_up_count :] >= 0).all()


def test_publishers_of_two_entries_share_the_keys_of_their_channel(scenario: Good) -> None:
    made = plan(scenario(TWO_ENTRIES))
    assert [publisher.publisher for publisher in made.publishers] == [0, 1, 2, 3, 4]
    assert [(publisher.load, publisher.index, publisher.of) for publisher in made.publishers] == [
        (0, 0, 2),
        (0, 1, 2),
        (1, 0, 3),
        (1, 1, 3),
        (1, 2, 3),
    ]
    assert [publisher.channel_index for publisher in made.publishers_of("orders")] == [0, 1, 2, 3, 4]
    assert {publisher.channel_publishers for publisher in made.publishers} == {5}
    assert [publisher.guaranteed for publisher in made.publishers] == [True, True, False, False, False]
    keys = [set(publisher.assignment.own_keys.tolist()) for publisher in made.publishers]
    assert sorted(key for own in keys for key in own) == list(range(20))
    assert made.measured_s == 20


def test_a_reader_for_all_becomes_one_reader_for_each_member(scenario: Good) -> None:
    (channel,) = plan(scenario()).channels["bus"]
    assert [(reader.name, reader.share, reader.members) for reader in channel.readers] == [
        ("billing", "group", 3),
        ("audit", "exclusive", 2),
        ("screen-1", "all", 1),
        ("screen-2", "all", 1),
    ]
    assert [reader.order for reader in channel.readers] == ["per-key", "none", "none", "none"]
    assert channel.durability == Durability(1, "disk")


def test_a_reader_with_a_filter_gets_the_topics_that_it_selects(scenario: Good) -> None:
    made = plan(scenario())
    (channel,) = made.channels["bus"]
    chosen = {reader.name: made.selected(channel, reader).tolist() for reader in channel.readers}
    assert chosen["audit"] == [True, True, False, False]
    assert chosen["billing"] == [True, True, True, True]


def test_events_are_numbered_by_time_and_name_their_site(scenario: Good) -> None:
    later = "{at: 8 s, do: kill-broker, node: leader-of orders, restart_after: 1 s}"
    earlier = "{at: 2 s, do: kill-broker, node: node-2, restart_after: 1 s}"
    events = plan(scenario((later, f"{later}\n  - {earlier}"))).timeline
    assert [(event.index, event.at_s, event.site, event.node) for event in events] == [
        (0, 2, "bus", "node-2"),
        (1, 8, "bus", "leader-of orders"),
    ]
    assert [event.ends_s for event in events] == [3, 9]


def test_channels_lie_at_their_sites(scenario: Good) -> None:
    made = plan(
        scenario(
            ("durability", "sites: [internal, external]\ndurability"),
            ("keys: 20", "site: internal\n    keys: 20"),
            ("load:\n", "  alerts: {site: external, topics: a, keys: 1, readers: {duty: {share: all}}}\nload:\n"),
            ("timeline:", "  - {to: alerts, message: {size: 50 B}, rate: {total: [{hold: 1/s, for: 3 s}]}}\ntimeline:"),
        )
    )
    assert {site: [channel.name for channel in channels] for site, channels in made.channels.items()} == {
        "internal": ["orders"],
        "external": ["alerts"],
    }
    assert [publisher.site for publisher in made.publishers] == ["internal", "internal", "external"]
    assert made.timeline[0].site == "internal"


def test_a_publisher_survives_its_way_to_the_engine(scenario: Good) -> None:
    for publisher in plan(scenario(TWO_ENTRIES)).publishers:
        assert PublisherPlan.from_json(json.loads(json.dumps(publisher.to_json()))) == publisher


def test_sizes_are_the_same_in_every_repetition(scenario: Good) -> None:
    publisher = plan(scenario(TWO_ENTRIES)).publishers[3]
    again = PublisherPlan.from_json(publisher.to_json())
    assert (publisher.size_of(np.arange(50)) == again.size_of(np.arange(50))).all()
    assert set(publisher.size_of(np.arange(50)).tolist()) == {100, 1024}


def test_the_control_run_has_the_first_rate_and_no_fault(scenario: Good) -> None:
    ramped = ("{hold: $rate, for: 20 s}", "{hold: $rate, for: 10 s}, {ramp: 900/s, over: 10 s}")
    control = without_faults(plan(scenario(ramped)))
    assert (control.timeline, control.expectations, control.measured_s) == ((), (), 12)
    assert {publisher.profile.count for publisher in control.publishers} == {200 + 1200}
    assert control.channels == plan(scenario(ramped)).channels


def test_the_control_run_is_never_shorter_than_a_baseline(scenario: Good) -> None:
    short = (("for: 20 s", "for: 4 s"), ("at: 8 s", "at: 2 s"))
    assert without_faults(plan(scenario(*short))).measured_s == 10


def test_the_demo_is_what_it_is_meant_to_be() -> None:
    made = plan(load_scenario(resource("scenarios/demo.yaml")))
    (channel,) = made.channels["bus"]
    assert channel.durability == Durability(1, "disk")
    assert [(reader.share, reader.members, reader.delivery) for reader in channel.readers] == [
        ("group", 3, "at-least-once"),
        ("all", 1, "at-most-once"),
    ]
    assert (len(made.publishers), made.publishers[0].sizes.choices) == (2, ((1024, 1.0),))
    assert (made.publishers[0].profile.first_rate, made.warm_up_s, made.measured_s, made.repeat) == (2000, 3, 30, 2)
    assert [(event.at_s, event.heal_after_s) for event in made.timeline] == [(8, 1)]

"""How network faults are written, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan
from crep.harness.scenario.side_words import ALONE, SideWord, parse_side

EVENT = "{at: 8 s, do: kill-broker, node: leader-of orders, restart_after: 1 s}"


@pytest.mark.parametrize(
    ("entry", "heals_s", "parameters"),
    [
        (
            "{at: 1 s, do: latency, of: publishers, to: leader-of orders, add: 20 ms, jitter: 2 ms, for: 10 s}",
            10.0,
            {"of": "publishers", "to": "leader-of orders", "direction": "both", "add_s": 0.02, "jitter_s": 0.002},
        ),
        (
            "{at: 1 s, do: bandwidth, of: subscribers, per_second: 200 KiB, direction: from-node, for: 2 s}",
            2.0,
            {"of": "subscribers", "to": "brokers", "direction": "from-node", "bytes_per_s": 204_800},
        ),
        ("{at: 1 s, do: stall}", None, {"of": "clients", "to": "brokers", "direction": "both"}),
        ("{at: 1 s, do: reset, of: kafka-2, to: kafka-1}", 0.0, {"of": "kafka-2", "to": "kafka-1"}),
        ("{at: 1 s, do: refuse, of: everybody, for: 2 s}", 2.0, {"of": "everybody", "to": "brokers"}),
        (
            "{at: 1 s, do: half-open, of: subscribers, direction: from-node, for: 2 s}",
            2.0,
            {"of": "subscribers", "to": "brokers", "direction": "from-node"},
        ),
        (
            "{at: 1 s, do: partition, between: [leader-of orders, followers-of orders], for: 3 s}",
            3.0,
            {"between": ["leader-of orders", "followers-of orders"], "how": "stall"},
        ),
        (
            "{at: 1 s, do: partition, between: [kafka-1, quorum], how: reset, for: 3 s}",
            3.0,
            {"between": ["kafka-1", "quorum"], "how": "reset"},
        ),
    ],
)
def test_a_network_fault_reaches_its_event_whole(
    scenario: Callable[..., Scenario], entry: str, heals_s: float | None, parameters: dict[str, object]
) -> None:
    [event] = plan(scenario((EVENT, entry))).timeline
    assert (event.at_s, event.site, event.heal_after_s, event.parameters) == (1.0, "bus", heals_s, parameters)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("{at: 1 s, do: stall, to: publishers}", "timeline[0].to: nobody connects to clients"),
        ("{at: 1 s, do: stall, of: kafka-1, to: kafka-1}", "timeline[0].to: must differ from 'of'"),
        ("{at: 1 s, do: stall, of: leader-of order}", "timeline[0].of: there is no channel 'order'; did you mean"),
        ("{at: 1 s, do: stall, of: the leader}", "timeline[0].of: 'the leader' is not understood; write 'publishers'"),
        ("{at: 1 s, do: stall, of: ' '}", "timeline[0].of: is empty"),
        ("{at: 1 s, do: stall, for: 30 s}", "timeline[0].for: the links would be free again at"),
        ("{at: 1 s, do: latency, add: 5 ms, jitter: 6 ms, for: 1 s}", "timeline[0].jitter: must be at most 'add'"),
        ("{at: 1 s, do: latency, add: 61 s}", "timeline[0].add: must be at most 60 s"),
        ("{at: 1 s, do: bandwidth, per_second: 0 B}", "timeline[0].per_second"),
        ("{at: 1 s, do: reset, for: 1 s}", "unknown key"),
        ("{at: 1 s, do: refuse, direction: to-node}", "unknown key"),
        ("{at: 1 s, do: stall, direction: up}", "'up' is not one of both, to-node, from-node"),
        ("{at: 1 s, do: partition, between: [kafka-1]}", "timeline[0].between"),
        ("{at: 1 s, do: partition, between: [publishers, subscribers]}", "clients never connect to each other"),
        ("{at: 1 s, do: partition, between: [kafka-1, kafka-1]}", "the two sides must differ"),
        ("{at: 1 s, do: partition, between: [kafka-1, followers-of order]}", "there is no channel 'order'"),
    ],
)
def test_a_network_fault_that_makes_no_sense_is_told_at_its_place(
    refusal: Callable[..., list[str]], entry: str, text: str
) -> None:
    assert any(text in line for line in refusal((EVENT, entry)))


@pytest.mark.parametrize("word", ALONE)
def test_words_for_sides_stand_by_themselves(word: str) -> None:
    assert parse_side(f" {word} ") == SideWord(word)  # type: ignore[arg-type]  # it is one of them


def test_all_are_the_brokers_and_other_words_are_nodes() -> None:
    assert parse_side("all") == SideWord("brokers")
    assert parse_side("kafka-1") == SideWord("node", "kafka-1")
    assert parse_side("leader-of orders") == SideWord("node", "leader-of orders", "orders")
    assert parse_side("followers-of orders") == SideWord("followers-of", "orders", "orders")

"""What may be acknowledged: never a refused message, never one that is not durable, never twice stored."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crep.solace_emulator.core.publisher import MAX_WINDOW, PublisherFlow, Standing
from crep.solace_emulator.core.refusal import Refused
from tests.emulator.fakes import Acknowledged, MemoryLog, World, message


def test_a_refusal_splits_the_cumulative_acknowledge() -> None:
    world = World(MemoryLog(automatic=False))
    world.queue("q", "a", max_msg_size=100)
    flow = world.broker.open_publisher(world.vpn)
    flow.owner = owner = Acknowledged()
    for number, size in enumerate((1, 1, 500, 1), start=1):
        world.publish_id(flow, number, message("a", "x" * size))
    world.broker.work()
    assert owner.told == []
    world.sync()
    assert owner.told == [(2, ""), (3, "Document Is Too Large"), (4, "")]


def test_a_gap_is_left_to_the_client_to_fill() -> None:
    flow = PublisherFlow("default", "f", 1)
    assert flow.standing(2, 1) is Standing.GAP
    assert flow.standing(1, 0) is Standing.NEW


def test_a_repeated_message_is_acknowledged_and_not_stored_again() -> None:
    world = World()
    queue = world.queue("q", "a")
    flow = world.broker.open_publisher(world.vpn)
    world.publish("a", "1", "2", flow=flow)
    assert flow.standing(2, 1) is Standing.REPEATED
    restarted = world.restarted()
    found = restarted.broker.find_publisher(restarted.vpn, flow.name)
    assert found is not None
    assert (found.last, found.standing(2, 1), found.standing(3, 2)) == (2, Standing.REPEATED, Standing.NEW)
    assert len(queue) == 2


def test_a_refusal_is_remembered_across_a_crash_and_never_covered() -> None:
    """Message 2 was refused and 3 stored; the client heard of neither. It must be asked to send 2 again."""
    world = World()
    queue = world.queue("q", "a", max_msg_size=100)
    flow = world.broker.open_publisher(world.vpn)
    for number, size in enumerate((1, 500, 1), start=1):
        world.publish_id(flow, number, message("a", "x" * size))
    restarted = world.restarted()
    found = restarted.broker.find_publisher(restarted.vpn, flow.name)
    assert found is not None
    assert found.resume(last_acked=0) == 1
    assert [found.standing(number, number - 1) for number in (2, 3)] == [Standing.REFUSED_BEFORE, Standing.REPEATED]
    assert found.resume(last_acked=2) == 3
    assert len(queue) == 2


def test_a_client_is_not_told_of_what_is_not_durable_yet_when_it_resumes() -> None:
    world = World(MemoryLog(automatic=False))
    world.queue("q", "a")
    flow = world.broker.open_publisher(world.vpn)
    world.publish_id(flow, 1, message("a", "x"))
    assert flow.resume(last_acked=0) == 0
    world.sync()
    assert flow.resume(last_acked=0) == 1


def test_what_the_client_saw_acknowledged_without_a_trace_counts_as_taken() -> None:
    flow = PublisherFlow("default", "f", 1, last=3)
    assert flow.resume(last_acked=5) == 5
    assert flow.standing(6, 5) is Standing.NEW


def test_flows_of_another_vpn_or_boot_are_unknown() -> None:
    world = World()
    flow = world.broker.open_publisher(world.vpn)
    assert world.broker.find_publisher(world.vpn, flow.name) is flow
    for name in ("", "x", "test/1/99999", flow.name.replace("test", "other"), "test/1/9999999999999999"):
        assert world.broker.find_publisher(world.vpn, name) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=40), st.lists(st.integers(0, 45), max_size=6))
def test_every_message_is_told_once_with_its_own_outcome(refused: list[bool], syncs: list[int]) -> None:
    flow = PublisherFlow("default", "f", 1)
    flow.owner = owner = Acknowledged()
    for message_id, refuse in enumerate(refused, start=1):
        flow.note(message_id, message_id, Refused(503, "no") if refuse else None)
    for durable in [*sorted(syncs), len(refused)]:
        flow.tell(durable)
    outcome: dict[int, str] = {}
    reached = 0
    for last, text in owner.told:
        assert last > reached
        if text:
            assert last == reached + 1
        for message_id in range(reached + 1, last + 1):
            outcome[message_id] = text
        reached = last
    assert outcome == {number: "no" if refuse else "" for number, refuse in enumerate(refused, start=1)}


def test_refusals_are_remembered_for_a_window_only() -> None:
    flow = PublisherFlow("default", "f", 1)
    for message_id in range(1, 2 * MAX_WINDOW + 1):
        flow.note(message_id, 0, Refused(503, "no"))
    assert len(flow.refused) == MAX_WINDOW

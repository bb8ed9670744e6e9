"""Every effect as the ends of a connection see it. Times are orders of magnitude: tight figures are the benchmark's."""

from __future__ import annotations

import errno
import socket
import struct
import time

import pytest

from crep.harness.proxy import (
    Bandwidth,
    Direction,
    Effect,
    HalfOpen,
    Latency,
    Link,
    Refuse,
    Reset,
    Rule,
    Stall,
)
from tests.proxy.conftest import WAIT_S, Proxied, exactly

LINK = Link("others", "node", "client")
SOON_S = 0.3


def rule(effect: Effect, direction: Direction = "both", id_: str = "r", party: str | None = None) -> Rule:
    return Rule(id_, None if party is None else frozenset({party}), frozenset({"node"}), None, direction, effect)


def silent(one: socket.socket, for_s: float = SOON_S) -> bool:
    """Nothing comes, not even an end."""
    one.settimeout(for_s)
    try:
        one.recv(1)
    except TimeoutError:
        return True
    finally:
        one.settimeout(WAIT_S)
    return False


def was_reset(one: socket.socket) -> bool:
    """It ends with RST, within a while."""
    try:
        while one.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


def round_trip(party: socket.socket, node: socket.socket) -> float:
    started = time.monotonic()
    party.sendall(b"?")
    assert node.recv(1) == b"?"
    node.sendall(b"!")
    assert party.recv(1) == b"!"
    return time.monotonic() - started


@pytest.mark.parametrize(("direction", "ways"), [("both", 2), ("to-node", 1), ("from-node", 1)])
def test_latency_is_added_to_each_way_that_it_names_on_open_connections_too(
    clean: Proxied, direction: Direction, ways: int
) -> None:
    party, node = clean.pair()
    with party, node:
        clean.links.apply(rule(Latency(0.1), direction))
        assert ways * 0.1 <= round_trip(party, node) < ways * 0.1 + 1.0
        clean.links.clear("r")
        assert min(round_trip(party, node) for _ in range(20)) < 0.05


def test_latencies_of_several_rules_add_up(clean: Proxied) -> None:
    party, node = clean.pair()
    with party, node:
        clean.links.apply(rule(Latency(0.1), "to-node", "one"))
        clean.links.apply(rule(Latency(0.1), "from-node", "two"))
        clean.links.apply(rule(Latency(0.1), "to-node", "three"))
        assert round_trip(party, node) >= 0.3


def test_latency_delays_but_does_not_slow_down(clean: Proxied) -> None:
    clean.links.apply(rule(Latency(0.1), "to-node"))
    party, node = clean.pair()
    with party, node:
        started = time.monotonic()
        for _ in range(50):
            party.sendall(bytes(1000))
            time.sleep(0.002)
        exactly(node, 50_000)
        assert time.monotonic() - started < 50 * 0.1 / 2


def test_bandwidth_is_shared_by_all_connections_of_a_rule(clean: Proxied) -> None:
    size, rate = 50_000, 200_000
    pairs = [clean.pair() for _ in range(2)]
    clean.links.apply(rule(Bandwidth(rate), "to-node"))
    started = time.monotonic()
    for party, _ in pairs:
        party.sendall(bytes(size))
    for _, node in pairs:
        exactly(node, size)
    least = 2 * size / rate * 0.8
    assert least < time.monotonic() - started < 10 * least
    for party, node in pairs:
        party.close()
        node.close()


def test_a_stall_of_three_seconds_holds_everything_for_three_seconds_and_loses_nothing(clean: Proxied) -> None:
    party, node = clean.pair()
    with party, node:
        clean.links.apply(rule(Stall()))
        started = time.monotonic()
        party.sendall(b"to")
        node.sendall(b"from")
        party.shutdown(socket.SHUT_WR)
        assert silent(node, 3.0)
        clean.links.clear("r")
        assert node.recv(10) == b"to"
        assert 3.0 <= time.monotonic() - started < 6.0
        assert node.recv(10) == b""
        assert party.recv(10) == b"from"


def test_the_sender_feels_a_stall_when_the_windows_are_full(clean: Proxied) -> None:
    party, node = clean.pair()
    with party, node:
        clean.links.apply(rule(Stall(), "to-node"))
        party.settimeout(SOON_S)
        with pytest.raises(TimeoutError):
            party.sendall(bytes(64 << 20))
        party.settimeout(WAIT_S)
        node.sendall(b"the other way is free")
        assert party.recv(100)


def test_a_connection_that_is_made_during_a_stall_reaches_the_node_after_it(clean: Proxied) -> None:
    clean.links.apply(rule(Stall()))
    with clean.connect() as party:
        party.sendall(b"hello")
        assert silent(party)
        assert clean.node.accepted.empty()
        clean.links.clear("r")
        with clean.node.next() as node:
            assert node.recv(5) == b"hello"


def test_a_reset_cuts_open_connections_once_and_leaves_new_ones_alone(clean: Proxied) -> None:
    party, node = clean.pair()
    with party, node:
        applied = clean.links.apply(rule(Reset()))
        assert applied.connections == 1
        assert was_reset(party)
        assert was_reset(node)
    assert clean.links.state().rules == ()
    party, node = clean.pair()
    with party, node:
        round_trip(party, node)
        state = next(one for one in clean.links.state().links if one.link == LINK)
        assert (state.oldest or 0) >= applied.next_serial


def test_an_end_is_carried_over_as_what_it_was(clean: Proxied) -> None:
    for ender in (0, 1):
        ends = clean.pair()
        ends[ender].close()
        assert ends[1 - ender].recv(1) == b""
        ends[1 - ender].close()
        ends = clean.pair()
        ends[ender].sendall(b"x")
        assert ends[1 - ender].recv(1) == b"x"
        ends[ender].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ends[ender].close()
        assert was_reset(ends[1 - ender])
        ends[1 - ender].close()


def test_a_party_is_reset_when_the_node_does_not_listen(clean: Proxied) -> None:
    clean.node.stop()
    try:
        with clean.connect() as party:
            assert was_reset(party)
    finally:
        clean.node.start()


def test_who_is_refused_gets_no_connection_and_who_is_connected_keeps_it(clean: Proxied) -> None:
    party, node = clean.pair()
    with party, node:
        clean.links.apply(rule(Refuse()))
        with pytest.raises(ConnectionRefusedError):
            clean.connect()
        assert clean.links.state().refusing == (("node", "client"),)
        assert clean.links.probe(LINK) is None
        round_trip(party, node)
        clean.links.clear("r")
        other, there = clean.pair()
        with other, there:
            round_trip(other, there)


def test_nobody_else_gets_the_port_of_a_listener_that_refuses(clean: Proxied) -> None:
    clean.links.apply(rule(Refuse()))
    with socket.socket() as greedy, pytest.raises(OSError, match="in use") as caught:
        greedy.bind(("127.0.0.1", clean.port))
    assert caught.value.errno == errno.EADDRINUSE


def test_a_refusal_of_another_party_leaves_this_one_alone(clean: Proxied) -> None:
    clean.links.apply(rule(Refuse(), party="publishers"))
    party, node = clean.pair()
    with party, node:
        round_trip(party, node)


def test_a_refusal_of_this_party_is_a_reset_that_the_node_never_hears_of(clean: Proxied) -> None:
    clean.links.apply(rule(Refuse(), party="others"))
    with clean.connect() as party:
        assert was_reset(party)
    assert clean.node.accepted.empty()


@pytest.mark.parametrize("direction", ["to-node", "from-node", "both"])
def test_half_open_leaves_the_believer_without_a_word_until_it_is_healed(clean: Proxied, direction: Direction) -> None:
    party, node = clean.pair()
    with party, node:
        round_trip(party, node)
        clean.links.apply(rule(HalfOpen(), direction))
        believes = {"to-node": (party,), "from-node": (node,), "both": (party, node)}[direction]
        for one in (party, node):
            if one in believes:
                one.sendall(b"are you there?")
                assert silent(one)
            else:
                assert was_reset(one)
        clean.links.clear("r")
        assert all(was_reset(one) for one in believes)


@pytest.mark.parametrize(("direction", "reaches"), [("to-node", False), ("from-node", True), ("both", False)])
def test_a_new_connection_under_half_open_is_accepted_and_never_answered(
    clean: Proxied, direction: Direction, *, reaches: bool
) -> None:
    clean.links.apply(rule(HalfOpen(), direction))
    with clean.connect() as party:
        party.sendall(b"hello")
        if reaches:
            with clean.node.next() as node:
                assert node.recv(5) == b"hello"
        else:
            assert silent(party)
            assert clean.node.accepted.empty()
            clean.links.clear("r")
            assert was_reset(party)


def test_bytes_that_were_held_when_a_connection_became_half_open_never_arrive(clean: Proxied) -> None:
    party, node = clean.pair()
    with party, node:
        clean.links.apply(rule(Latency(0.3), "from-node", "slow"))
        node.sendall(b"late")
        time.sleep(0.1)
        clean.links.apply(rule(HalfOpen(), "to-node", "ghost"))
        assert silent(party, 0.6)


def test_a_probe_measures_what_the_rules_do_and_leaves_no_trace(clean: Proxied) -> None:
    before = clean.links.state()
    assert (clean.links.probe(LINK, timeout_s=5.0) or 9.0) < 1.0
    clean.links.apply(rule(Latency(0.1)))
    assert 0.2 <= (clean.links.probe(LINK, timeout_s=5.0) or 0.0) < 2.0
    clean.links.apply(rule(Bandwidth(100_000), "to-node"))
    assert (clean.links.probe(LINK, size=30_000, timeout_s=5.0) or 0.0) > 0.15
    clean.links.apply(rule(HalfOpen()))
    assert clean.links.probe(LINK, timeout_s=0.1) is None
    clean.links.apply(rule(Stall()))
    assert clean.links.probe(LINK, timeout_s=0.1) is None
    assert clean.links.probe(Link("publishers", "node", "client"), timeout_s=0.1) is None
    clean.links.apply(rule(Stall(), party="publishers"))
    assert clean.links.probe(LINK, timeout_s=5.0) is not None
    assert clean.links.state().links == before.links

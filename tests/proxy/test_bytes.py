"""What goes in comes out: every byte, in order, once, whatever the chunks and whatever happens on the way."""

from __future__ import annotations

import contextlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crep.harness.proxy import Bandwidth, Effect, Latency, Rule, Stall
from tests.proxy.conftest import WAIT_S, Proxied, exactly

CHUNKS = st.lists(st.binary(min_size=1, max_size=3000), max_size=8)


def drained(one: socket.socket) -> bytes:
    """Everything up to the end."""
    got = bytearray()
    while data := one.recv(1 << 16):
        got += data
    return bytes(got)


def send_all(one: socket.socket, chunks: list[bytes]) -> None:
    for chunk in chunks:
        one.sendall(chunk)
    one.shutdown(socket.SHUT_WR)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=CHUNKS, back=CHUNKS)
def test_both_ways_carry_every_byte_and_the_end_behind_it(
    proxied: Proxied, there: list[bytes], back: list[bytes]
) -> None:
    party, node = proxied.pair()
    with party, node, ThreadPoolExecutor(2) as both:
        both.submit(send_all, party, there)
        both.submit(send_all, node, back)
        assert drained(node) == b"".join(there)
        assert drained(party) == b"".join(back)


def test_one_way_goes_on_after_the_other_has_ended(proxied: Proxied) -> None:
    party, node = proxied.pair()
    with party, node:
        party.sendall(b"question")
        party.shutdown(socket.SHUT_WR)
        assert drained(node) == b"question"
        for _ in range(3):
            node.sendall(b"answer")
            assert exactly(party, 6) == b"answer"
        node.close()
        assert party.recv(1) == b""


def rule(effect: Effect) -> Rule:
    return Rule("r", None, frozenset({"node"}), None, "both", effect)


@pytest.mark.parametrize(
    "effects",
    [
        [],
        [Latency(0.02, 0.02)],
        [Bandwidth(40e6)],
        [Latency(0.01), Bandwidth(60e6), None, Latency(0.005, 0.005), None],
    ],
    ids=["free", "jitter", "bandwidth", "one after the other"],
)
def test_megabytes_to_a_slow_reader_arrive_whole_while_the_rules_change(
    clean: Proxied, effects: list[Effect | None]
) -> None:
    sent = random.Random(7).randbytes(12 << 20)
    part = len(sent) // (len(effects) + 1)
    party, node = clean.pair()
    with party, node, ThreadPoolExecutor(1) as writer:
        writer.submit(send_all, party, [sent])
        assert exactly(node, part) == sent[:part]
        for number, effect in enumerate(effects, start=1):
            clean.links.clear("r") if effect is None else clean.links.apply(rule(effect))
            assert exactly(node, part) == sent[number * part : (number + 1) * part]
        assert drained(node) == sent[(len(effects) + 1) * part :]


def test_a_stall_in_full_flow_delivers_what_has_passed_and_then_nothing_and_then_the_rest(clean: Proxied) -> None:
    sent = random.Random(8).randbytes(24 << 20)
    party, node = clean.pair()
    with party, node, ThreadPoolExecutor(1) as writer:
        writer.submit(send_all, party, [sent])
        got = bytearray(exactly(node, 1 << 20))
        clean.links.apply(rule(Stall()))
        node.settimeout(0.3)
        with contextlib.suppress(TimeoutError):  # what had passed the proxy lies in the system's buffers
            while data := node.recv(1 << 16):
                got += data
        assert len(got) < len(sent)
        node.settimeout(WAIT_S)
        clean.links.clear("r")
        assert bytes(got) + drained(node) == sent

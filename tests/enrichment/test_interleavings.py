"""Random interleavings of outcomes, rebalances and stops: what is promised holds at every step, for both guarantees."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.enrichment import exactly_once, flow
from crep.enrichment.exactly_once import ExactlyOnceFlow
from crep.enrichment.flow import Flow
from crep.enrichment.load import load_bridge
from crep.enrichment.pipeline import Pipeline
from crep.harness.brokers.contract import Message
from tests.enrichment.lying import DEAD, Chance, Identity, Life, LyingSink, LyingSource, LyingTransactions

BRIDGE = """
bridge: trial
sites: {inside: {target: a}}
routes:
  orders:
    from: {site: inside, topic: q, group: g}
    to: {site: inside, topic: "out.{kind}"}
    dead_letters: {site: inside, topic: dead}
    decode: json
    encode: {format: csv, columns: [part]}
    steps:
      - filter: "body.kind != 'unwanted'"
      - split: {at: parts, into: part, keep: [kind]}
"""
KINDS = ("good", "good", "good", "bad", "unwanted", "broken")
Order = tuple[str, int]  # kind, parts


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    path = tmp_path_factory.mktemp("bridge") / "bridge.yaml"
    path.write_text(BRIDGE)
    return load_bridge(path).pipelines["orders"]


def messages_of(orders: list[Order]) -> list[Message]:
    made = []
    for n, (kind, parts) in enumerate(orders):
        body = b"{" if kind == "broken" else orjson.dumps({"kind": kind, "parts": [str(p) for p in range(parts)]})
        made.append(Message("in", body, key=str(n % 3), message_id=f"m-{n}"))
    return made


def becomes(n: int, order: Order) -> list[Identity]:
    """What must be at the sink of one order."""
    kind, parts = order
    if kind == "unwanted":
        return []
    if kind == "broken":
        return [(DEAD, f"m-{n} ")]
    return [(DEAD, f"m-{n} ") if kind == "bad" else ("out.good", f"m-{n} {part}") for part in range(parts)]


RARELY = st.sampled_from([0.0, 0.1, 0.5])
NOW_AND_THEN = st.sampled_from([0.0, 0.01, 0.1])
OFTEN = st.fixed_dictionaries(
    dict.fromkeys(("full", "unknown", "stored unknown", "late", "refused early", "at once"), RARELY)
    | dict.fromkeys(("rebalance", "vanish", "abort", "late abort", "stop"), NOW_AND_THEN)
)
LIVES = 20  # of which the last is an honest one, so that there is an end
ORDERS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(ORDERS, st.integers(0, 2**32), OFTEN, st.sampled_from([1, 3]), st.sampled_from([5, 40]))
def test_nothing_is_accepted_before_all_that_came_of_it_is_acknowledged_and_the_ledger_adds_up(
    pipeline: Pipeline, orders: list[Order], seed: int, often: dict[str, float], workers: int, in_flight: int
) -> None:
    chance = Chance(seed, **often)
    sink = LyingSink(chance)

    def sees(message: Message) -> None:
        n = int(str(message.message_id)[2:])
        for wanted, times in Counter(becomes(n, orders[n])).items():
            assert sink.told[wanted] >= times, f"{wanted} of {message.message_id} was accepted and not acknowledged"

    source = LyingSource(messages_of(orders), chance, sees)
    with patch.object(flow, "RESEND_AFTER_S", 0.0):
        for life in range(LIVES):
            if life == LIVES - 1:
                chance.be_honest()
            one = Flow(
                pipeline,
                source,
                sink,
                sink,
                dead_topic=DEAD,
                where=("trial", "orders"),
                workers=workers,
                in_flight=in_flight,
            )
            source.life = Life(one, chance)
            one.run()
            one.ledger.check(one.in_flight)
            if source.finished:
                break
    assert source.finished
    wanted = Counter(one for n, order in enumerate(orders) for one in becomes(n, order))
    assert set(sink.stored) == set(wanted)
    assert all(sink.stored[one] >= times for one, times in wanted.items())


@settings(max_examples=60, deadline=None)
@given(ORDERS, st.integers(0, 2**32), OFTEN, st.sampled_from([1, 3]), st.sampled_from([5, 40]))
def test_with_transactions_all_that_comes_of_a_message_is_there_once_and_the_ledger_adds_up(
    pipeline: Pipeline, orders: list[Order], seed: int, often: dict[str, float], workers: int, in_flight: int
) -> None:
    chance = Chance(seed, **often)
    client = LyingTransactions(messages_of(orders), chance)
    with patch.object(exactly_once, "RESEND_AFTER_S", 0.0), patch.object(exactly_once, "COMMIT_EVERY_S", 0.001):
        for life in range(LIVES):
            if life == LIVES - 1:
                chance.be_honest()
            one = ExactlyOnceFlow(
                pipeline, client, dead_topic=DEAD, where=("trial", "orders"), workers=workers, in_flight=in_flight
            )
            client.life = Life(one, chance)
            one.run()
            assert one.in_flight == 0
            one.ledger.check(0)
            if client.finished:
                break
    assert client.finished
    assert client.stored == Counter(one for n, order in enumerate(orders) for one in becomes(n, order))

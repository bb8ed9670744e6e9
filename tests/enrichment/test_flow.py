"""One route against a source and a sink that misbehave: what is promised holds whatever they do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import ClassVar

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.enrichment.flow import Flow
from crep.enrichment.forwarding import DUPLICATE, SINK
from crep.enrichment.load import load_bridge
from crep.enrichment.pipeline import Pipeline
from crep.harness.brokers.contract import BrokerError, Message
from tests.enrichment.fakes import MemorySink, MemorySource

BRIDGE = """
bridge: trial
sites: {inside: {target: a}, outside: {target: b}}
routes:
  orders:
    from: {site: inside, queue: q}
    to: {site: outside, topic: "out/{kind}"}
    dead_letters: {site: outside, topic: dead}
    steps:
      - filter: "body.kind != 'unwanted'"
      - split: {at: parts, into: part, keep: [n, kind]}
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    path = tmp_path_factory.mktemp("bridge") / "bridge.yaml"
    path.write_text(BRIDGE)
    return load_bridge(path).pipelines["orders"]


def order(n: int, kind: str = "good", parts: int = 1) -> Message:
    body = {"n": n, "kind": kind, "parts": list(range(parts))}
    return Message("in/orders", orjson.dumps(body), key=str(n % 3), message_id=f"m-{n}")


def run(pipeline: Pipeline, source: MemorySource, sink: MemorySink, *, workers: int = 1, in_flight: int = 40) -> Flow:
    flow = Flow(
        pipeline,
        source,
        sink,
        sink,
        dead_topic="dead",
        where=("trial", "orders"),
        workers=workers,
        in_flight=in_flight,
    )
    thread = threading.Thread(target=flow.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not source.finished and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    flow.stop()
    thread.join(20)
    assert not thread.is_alive()
    return flow


ORDERS = st.lists(
    st.tuples(st.sampled_from(["good", "good", "good", "bad", "unwanted", "broken"]), st.integers(0, 3)), max_size=80
)


@settings(max_examples=25, deadline=None)
@given(
    ORDERS,
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([1, 3]),
)
def test_every_message_ends_in_exactly_one_way_and_nothing_is_lost(
    pipeline: Pipeline,
    orders: list[tuple[str, int]],
    seed: int,
    unknown: float,
    full: float,
    takes_back: float,
    workers: int,
) -> None:
    random = Random(seed)
    messages = [
        order(n, kind, parts) if kind != "broken" else Message("in/orders", b"{", key="0", message_id=f"m-{n}")
        for n, (kind, parts) in enumerate(orders)
    ]
    source = MemorySource(messages, random, takes_back=takes_back)
    sink = MemorySink(random, unknown=unknown, full=full)
    flow = run(pipeline, source, sink, workers=workers)
    assert source.accepted == set(range(len(messages)))
    assert source.most_out <= 40 + (3 * 40 if takes_back else 0)
    out = Counter(
        (orjson.loads(m.payload)["n"], orjson.loads(m.payload)["part"]) for m in sink.stored if m.topic != "dead"
    )
    wanted = {(n, part) for n, (kind, parts) in enumerate(orders) if kind == "good" for part in range(parts)}
    assert set(out) == wanted
    dead = Counter(m.message_id for m in sink.stored if m.topic == "dead")
    assert set(dead) == {
        f"m-{n}" for n, (kind, parts) in enumerate(orders) if kind == "broken" or (kind == "bad" and parts)
    }
    if not unknown and not takes_back:
        assert all(times == 1 for times in out.values())
        ledger = flow.ledger
        assert ledger.received == len(messages)
        assert ledger.acknowledged == len(wanted)
        assert ledger.filtered.total() == sum(kind == "unwanted" for kind, _ in orders)
        assert ledger.dead_lettered[SINK] == sum(parts for kind, parts in orders if kind == "bad")
        assert ledger.dead_lettered["decode"] == sum(kind == "broken" for kind, _ in orders)
    flow.ledger.check(0)


@pytest.mark.parametrize("workers", [1, 4])
def test_messages_of_a_key_go_out_in_order(pipeline: Pipeline, workers: int) -> None:
    random = Random(workers)
    source, sink = MemorySource([order(n) for n in range(1000)], random), MemorySink(random, full=0.2)
    run(pipeline, source, sink, workers=workers)
    for key in ("0", "1", "2"):
        numbers = [orjson.loads(m.payload)["n"] for m in sink.stored if m.key == key]
        assert numbers == sorted(numbers)
    assert len(sink.stored) == 1000


def test_nothing_is_accepted_before_the_sink_has_acknowledged(pipeline: Pipeline) -> None:
    class Silent(MemorySink):
        def poll(self, timeout_s: float) -> list:  # type: ignore[type-arg]
            return []

    random = Random(1)
    source, sink = MemorySource([order(n) for n in range(10)], random), Silent(random)
    flow = Flow(pipeline, source, sink, sink, dead_topic="dead", where=("trial", "orders"))
    thread = threading.Thread(target=flow.run)
    thread.start()
    deadline = time.monotonic() + 10
    while len(sink.stored) < 10 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(sink.stored) == 10
    flow.stop()
    thread.join(0.2)
    assert thread.is_alive(), "it must wait for the outcomes of what it has taken"
    assert source.accepted == set()
    flow.stop(at_once=True)
    thread.join(10)
    assert not thread.is_alive()
    assert source.accepted == set()


def test_a_dead_letter_place_that_refuses_ends_the_route_and_drops_nothing(pipeline: Pipeline) -> None:
    random = Random(1)
    source, sink = MemorySource([order(0, "bad")], random), MemorySink(random)
    flow = Flow(pipeline, source, sink, sink, dead_topic="bad-place", where=("trial", "orders"))
    with pytest.raises(BrokerError, match="bad-place"):
        flow.run()
    assert source.accepted == set()
    assert not source.open_now


def test_a_dead_letter_carries_the_original_and_why(pipeline: Pipeline) -> None:
    random = Random(1)
    broken = Message("in/orders", b"{", key="k", properties={"origin": "shop"}, correlation_id="c-1")
    source, sink = MemorySource([broken], random), MemorySink(random)
    run(pipeline, source, sink)
    [dead] = sink.stored
    assert (dead.topic, dead.payload, dead.key, dead.correlation_id) == ("dead", b"{", "k", "c-1")
    reason = dead.properties.pop("crep-dead-reason")  # type: ignore[attr-defined]
    assert "no JSON" in str(reason)
    assert dead.properties == {
        "origin": "shop",
        "crep-dead-bridge": "trial",
        "crep-dead-route": "orders",
        "crep-dead-step": "decode",
        "crep-dead-topic": "in/orders",
    }


def test_within_the_time_an_id_is_forwarded_once_and_the_other_is_counted(pipeline: Pipeline) -> None:
    random = Random(1)
    source = MemorySource([order(1), order(2)], random)
    sink = MemorySink(random)
    flow = Flow(pipeline, source, sink, sink, dead_topic="dead", where=("trial", "orders"), deduplicate_s=60.0)
    thread = threading.Thread(target=flow.run)
    thread.start()
    while len(source.accepted) < 2:
        time.sleep(0.001)
    source._stored.append(Message("in/orders", order(1).payload, "1", message_id="m-1", token="again"))
    while "again" not in source.accepted:
        time.sleep(0.001)
    flow.stop()
    thread.join(10)
    assert len(sink.stored) == 2
    assert flow.ledger.filtered[DUPLICATE] == 1


def test_a_message_that_this_bridge_forwarded_before_is_filtered_as_a_loop(pipeline: Pipeline, tmp_path: Path) -> None:
    [out] = pipeline.process(order(1)).out
    assert pipeline.process(out).filtered == {"loop": 1}


def test_a_message_that_a_sink_has_no_room_for_is_offered_again_under_its_number(pipeline: Pipeline) -> None:
    class Choosy(MemorySink):
        """Gives up on a message by the number under which it is offered, as a sink may."""

        offers: ClassVar[list[tuple[int, bytes]]] = []

        def send(self, message: Message, token: int) -> bool:
            self.offers.append((token, message.payload))
            return super().send(message, token)

    random = Random(3)
    run(pipeline, MemorySource([order(n) for n in range(50)], random), Choosy(random, full=0.5))
    assert len(Choosy.offers) > 50
    assert len(set(Choosy.offers)) == 50

"""Captured on one broker, replayed to the other: every message arrives once, whole, in the order of its key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from crep.replay.archive import Rolling, verify_archive
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.marking import ORIGINAL_ID, ORIGINAL_TIME, ORIGINAL_TOPIC, REPLAY_ID, SEQUENCE
from crep.replay.opening import open_replay
from tests.replay.live import KEYS, Place, capture, fill, numbers_by_key, order, place

pytestmark = [pytest.mark.kafka, pytest.mark.emulator]
COUNT = 10_000


@pytest.fixture
def kafka(kafka_endpoint: Endpoint) -> Iterator[Place]:
    with place(kafka_endpoint) as made:
        yield made


@pytest.fixture
def solace(emulator_endpoint: Endpoint) -> Iterator[Place]:
    with place(emulator_endpoint) as made:
        yield made


def job_of(archive: Path, to: Place, **more: object) -> Job:
    return Job.model_validate(
        {
            "id": "again",
            "from": {"archive": str(archive)},
            "to": {"target": "there"},
            "remap": [{"topic": ">", "to": to.topic}, {"topic": "*", "to": to.topic}],
            "pace": "fastest",
            **more,
        }
    )


@pytest.mark.parametrize("way", ["kafka to solace", "solace to kafka"])
def test_every_captured_message_arrives_on_the_other_broker_once_whole_and_in_order(
    way: str, kafka: Place, solace: Place, tmp_path: Path
) -> None:
    here, there = (kafka, solace) if way == "kafka to solace" else (solace, kafka)
    fill(here, range(COUNT))
    captured = capture(here, tmp_path / "archive", COUNT, Rolling(after_bytes=1 << 20))
    assert verify_archive(tmp_path / "archive") == []
    assert [one.sequence for one in captured] == list(range(COUNT))
    with open_replay(job_of(tmp_path / "archive", there), lambda _: there.endpoint, tmp_path / "state") as replay:
        plan = replay.plan()
        assert (plan.count, plan.bytes) == (COUNT, sum(len(one.message.payload) for one in captured))
        ledger = replay.run(Control())
    assert (ledger.state, ledger.selected, ledger.acknowledged, ledger.rejected) == ("done", COUNT, COUNT, 0)
    assert ledger.exact
    arrived = capture(there, tmp_path / "arrived", COUNT)
    assert len(arrived) == COUNT
    assert numbers_by_key(arrived) == {f"customer-{k}": list(range(k, COUNT, KEYS)) for k in range(KEYS)}
    by_sequence = {one.sequence: one for one in captured}
    for one in arrived:
        before, properties = by_sequence[int(str(one.message.properties[SEQUENCE]))], dict(one.message.properties)
        assert properties.pop(REPLAY_ID) == "again"
        assert properties.pop(ORIGINAL_ID) == before.message.position
        assert properties.pop(ORIGINAL_TOPIC) == here.topic
        assert str(properties.pop(ORIGINAL_TIME)).endswith("Z")
        del properties[SEQUENCE]
        expected = order(there.topic, int(str(properties["n"])))
        assert properties == expected.properties
        assert (one.message.payload, one.message.message_id) == (expected.payload, expected.message_id)
        assert (one.message.correlation_id, one.message.content_type) == ("c-1", "text/plain")
